//! Resets of HTTP/2 streams whose client does not read the response, or what a WebSocket has sent
//! last.
//!
//! The client opens a stream's flow-control window as it reads (RFC 9113, 5.2). While the window is
//! full hyper waits without a timeout, so a client that never reads could hold a response per
//! stream for ever.

use super::alarm::Stall;
use crate::protocol::SignalWatch;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::sleep;

/// The largest piece of a response that is passed to hyper. hyper requests the next one once the
/// window has room for the previous one, so this is the granularity at which progress is detected,
/// and the most that hyper buffers beyond the window.
const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// The stream that this task serves.
    static STREAM: ServedStream;
}

#[derive(Default)]
struct ServedStream {
    /// The progress of the response.
    progress: Cell<StreamProgress>,
    /// The end of what the stream opens instead of a response, such as a WebSocket.
    upgrade: Cell<Option<SignalWatch>>,
}

#[derive(Clone, Copy, Default)]
struct StreamProgress {
    /// Number of pieces passed to hyper. Only compared for equality, so it may wrap.
    pieces: usize,
    /// Whether hyper got a piece at its last request: then it waits for the client, and not for the
    /// body.
    has_piece: bool,
}

/// Serves a stream; returns `None` if its client has read nothing of the response for `limit`. The
/// stream is then reset.
pub(super) fn serve<F: Future>(
    stream: F,
    limit: Duration,
) -> impl Future<Output = Option<F::Output>> {
    let watched = Watched {
        stream: Some(stream),
        stall: Stall::new(limit),
    };
    STREAM.scope(ServedStream::default(), watched)
}

/// Announces that this task's stream may open a WebSocket, and the signal of its end.
pub(super) fn expect_upgrade(ended: SignalWatch) {
    _ = STREAM.try_with(|stream| stream.upgrade.set(Some(ended)));
}

/// Returns the end of the WebSocket for which hyper now spawns the task that writes: it does that
/// in the task of the stream.
pub(super) fn upgrading() -> Option<SignalWatch> {
    STREAM.try_with(|stream| stream.upgrade.take()).ok()?
}

/// Writes what a WebSocket sends. If its client has not read the rest within `limit` of its end,
/// returns `false`, and the stream is reset.
pub(super) async fn write_after_upgrade<F: Future>(
    writing: F,
    ended: SignalWatch,
    limit: Duration,
) -> bool {
    let overdue = async {
        ended.wait().await;
        // Boxed, so that an open WebSocket has no memory for it.
        Box::pin(sleep(limit)).await;
    };
    tokio::select! {
        _ = writing => true,
        () = overdue => false,
    }
}

pin_project! {
    struct Watched<F> {
        #[pin]
        stream: Option<F>,
        stall: Stall,
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut watched = self.project();
        let Some(stream) = watched.stream.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(served) = stream.poll(cx) {
            return Poll::Ready(Some(served));
        }
        let progress = STREAM.with(|stream| stream.progress.get());
        let waits = progress.has_piece.then_some(progress.pieces);
        ready!(watched.stall.poll(waits, cx));
        watched.stream.set(None);
        Poll::Ready(None)
    }
}

pin_project! {
    /// The body of an HTTP/2 response, split into pieces.
    pub(super) struct Pieces<B> {
        #[pin]
        body: B,
        rest: Bytes,
    }
}

impl<B> Pieces<B> {
    pub(super) fn of(body: B) -> Self {
        let rest = Bytes::new();
        Self { body, rest }
    }
}

impl<B: Body<Data = Bytes>> Body for Pieces<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = match this.rest.is_empty() {
            true => this.body.poll_frame(cx),
            false => Poll::Ready(Some(Ok(Frame::data(std::mem::take(this.rest))))),
        };
        record(polled.is_ready());
        let Some(frame) = ready!(polled).transpose()? else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(mut data) => {
                if data.len() > PIECE {
                    *this.rest = data.split_off(PIECE);
                }
                Frame::data(data)
            }
            Err(frame) => frame,
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper().and_then(|upper| upper.checked_add(rest)) {
            hint.set_upper(upper);
        }
        hint
    }
}

fn record(has_piece: bool) {
    _ = STREAM.try_with(|stream| {
        let pieces = stream.progress.get().pieces;
        let pieces = pieces.wrapping_add(usize::from(has_piece));
        stream.progress.set(StreamProgress { pieces, has_piece });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    #[tokio::test]
    async fn a_response_in_pieces_is_complete_and_keeps_its_length() {
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let whole: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let body = Pieces::of(Full::new(Bytes::from(whole.clone())));
            assert_eq!(body.size_hint().exact(), Some(length as u64));
            assert_eq!(body.is_end_stream(), length == 0);

            let got = body.collect().await.unwrap().to_bytes();

            assert_eq!(got, whole);
        }
    }

    #[tokio::test]
    async fn the_size_hint_counts_the_pieces_that_are_left() {
        let mut body = Pieces::of(Full::new(Bytes::from(vec![b'x'; PIECE + 1])));

        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();

        assert_eq!(first.len(), PIECE);
        assert_eq!(body.size_hint().exact(), Some(1));
        assert!(!body.is_end_stream());
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "x"
        );
        assert!(body.is_end_stream());
    }
}
