//! The future of the response to a request.

use crate::{
    application::{Conversation, note},
    log_limit::log_limited,
    protocol::{Body, Http, ResponseReceiver},
    rejection::Rejection,
    server::carry_on,
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
    answering: Answering,
    /// Whether the body is to be withheld, because the request is a HEAD.
    is_head: bool,
}

pub(super) enum Answering {
    Page(Page),
    Socket(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
    Now(Option<Response<Body>>),
}

impl Answering {
    /// Runs the application until it has responded.
    pub(super) fn page(conversation: Conversation, reply: ResponseReceiver) -> Self {
        Self::Page(Page {
            conversation: Some(conversation),
            reply,
            refusal: None,
        })
    }

    pub(super) fn socket(opening: impl Future<Output = Response<Body>> + Send + 'static) -> Self {
        Self::Socket(Box::pin(opening))
    }

    pub(super) fn now(response: Response<Body>) -> Self {
        Self::Now(Some(response))
    }
}

impl ResponseFuture {
    /// Creates the future. The response to a HEAD has no body (RFC 9110, 9.3.2): hyper withholds it
    /// over HTTP/1, but not over HTTP/2.
    pub(super) fn new(answering: Answering, is_head: bool) -> Self {
        Self { answering, is_head }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.answering {
            Answering::Page(page) => ready!(page.poll(cx)),
            Answering::Socket(opening) => ready!(opening.as_mut().poll(cx)),
            Answering::Now(response) => response.take().expect("not polled after it was ready"),
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

/// An HTTP request without a response yet. Its application runs here until it has responded; then
/// `carry_on` runs the rest of it. If the client disconnects before, this is dropped, and with it
/// the application, at an await.
pub(super) struct Page {
    conversation: Option<Conversation>,
    reply: ResponseReceiver,
    /// The response if the application failed because it could not read the request's body.
    refusal: Option<Rejection>,
}

impl Page {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        if let Some(conversation) = &mut self.conversation
            && let Poll::Ready(outcome) = conversation.as_mut().poll(cx)
        {
            self.conversation = None;
            match outcome {
                Err(error) if error.body_error().is_some() => {
                    self.refusal = Some(Rejection::from(error));
                }
                outcome => note::<Http>(outcome),
            }
        }
        let reply = ready!(Pin::new(&mut self.reply).poll(cx));
        if let Some(conversation) = self.conversation.take() {
            carry_on(conversation);
        }
        Poll::Ready(reply.unwrap_or_else(|_| {
            refusal(self.refusal.take().unwrap_or_else(|| {
                log_limited!(
                    error,
                    "an application ended without a response; the client gets a 500"
                );
                StatusCode::INTERNAL_SERVER_ERROR.into()
            }))
        }))
    }
}

pub(super) fn refusal(reject: impl Into<Rejection>) -> Response<Body> {
    reject.into().into_response().map(Body::from)
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
