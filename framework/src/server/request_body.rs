//! The body of a request, and its timeout.

use super::{alarm::Alarm, traffic::Traffic};
use crate::error::{BodyError, BoxError};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

/// The body of a request. Reading it fails once the client has sent nothing for too long.
pub(super) struct RequestBody {
    /// `None` after its end or an error: dropping the body notifies hyper that the rest is not
    /// needed.
    incoming: Option<Incoming>,
    pace: Pace,
    discards_rest: bool,
    /// The connection, over HTTP/1: it ends if reading fails.
    traffic: Option<Arc<Traffic>>,
}

/// The maximum size of the rest of a body that is read and discarded, in bytes.
const MAX_REST: u64 = 64 * 1024;

/// How long the rest of a body is read.
const REST_TIMEOUT: Duration = Duration::from_millis(500);

impl RequestBody {
    /// Creates a body. If `discards_rest`, what the application leaves unread of it is read and
    /// discarded, if it is short: hyper would close the connection, and the client could lose the
    /// response while it is still sending (RFC 9112, 9.6). A failure is recorded in `traffic`.
    pub(super) fn new(
        incoming: Incoming,
        limit: Duration,
        discards_rest: bool,
        traffic: Option<Arc<Traffic>>,
    ) -> Self {
        Self {
            incoming: Some(incoming),
            pace: Pace::new(limit),
            discards_rest,
            traffic,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let is_short = |body: &Incoming| body.size_hint().lower() <= MAX_REST;
        let rest = self.incoming.take();
        let rest = rest.filter(|body| self.discards_rest && !body.is_end_stream());
        if let Some(rest) = rest.filter(is_short)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(REST_TIMEOUT, discard(rest)));
        }
    }
}

/// Reads a body and discards it, up to [`MAX_REST`].
async fn discard(mut body: Incoming) {
    let mut left = MAX_REST;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length as u64) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self {
            incoming,
            pace,
            traffic,
            ..
        } = &mut *self;
        let Some(body) = incoming else {
            return Poll::Ready(None);
        };
        let read = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(read) => {
                pace.progress();
                read.map(|read| read.map_err(BodyError::broken))
            }
            Poll::Pending => {
                ready!(pace.poll_stalled(cx));
                Some(Err(BodyError::Stalled))
            }
        };
        if let (Some(Err(_)), Some(traffic)) = (&read, traffic) {
            traffic.record_broken_body();
        }
        if matches!(read, None | Some(Err(_))) {
            *incoming = None;
        }
        Poll::Ready(read.map(|read| read.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A limit on the time between two pieces of a request body. Only time in which the application
/// waits for the body counts.
#[derive(Debug)]
struct Pace {
    limit: Duration,
    alarm: Alarm,
    /// The time by which the next piece is due, while the application waits for it.
    deadline: Option<Instant>,
}

impl Pace {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            alarm: Alarm::default(),
            deadline: None,
        }
    }

    /// Records that a piece has arrived.
    fn progress(&mut self) {
        self.deadline = None;
    }

    /// Completes once the next piece is overdue.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.deadline {
            Some(deadline) => deadline,
            None => match Instant::now().checked_add(self.limit) {
                Some(deadline) => *self.deadline.insert(deadline),
                None => return Poll::Pending,
            },
        };
        self.alarm.poll(deadline, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_not_overdue_and_neither_is_one_that_is_not_being_read() {
        let mut pace = Pace::new(3 * SECOND);

        for _ in 0..3 {
            let stalled = timeout(2 * SECOND, poll_fn(|cx| pace.poll_stalled(cx))).await;
            assert!(stalled.is_err(), "the limit starts again with each piece");
            pace.progress();
            tokio::time::sleep(9 * SECOND).await;
        }

        let waited = Instant::now();
        poll_fn(|cx| pace.poll_stalled(cx)).await;
        assert_eq!(waited.elapsed(), 3 * SECOND);
    }
}
