//! The future of the response to a request.

use crate::{
    application::{ApplicationFuture, log_outcome},
    connection_span::ConnectionSpan,
    log_limit::log_limited,
    protocol::{Body, ConnectionHandle, Http, ResponseReceiver},
    rejection::Rejection,
};
use http::{Response, StatusCode, header};
use http_body::Body as _;
use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The future of the response to a request.
pub struct ResponseFuture {
    source: ResponseSource,
    /// Whether the body is to be withheld, because the request is a HEAD.
    is_head: bool,
}

/// What the response comes from.
pub(super) enum ResponseSource {
    Http(RunningRequest),
    Upgrade(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
    Done(Option<Response<Body>>),
}

impl ResponseSource {
    /// Runs an application until it has responded.
    pub(super) fn http(
        running: ApplicationFuture,
        response: ResponseReceiver,
        handle: Option<ConnectionHandle>,
        span: ConnectionSpan,
    ) -> Self {
        Self::Http(RunningRequest {
            running: Some(running),
            response,
            handle,
            span,
            rejection: None,
        })
    }

    pub(super) fn upgrade(response: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Self::Upgrade(Box::pin(response))
    }

    pub(super) fn done(response: Response<Body>) -> Self {
        Self::Done(Some(response))
    }
}

impl ResponseFuture {
    /// Creates the future. The response to a HEAD has no body (RFC 9110, 9.3.2): hyper withholds it
    /// over HTTP/1, but not over HTTP/2.
    pub(super) fn new(source: ResponseSource, is_head: bool) -> Self {
        Self { source, is_head }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.source {
            ResponseSource::Http(request) => ready!(request.poll(cx)),
            ResponseSource::Upgrade(response) => ready!(response.as_mut().poll(cx)),
            ResponseSource::Done(response) => {
                response.take().expect("not polled after it was ready")
            }
        };
        Poll::Ready(Ok(match self.is_head {
            true => withhold(response),
            false => response,
        }))
    }
}

/// Removes the body, and sets `Content-Length` if its length is known; not if it is empty, because
/// there is none or the application has withheld it already.
fn withhold(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
    {
        head.headers
            .entry(header::CONTENT_LENGTH)
            .or_insert(length.into());
    }
    Response::from_parts(head, Body::empty())
}

/// An HTTP request without a response yet.
///
/// Its application runs here until it has responded, and then in a task of its own. If the client
/// disconnects before, this is dropped, and with it the application, at an await.
pub(super) struct RunningRequest {
    running: Option<ApplicationFuture>,
    response: ResponseReceiver,
    handle: Option<ConnectionHandle>,
    span: ConnectionSpan,
    /// The response if the application failed because it could not read the request's body.
    rejection: Option<Rejection>,
}

impl RunningRequest {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        if let Some(running) = &mut self.running
            && let Poll::Ready(outcome) = running.as_mut().poll(cx)
        {
            self.running = None;
            match outcome {
                Err(error) if error.body_error().is_some() => {
                    self.rejection = Some(Rejection::from(error));
                }
                outcome => {
                    // Logged here, so not once more if there is no response.
                    let failed = || Rejection::from_status(StatusCode::INTERNAL_SERVER_ERROR);
                    self.rejection = outcome.is_err().then(failed);
                    log_in(&self.span, outcome);
                }
            }
        }
        let response = ready!(Pin::new(&mut self.response).poll(cx));
        if let Some(running) = self.running.take() {
            let span = self.span.clone();
            let running = async move { log_in(&span, running.await) };
            ConnectionHandle::spawn(self.handle.as_ref(), running);
        }
        Poll::Ready(response.unwrap_or_else(|_| {
            rejected(self.rejection.take().unwrap_or_else(|| {
                let _in_span = self.span.open().entered();
                log_limited!(
                    error,
                    "an application ended without a response; the client gets a 500"
                );
                Rejection::from_status(StatusCode::INTERNAL_SERVER_ERROR)
            }))
        }))
    }
}

/// Logs an error of the application in the span of its request.
fn log_in(span: &ConnectionSpan, outcome: crate::Result<()>) {
    if outcome.is_err() {
        span.open().in_scope(|| log_outcome::<Http>(outcome));
    }
}

pub(super) fn rejected(rejection: impl Into<Rejection>) -> Response<Body> {
    rejection.into().into_response().map(Body::from)
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
