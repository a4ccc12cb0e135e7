//! Applications, which handle one connection per call.

use crate::{
    catch_panic::catch_panic,
    log_limit::log_limited,
    required_state::RequiredState,
    scope::{Protocol, Scope},
};
use std::{fmt, future::Future, pin::Pin, sync::Arc};
use tower_layer::Layer;

/// An application, which handles one whole connection per call.
///
/// Routers, middleware and consumers are applications, and can be nested. A tower `Service` handles
/// requests that need exactly one response; an `Application` handles whole connections.
///
/// ```
/// use seaway::{Application, Result, Scope, protocol::{WebSocket, Upgrade}};
///
/// /// Sends one message and closes the connection.
/// struct Hello;
/// impl Application<WebSocket> for Hello {
///     async fn call(&self, _: Scope<WebSocket>, upgrade: Upgrade) -> Result<()> {
///         let mut socket = upgrade.accept().await?;
///         socket.send("hello").await?;
///         socket.close(1000).await;
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot serve `{P}` connections",
    label = "not an application for this protocol",
    note = "a tower service, such as an `axum::Router`, handles HTTP requests through `seaway::from_service(…)`",
    note = "an async function becomes an application through `seaway::application_fn(…)`",
    note = "a `ProtocolTypeRouter` serves several protocols: `.get::<Http>()` returns the application of one"
)]
pub trait Application<P: Protocol>: Send + Sync + 'static {
    /// Handles a connection until it ends.
    ///
    /// The caller logs errors.
    fn call(
        &self,
        scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send;

    /// Returns the values that this application needs in its scopes (default: none, so nothing is
    /// checked).
    ///
    /// [`serve`](crate::serve) checks those of a router before it accepts connections; see
    /// [`ProtocolTypeRouter::required_state`](crate::routing::ProtocolTypeRouter::required_state).
    ///
    /// Middleware returns what its inner application needs, without what it provides itself:
    /// `self.inner.required_state().without::<Visit>()`. If it keeps the default, a value that is
    /// missing inside it is reported only when a client needs it, by a 500.
    fn required_state(&self) -> RequiredState {
        RequiredState::none()
    }
}

/// Extension methods of applications.
pub trait ApplicationExt<P: Protocol>: Application<P> + Sized {
    /// Wraps this application in middleware.
    ///
    /// The last `with` is the outermost.
    ///
    /// ```
    /// use seaway::{ApplicationExt, middleware::Provide, protocol::WebSocket, routing::PathRouter};
    ///
    /// # #[derive(Clone)] struct Greeting(&'static str);
    /// let app = PathRouter::<WebSocket>::new().with(Provide(Greeting("ahoy")));
    /// ```
    fn with<L: Layer<Self>>(self, middleware: L) -> L::Service {
        middleware.layer(self)
    }

    /// Erases the type, so that applications of different types fit one collection.
    fn boxed(self) -> BoxApplication<P> {
        BoxApplication(Arc::new(self))
    }
}

impl<P: Protocol, A: Application<P>> ApplicationExt<P> for A {}

/// An application whose type is erased; clones share it.
pub struct BoxApplication<P: Protocol>(Arc<dyn ErasedApplication<P>>);

impl<P: Protocol> BoxApplication<P> {
    /// Returns whether both are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Calls the application as [`Application::call`] does, with an owned, boxed future; a panic
    /// becomes an error.
    pub(crate) fn start(&self, scope: Scope<P>, connection: P::Connection) -> ApplicationFuture {
        self.0.clone().start(scope, connection)
    }

    /// Calls the application as [`Application::call`] does.
    pub(crate) fn call_boxed(
        &self,
        scope: Scope<P>,
        connection: P::Connection,
    ) -> Pin<Box<dyn Future<Output = crate::Result<()>> + Send + '_>> {
        self.0.call_boxed(scope, connection)
    }
}

impl<P: Protocol> Clone for BoxApplication<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Protocol> Application<P> for BoxApplication<P> {
    fn call(
        &self,
        scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        BoxApplication::call_boxed(self, scope, connection)
    }

    fn required_state(&self) -> RequiredState {
        self.0.required_state()
    }
}

/// The future of a running application; it borrows nothing.
pub(crate) type ApplicationFuture = Pin<Box<dyn Future<Output = crate::Result<()>> + Send>>;

/// Logs an application's error, unless the client caused it or a driver has logged it.
pub(crate) fn log_outcome<P: Protocol>(outcome: crate::Result<()>) {
    match outcome {
        Err(error) if !error.is_closed() && !error.is_logged() && error.body_error().is_none() => {
            log_limited!(error, protocol = P::NAME, error = %format_args!("{error:#}"), "an application failed");
        }
        _ => {}
    }
}

trait ErasedApplication<P: Protocol>: Send + Sync + 'static {
    fn call_boxed(
        &self,
        scope: Scope<P>,
        connection: P::Connection,
    ) -> Pin<Box<dyn Future<Output = crate::Result<()>> + Send + '_>>;

    fn start(self: Arc<Self>, scope: Scope<P>, connection: P::Connection) -> ApplicationFuture;

    fn required_state(&self) -> RequiredState;
}

impl<P: Protocol, A: Application<P>> ErasedApplication<P> for A {
    fn call_boxed(
        &self,
        scope: Scope<P>,
        connection: P::Connection,
    ) -> Pin<Box<dyn Future<Output = crate::Result<()>> + Send + '_>> {
        Box::pin(self.call(scope, connection))
    }

    fn start(self: Arc<Self>, scope: Scope<P>, connection: P::Connection) -> ApplicationFuture {
        // Boxed, so that the future, which lives as long as the connection, does not keep the
        // memory of both after they have moved into the application.
        let opening = Box::new((scope, connection));
        Box::pin(async move {
            let call = || {
                let (scope, connection) = *opening;
                self.call(scope, connection)
            };
            catch_panic(call).await?
        })
    }

    fn required_state(&self) -> RequiredState {
        Application::required_state(self)
    }
}

/// Creates an application from an async function, as tower's `service_fn` creates a service.
///
/// ```
/// use seaway::{Application, Scope, application_fn, protocol::{Upgrade, WebSocket}};
///
/// let echo = application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async move {
///     let mut socket = upgrade.accept().await?;
///     while let Some(message) = socket.receive().await {
///         socket.send(message).await?;
///     }
///     socket.close(1000).await;
///     Ok(())
/// });
/// # fn is<A: Application<WebSocket>>(_: A) {}
/// # is(echo);
/// ```
pub fn application_fn<F>(function: F) -> ApplicationFn<F> {
    ApplicationFn(function)
}

/// The application made by [`application_fn`].
#[derive(Clone, Copy, Debug)]
#[must_use = "an application does nothing until it is routed or served"]
pub struct ApplicationFn<F>(F);

impl<P, F, Fut> Application<P> for ApplicationFn<F>
where
    P: Protocol,
    F: Fn(Scope<P>, P::Connection) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = crate::Result<()>> + Send,
{
    fn call(
        &self,
        scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        (self.0)(scope, connection)
    }
}

impl<P: Protocol> fmt::Debug for BoxApplication<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxApplication").finish_non_exhaustive()
    }
}
