//! Bodies that pass a proxy, whose progress is watched.

use crate::{
    error::{BoxError, Error},
    protocol::Body,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep};

/// A body on its way through the proxy.
pub(super) struct Transfer {
    body: BodySource,
    watch: Watch,
    /// Only of an event stream.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

enum BodySource {
    Request(Body),
    Response(Incoming),
}

enum Watch {
    /// Notes whether the server or the client is waited for.
    Progress(Option<Progress>),
    /// Fails a response that does not continue in time.
    Limit {
        limit: Duration,
        /// Running while the server is waited for.
        alarm: Option<Pin<Box<Sleep>>>,
    },
}

/// The time since which the proxy has waited for the server; `None` while the server waits for more
/// of the request.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<Option<Instant>>>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    /// Waits until the server has not continued for this time.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let since = *self.since();
            // If the client is waited for, the server's time has not begun yet.
            let rest = since.map_or(limit, |since| limit.saturating_sub(since.elapsed()));
            if rest.is_zero() {
                return;
            }
            sleep(rest).await;
        }
    }

    /// Notes that the server has read a piece of the request, or waits for the client to send one.
    fn note(&self, waits_for_client: bool) {
        *self.since() = (!waits_for_client).then(Instant::now);
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        let lock = self.0.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Transfer {
    /// Returns the body of a request, whose reading is noted.
    pub(super) fn watched(body: Body, progress: Progress) -> Self {
        Self {
            body: BodySource::Request(body),
            watch: Watch::Progress(Some(progress)),
            end: None,
        }
    }

    /// Returns the body of a response, which fails after this time without progress.
    pub(super) fn limited(body: Incoming, limit: Duration) -> Self {
        Self {
            body: BodySource::Response(body),
            watch: Watch::Limit { limit, alarm: None },
            end: None,
        }
    }

    /// Ends the body with this future.
    pub(super) fn end_with(&mut self, end: impl Future<Output = ()> + Send + 'static) {
        self.end = Some(Box::pin(end));
    }
}

/// The body of a request without one.
impl Default for Transfer {
    fn default() -> Self {
        Self {
            body: BodySource::Request(Body::empty()),
            watch: Watch::Progress(None),
            end: None,
        }
    }
}

/// Ends the body at its trailers: some servers, such as uvicorn with httptools, merge them into the
/// headers, where a client could forge what the proxy has removed there.
fn without_trailers(
    frame: Option<Result<Frame<Bytes>, BoxError>>,
) -> Option<Result<Frame<Bytes>, BoxError>> {
    frame.filter(|frame| !frame.as_ref().is_ok_and(Frame::is_trailers))
}

impl http_body::Body for Transfer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, watch, end } = &mut *self;
        if end
            .as_mut()
            .is_some_and(|end| end.as_mut().poll(cx).is_ready())
        {
            // The future is not polled again.
            *end = None;
            *body = BodySource::Request(Body::empty());
        }
        let polled = match body {
            BodySource::Request(body) => {
                let polled = Pin::new(body).poll_frame(cx);
                // As the client's error, which tells it from those of the connection to the server.
                let polled = polled.map_err(|error| Error::unread_body(error).into());
                polled.map(without_trailers)
            }
            BodySource::Response(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        };
        match watch {
            Watch::Progress(progress) => {
                if let Some(progress) = progress {
                    progress.note(polled.is_pending());
                }
            }
            Watch::Limit { alarm, .. } if polled.is_ready() => *alarm = None,
            Watch::Limit { limit, alarm } => {
                let alarm = alarm.get_or_insert_with(|| Box::pin(sleep(*limit)));
                if alarm.as_mut().poll(cx).is_ready() {
                    let reason =
                        "the server behind the proxy has not continued its response in time";
                    let error = io::Error::new(io::ErrorKind::TimedOut, reason);
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            BodySource::Request(body) => body.is_end_stream(),
            BodySource::Response(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            BodySource::Request(body) => body.size_hint(),
            BodySource::Response(body) => body.size_hint(),
        }
    }
}
