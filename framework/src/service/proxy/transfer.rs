//! Bodies that pass a proxy, whose progress is watched.

use crate::{error::BoxError, protocol::Body};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A body on its way through the proxy.
pub(super) struct Transfer {
    body: Source,
    watch: Watch,
}

enum Source {
    Request(Body),
    Response(Incoming),
}

enum Watch {
    /// Notes when the server reads from a request.
    Progress(Option<Progress>),
    /// Fails a response that does not continue in time.
    Limit {
        limit: Duration,
        /// Running while the server is waited for.
        alarm: Option<Pin<Box<Sleep>>>,
    },
}

/// When a server has last continued to read a request.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<Instant>>);

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Waits until the server has not continued for this time.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let due = self.last() + limit;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn last(&self) -> Instant {
        *self
            .0
            .lock()
            .expect("no code panics while it holds this lock")
    }

    fn note(&self) {
        *self
            .0
            .lock()
            .expect("no code panics while it holds this lock") = Instant::now();
    }
}

impl Transfer {
    /// Returns the body of a request without one.
    pub(super) fn empty() -> Self {
        Self {
            body: Source::Request(Body::empty()),
            watch: Watch::Progress(None),
        }
    }

    /// Returns the body of a request, whose reading is noted.
    pub(super) fn watched(body: Body, progress: Progress) -> Self {
        Self {
            body: Source::Request(body),
            watch: Watch::Progress(Some(progress)),
        }
    }

    /// Returns the body of a response, which fails after this time without progress.
    pub(super) fn limited(body: Incoming, limit: Duration) -> Self {
        Self {
            body: Source::Response(body),
            watch: Watch::Limit { limit, alarm: None },
        }
    }
}

impl http_body::Body for Transfer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { body, watch } = &mut *self;
        let polled = match body {
            Source::Request(body) => Pin::new(body).poll_frame(cx),
            Source::Response(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        };
        match watch {
            Watch::Progress(progress) => {
                if let Some(progress) = progress {
                    progress.note();
                }
            }
            Watch::Limit { alarm, .. } if polled.is_ready() => *alarm = None,
            Watch::Limit { limit, alarm } => {
                let due = Instant::now() + *limit;
                let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
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
            Source::Request(body) => body.is_end_stream(),
            Source::Response(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Request(body) => body.size_hint(),
            Source::Response(body) => body.size_hint(),
        }
    }
}
