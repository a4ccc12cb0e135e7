//! One application per protocol.

use crate::{
    application::{Application, ApplicationExt, BoxApplication},
    protocol::{Http, WebSocket, Worker},
    scope::Protocol,
};
use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};
use tower_layer::Layer;

/// One application per protocol: what a server is given.
///
/// Outward it is a tower service: [`serve`](crate::serve) it, or mount it in axum.
///
/// ```
/// use seaway::{WebSocketConsumer, Channels, routing::{PathRouter, ProtocolTypeRouter}, from_service};
/// # use seaway::{Context, Message, Handshake, Rejection, Result, NoEvent};
/// # struct Echo;
/// # impl WebSocketConsumer for Echo {
/// #     type Input = Message;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, ctx: &mut Context, message: Message) -> Result<()> { ctx.send(message).await }
/// # }
/// let channels = Channels::in_memory();
/// let pages = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
///
/// let app = ProtocolTypeRouter::new()
///     .http(from_service(pages))
///     .websocket(PathRouter::new().route("/ws/echo", Echo::application(&channels)));
/// ```
///
/// Wrong wiring does not compile:
///
/// ```compile_fail
/// # use seaway::{routing::ProtocolTypeRouter, from_service};
/// let pages: axum::Router = axum::Router::new();
/// ProtocolTypeRouter::new().websocket(from_service(pages)); // cannot serve `WebSocket` connections
/// ```
#[derive(Clone, Default)]
pub struct ProtocolTypeRouter {
    /// By the protocol's type, so what is put in is what is found. They are few: looking through them beats hashing.
    applications: Arc<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
}

impl ProtocolTypeRouter {
    /// A router that serves nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves pages.
    #[must_use]
    pub fn http(self, application: impl Application<Http>) -> Self {
        self.protocol(application)
    }

    /// Serves WebSockets.
    #[must_use]
    pub fn websocket(self, application: impl Application<WebSocket>) -> Self {
        self.protocol(application)
    }

    /// Serves a worker's jobs.
    #[must_use]
    pub fn worker(self, application: impl Application<Worker>) -> Self {
        self.protocol(application)
    }

    /// Serves any protocol, yours too. A second application for the same one replaces the first.
    #[must_use]
    pub fn protocol<P: Protocol>(mut self, application: impl Application<P>) -> Self {
        let applications = Arc::make_mut(&mut self.applications);
        let key = TypeId::of::<P>();
        applications.retain(|(known, _)| *known != key);
        applications.push((key, Arc::new(application.boxed())));
        self
    }

    /// Puts one middleware around the pages and around the sockets that were added so far. The last `with` is the
    /// outermost.
    ///
    /// ```
    /// use seaway::{from_service, middleware::Provide, routing::ProtocolTypeRouter};
    ///
    /// # #[derive(Clone)] struct Greeting(&'static str);
    /// let app = ProtocolTypeRouter::new()
    ///     .http(from_service(axum::Router::<()>::new()))
    ///     .with(Provide(Greeting("ahoy")));
    /// ```
    ///
    /// # Panics
    /// If there are neither pages nor sockets yet: it would guard nothing.
    #[must_use]
    #[track_caller]
    pub fn with<M>(mut self, middleware: M) -> Self
    where
        M: Layer<BoxApplication<Http>> + Layer<BoxApplication<WebSocket>>,
        <M as Layer<BoxApplication<Http>>>::Service: Application<Http>,
        <M as Layer<BoxApplication<WebSocket>>>::Service: Application<WebSocket>,
    {
        assert!(
            self.get::<Http>().is_some() || self.get::<WebSocket>().is_some(),
            "there is nothing to put middleware around yet: call `with` after `http` and `websocket`"
        );
        if let Some(pages) = self.get::<Http>().cloned() {
            self = self.http(middleware.layer(pages));
        }
        if let Some(sockets) = self.get::<WebSocket>().cloned() {
            self = self.websocket(middleware.layer(sockets));
        }
        self
    }

    /// The application for a protocol, for whoever accepts its connections.
    pub fn get<P: Protocol>(&self) -> Option<&BoxApplication<P>> {
        let key = TypeId::of::<P>();
        let mut known = self.applications.iter();
        let (_, application) = known.find(|(known, _)| *known == key)?;
        application.downcast_ref()
    }
}

impl fmt::Debug for ProtocolTypeRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtocolTypeRouter")
            .field("protocols", &self.applications.len())
            .finish()
    }
}
