//! The router that selects an application by protocol.

use crate::{
    application::{Application, ApplicationExt, BoxApplication},
    protocol::{Http, WebSocket},
    required_state::RequiredState,
    scope::Protocol,
};
use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};
use tower_layer::Layer;

/// The outermost router, which selects an application by the connection's protocol.
///
/// It is a tower service: [`serve`](crate::serve) it, or mount it in axum.
///
/// ```
/// use seaway::{WebSocketConsumer, Channels, routing::{PathRouter, ProtocolTypeRouter}, from_service};
/// # use seaway::{Context, Message, Handshake, Rejection, Result, NoEvent};
/// # struct Echo;
/// # impl WebSocketConsumer for Echo {
/// #     type Input = Message;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, ctx: &mut Context, message: Message) -> Result<()> { Ok(ctx.send(message).await?) }
/// # }
/// let channels = Channels::in_memory();
/// let web = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
///
/// let app = ProtocolTypeRouter::new()
///     .http(from_service(web))
///     .websocket(PathRouter::new().route("/ws/echo", Echo::application(&channels)));
/// ```
///
/// Wrong wiring does not compile:
///
/// ```compile_fail
/// # use seaway::{routing::ProtocolTypeRouter, from_service};
/// let web: axum::Router = axum::Router::new();
/// ProtocolTypeRouter::new().websocket(from_service(web)); // cannot serve `WebSocket` connections
/// ```
#[derive(Clone, Default)]
#[must_use = "a router does nothing until it is served"]
pub struct ProtocolTypeRouter {
    /// Applications by the type of the protocol, which guarantees the downcast. They are few, so a
    /// linear search is faster than hashing.
    applications: Arc<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>,
}

impl ProtocolTypeRouter {
    /// Returns a router without applications.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the application for HTTP requests.
    pub fn http(self, application: impl Application<Http>) -> Self {
        self.protocol(application)
    }

    /// Sets the application for WebSocket connections.
    pub fn websocket(self, application: impl Application<WebSocket>) -> Self {
        self.protocol(application)
    }

    /// Sets the application for any protocol, including your own.
    ///
    /// A second application for the same protocol replaces the first.
    ///
    /// ```
    /// use seaway::{Protocol, Result, Scope, application_fn, routing::ProtocolTypeRouter};
    /// use tokio::net::TcpStream;
    ///
    /// /// Plain lines over TCP.
    /// struct Lines;
    ///
    /// impl Protocol for Lines {
    ///     const NAME: &'static str = "lines";
    ///     type Head = ();
    ///     type Connection = TcpStream;
    /// }
    ///
    /// let app = ProtocolTypeRouter::new()
    ///     .protocol(application_fn(|_: Scope<Lines>, _: TcpStream| async { Ok(()) }));
    /// ```
    pub fn protocol<P: Protocol>(mut self, application: impl Application<P>) -> Self {
        let applications = Arc::make_mut(&mut self.applications);
        let key = TypeId::of::<P>();
        applications.retain(|(known, _)| *known != key);
        applications.push((key, Arc::new(application.boxed())));
        self
    }

    /// Wraps the HTTP and WebSocket applications that were set so far in a middleware.
    ///
    /// The last `with` is the outermost.
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
    /// If no HTTP or WebSocket application is set yet: the middleware would have no effect.
    #[track_caller]
    pub fn with(mut self, middleware: impl RouterMiddleware) -> Self {
        assert!(
            self.get::<Http>().is_some() || self.get::<WebSocket>().is_some(),
            "there is no application to wrap in middleware yet: call `with` after `http` and `websocket`"
        );
        if let Some(http) = self.get::<Http>().cloned() {
            self = self.http(middleware.layer(http));
        }
        if let Some(sockets) = self.get::<WebSocket>().cloned() {
            self = self.websocket(middleware.layer(sockets));
        }
        self
    }

    /// Returns the values that the HTTP and WebSocket applications need in their scopes, and that
    /// no middleware inside this router provides.
    ///
    /// [`serve`](crate::serve) checks them. Under another server, inside a tower middleware, or of a
    /// consumer without a router, check them yourself: `running.check(app.required_state())?`, or,
    /// without startup functions, `app.required_state().check()?`.
    pub fn required_state(&self) -> RequiredState {
        let pages = self.get::<Http>().map(Application::required_state);
        let sockets = self.get::<WebSocket>().map(Application::required_state);
        pages.unwrap_or_default().and(sockets.unwrap_or_default())
    }

    /// Returns the application for a protocol, for the code that accepts its connections.
    pub fn get<P: Protocol>(&self) -> Option<&BoxApplication<P>> {
        let key = TypeId::of::<P>();
        let mut known = self.applications.iter();
        let (_, application) = known.find(|(known, _)| *known == key)?;
        application.downcast_ref()
    }
}

/// Middleware for HTTP and for WebSockets: a tower `Layer` whose services are applications of both.
///
/// Middleware of one protocol, such as [`AllowedOrigins`](crate::protocol::AllowedOrigins), is put
/// around a consumer or a [`PathRouter`](crate::routing::PathRouter).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not middleware for HTTP and WebSockets",
    label = "put it around the consumer or the `PathRouter`",
    note = "a `ProtocolTypeRouter` takes middleware for both protocols; `AllowedOrigins` and `WebSocketConfig` are only for WebSockets: \
            `.websocket(PathRouter::new().route(…).with(…))`",
    note = "a layer of tower or tower-http is put around an `axum::Router`, or around the `ProtocolTypeRouter` as a tower service"
)]
pub trait RouterMiddleware:
    Layer<BoxApplication<Http>, Service: Application<Http>>
    + Layer<BoxApplication<WebSocket>, Service: Application<WebSocket>>
{
}

#[diagnostic::do_not_recommend]
impl<M> RouterMiddleware for M where
    M: Layer<BoxApplication<Http>, Service: Application<Http>>
        + Layer<BoxApplication<WebSocket>, Service: Application<WebSocket>>
{
}

impl fmt::Debug for ProtocolTypeRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtocolTypeRouter")
            .field("protocols", &self.applications.len())
            .finish()
    }
}
