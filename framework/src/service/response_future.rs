//! The answer to a request, on its way.

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

/// The answer to a request, on its way.
pub struct ResponseFuture {
    answering: Answering,
    /// Whether the body is to be withheld.
    is_head: bool,
}

pub(super) enum Answering {
    Page(Page),
    Socket(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
    Now(Option<Response<Body>>),
}

impl Answering {
    /// The conversation runs until it has answered.
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
    /// A HEAD is answered without a body (RFC 9110, 9.3.2). Over HTTP/1 hyper withholds it, and over HTTP/2 it does not.
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

/// Says how long the body would be, unless there is none, or what is further in withholds it already.
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

/// A page that is being answered. The conversation runs here until it has answered; what it does afterwards goes on by
/// itself. A client that leaves before drops this, and with it the conversation, at an await.
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
                    "an application ended without an answer; the client gets a 500"
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
