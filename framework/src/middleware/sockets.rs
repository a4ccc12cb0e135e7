//! Middleware that configures WebSocket connections: limits and allowed origins.

use crate::{
    application::Application,
    protocol::{AllowedOrigins, Upgrade, WebSocket, WebSocketConfig},
    required_state::RequiredState,
    scope::Scope,
};
use std::{future::Future, sync::Arc};
use tower_layer::Layer;

/// An application wrapped by [`WebSocketConfig`] or [`AllowedOrigins`].
///
/// If several set the same value, the innermost wins.
#[derive(Clone, Debug)]
pub struct WithWebSocketConfig<A> {
    inner: A,
    setting: Setting,
}

#[derive(Clone, Debug)]
enum Setting {
    All(Arc<WebSocketConfig>),
    Origins(AllowedOrigins),
}

impl<A> Layer<A> for WebSocketConfig {
    type Service = WithWebSocketConfig<A>;

    fn layer(&self, inner: A) -> Self::Service {
        WithWebSocketConfig {
            inner,
            setting: Setting::All(Arc::new(self.clone())),
        }
    }
}

/// Wraps an application.
///
/// ```
/// use seaway::{ApplicationExt, protocol::{AllowedOrigins, WebSocket}, routing::PathRouter};
///
/// let router = PathRouter::<WebSocket>::new().with(AllowedOrigins::list(["https://app.example"]));
/// ```
impl<A> Layer<A> for AllowedOrigins {
    type Service = WithWebSocketConfig<A>;

    fn layer(&self, inner: A) -> Self::Service {
        WithWebSocketConfig {
            inner,
            setting: Setting::Origins(self.clone()),
        }
    }
}

impl<A: Application<WebSocket>> Application<WebSocket> for WithWebSocketConfig<A> {
    fn call(
        &self,
        scope: Scope<WebSocket>,
        mut upgrade: Upgrade,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        match &self.setting {
            Setting::All(config) => upgrade.set_config(config.clone()),
            Setting::Origins(origins) => upgrade.set_allowed_origins(origins.clone()),
        }
        self.inner.call(scope, upgrade)
    }

    fn required_state(&self) -> RequiredState {
        self.inner.required_state()
    }
}
