//! Middleware that provides one value to every connection.

use crate::{
    application::Application,
    required_state::RequiredState,
    scope::{Protocol, Scope},
};
use std::future::Future;
use tower_layer::Layer;

/// Middleware that inserts a value into every scope: a database pool, a cache, settings.
///
/// ```
/// use seaway::{ApplicationExt, middleware::Provide, protocol::WebSocket, routing::PathRouter};
/// use std::sync::Arc;
///
/// struct Database;
/// let router = PathRouter::<WebSocket>::new().with(Provide(Arc::new(Database)));
/// // In a consumer: handshake.state::<Arc<Database>>()?
/// ```
#[derive(Clone, Debug)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct Provide<T>(pub T);

/// An application wrapped by [`Provide`].
#[derive(Clone, Debug)]
pub struct WithValue<A, T> {
    inner: A,
    value: T,
}

impl<A, T: Clone> Layer<A> for Provide<T> {
    type Service = WithValue<A, T>;

    fn layer(&self, inner: A) -> Self::Service {
        WithValue {
            inner,
            value: self.0.clone(),
        }
    }
}

impl<P, A, T> Application<P> for WithValue<A, T>
where
    P: Protocol,
    A: Application<P>,
    T: Clone + Send + Sync + 'static,
{
    fn call(
        &self,
        mut scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        scope.insert(self.value.clone());
        self.inner.call(scope, connection)
    }

    fn required_state(&self) -> RequiredState {
        self.inner.required_state().without::<T>()
    }
}
