//! The HTTP protocol: one request, one response.

use super::{
    super::{connection_handle::ConnectionHandle, response_hooks},
    Body,
};
use crate::{
    error::{Error, Result},
    rejection::Rejection,
    rejection_log::Peer,
    scope::{OpensOverHttp, Protocol, ResponseHook},
};
use http::{Response, request};
use std::fmt;
use tokio::sync::oneshot;

/// The HTTP protocol: one request, and one response, which may stream.
#[derive(Debug)]
pub struct Http;

impl Protocol for Http {
    const NAME: &'static str = "http";
    type Head = request::Parts;
    type Connection = Exchange;
}

/// A request that waits for its response.
///
/// ```
/// use seaway::{Result, Scope, protocol::{Body, Exchange, Http}};
///
/// async fn hello(_: Scope<Http>, exchange: Exchange) -> Result<()> {
///     Ok(exchange.respond(http::Response::new(Body::from("hello"))).await?)
/// }
/// ```
pub struct Exchange {
    /// The request's body.
    pub body: Body,
    hooks: Vec<ResponseHook>,
    peer: Peer,
    handle: Option<ConnectionHandle>,
    responder: oneshot::Sender<Response<Body>>,
}

/// The receiver of the response of an [`Exchange`]; an error if the application ended without one.
pub(crate) type ResponseReceiver = oneshot::Receiver<Response<Body>>;

impl Exchange {
    /// Creates an exchange, without a handle if another server serves it.
    pub(crate) fn new(
        body: Body,
        peer: Peer,
        handle: Option<ConnectionHandle>,
    ) -> (Self, ResponseReceiver) {
        let (responder, response) = oneshot::channel();
        let exchange = Self {
            body,
            hooks: Vec::new(),
            peer,
            handle,
            responder,
        };
        (exchange, response)
    }

    /// Takes the request's body, and leaves an empty one.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    pub(crate) fn handle(&self) -> Option<&ConnectionHandle> {
        self.handle.as_ref()
    }

    /// Sends the response, after the response hooks have run.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has disconnected.
    pub async fn respond(self, mut response: Response<Body>) -> Result<()> {
        if !self.hooks.is_empty() {
            // Boxed: it would make the future of every application a kilobyte larger.
            response = Box::pin(response_hooks::run(self.hooks, response, &self.peer)).await;
        }
        self.responder.send(response).map_err(|_| Error::closed())
    }
}

impl OpensOverHttp for Http {
    const IS_PAGE: bool = true;

    fn on_response(exchange: &mut Exchange, hook: ResponseHook) {
        exchange.hooks.push(hook);
    }

    async fn reject(exchange: Exchange, rejection: impl Into<Rejection> + Send) -> Result<()> {
        let response = rejection.into().into_logged_response(&exchange.peer);
        exchange.respond(response.map(Body::from)).await
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
