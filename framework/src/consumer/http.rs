//! One request that may wait for events before it is answered.

use super::NoEvent;
use crate::{
    application::Application,
    channels::{Channels, Event, Group, Mailbox, Shared},
    error::Result,
    guard::guarded,
    protocol::{Body, Exchange, Http},
    reject::Reject,
    scope::{OpensOverHttp, Params, Scope},
};
use http::{Request, Response};
use std::{fmt, future::Future, marker::PhantomData, net::SocketAddr, str::FromStr};

/// One request, answered once; it may join groups and wait for events before it answers.
///
/// ```
/// use seaway::{HttpConsumer, HttpContext, Result, protocol::Body};
/// use std::time::Duration;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] #[serde(tag = "type")] enum Said { Message { text: String } }
///
/// /// Long polling: the next thing said in the room, or 204 after half a minute.
/// struct Next;
///
/// impl HttpConsumer for Next {
///     type Event = Said;
///
///     async fn handle(_: http::Request<Body>, ctx: &mut HttpContext<Said>) -> Result<http::Response<Body>> {
///         ctx.join("chat.lobby").await?;
///         let mut response = http::Response::new(Body::empty());
///         match tokio::time::timeout(Duration::from_secs(30), ctx.next_event()).await {
///             Ok(event) => {
///                 let Said::Message { text } = &*event;
///                 *response.body_mut() = Body::from(text.clone());
///             }
///             Err(_) => *response.status_mut() = http::StatusCode::NO_CONTENT,
///         }
///         Ok(response)
///     }
/// }
/// ```
///
/// A client that leaves ends the wait: the future is dropped at its await. An error answers 503 if the channel layer is
/// to blame and 500 otherwise, and is logged.
pub trait HttpConsumer: Sized + Send + 'static {
    /// What other consumers say: a type of yours, or [`NoEvent`].
    type Event: Event;

    /// Answers the request.
    fn handle(
        request: Request<Body>,
        ctx: &mut HttpContext<Self::Event>,
    ) -> impl Future<Output = Result<Response<Body>>> + Send;

    /// The application that answers one request after the other.
    fn application(channels: &Channels) -> HttpConsumerApplication<Self> {
        HttpConsumerApplication {
            channels: channels.clone(),
            consumer: PhantomData,
        }
    }
}

/// What an HTTP consumer can do besides answering. See [`HttpConsumer`] for an example.
pub struct HttpContext<E = NoEvent> {
    channels: Channels,
    /// Opened with the first group: most requests need none.
    mailbox: Option<Mailbox>,
    params: Params,
    client: Option<SocketAddr>,
    event: PhantomData<fn(E)>,
}

impl<E: Event> HttpContext<E> {
    /// Makes this consumer a member of the group, until it has answered.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if it is no group name,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not take it.
    pub async fn join(&mut self, group: &str) -> Result<Group<E>> {
        let group = self.channels.group(group)?;
        if self.mailbox.is_none() {
            self.mailbox = Some(self.channels.open().await?);
        }
        if let Some(mailbox) = &self.mailbox {
            group.add(mailbox.name()).await?;
        }
        Ok(group)
    }

    /// Waits for the next event of the groups that were joined; without a group, forever. What is no `E` is counted and
    /// passed over.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next_event(&mut self) -> Shared<E> {
        let Some(mailbox) = &mut self.mailbox else {
            return std::future::pending().await;
        };
        loop {
            match mailbox.receive().await.decode() {
                Ok(event) => return event,
                Err(error) => self.channels.note_undecodable(&error),
            }
        }
    }

    /// A path parameter.
    ///
    /// # Errors
    /// As [`Scope::path`].
    pub fn path<T: FromStr>(&self, name: &str) -> Result<T, Reject> {
        self.params.path(name)
    }

    /// Where the client is, if it came over a network.
    pub fn client(&self) -> Option<SocketAddr> {
        self.client
    }

    /// The channel layer.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }
}

/// What [`HttpConsumer::application`] returns.
pub struct HttpConsumerApplication<C> {
    channels: Channels,
    consumer: PhantomData<fn() -> C>,
}

impl<C: HttpConsumer> Application<Http> for HttpConsumerApplication<C> {
    async fn call(&self, mut scope: Scope<Http>, mut exchange: Exchange) -> Result<()> {
        let mut ctx = HttpContext {
            channels: self.channels.clone(),
            mailbox: None,
            params: scope.take_params(),
            client: scope.client,
            event: PhantomData,
        };
        let mut head = *scope.head;
        head.extensions = scope.extensions;
        let request = Request::from_parts(head, exchange.take_body());
        match guarded(C::handle(request, &mut ctx)).await {
            Ok(Ok(response)) => exchange.respond(response).await,
            Ok(Err(error)) | Err(error) => Http::refuse(exchange, error).await,
        }
    }
}

impl<C> Clone for HttpConsumerApplication<C> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            consumer: PhantomData,
        }
    }
}

impl<C> fmt::Debug for HttpConsumerApplication<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpConsumerApplication")
            .field(&std::any::type_name::<C>())
            .finish()
    }
}
