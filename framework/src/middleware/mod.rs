//! Middleware: applications that wrap applications.
//!
//! A middleware is a configuration that implements tower's `Layer`.
//! [`with`](crate::ApplicationExt::with) wraps an application in it. The same middleware serves
//! HTTP and WebSocket.
//!
//! | middleware | effect |
//! | --- | --- |
//! | [`Provide`] | inserts a value into every scope |
//! | [`ProvideAll`] | inserts the values of all startup functions into every scope |
//! | [`Sessions`] | loads and saves the client's session, and sets its cookie |
//! | [`Auth`] | identifies the user, and provides login and logout |
//! | [`RequireUser`] | rejects clients that are not logged in |
//! | [`RejectCrossSite`] | rejects unsafe requests from pages of other origins (CSRF) |
//! | [`AllowedOrigins`](crate::protocol::AllowedOrigins) | restricts which origins may open a WebSocket |
//! | [`WebSocketConfig`](crate::protocol::WebSocketConfig) | sets the limits of WebSocket connections |

#[cfg(feature = "sessions")]
pub(crate) mod auth;
mod cross_site;
mod provide;
#[cfg(feature = "server")]
mod provide_all;
#[cfg(feature = "sessions")]
mod sessions;
mod sockets;

#[cfg(feature = "sessions")]
pub(crate) use self::auth::LogInAs;
#[cfg(all(feature = "axum", feature = "sessions"))]
pub(crate) use self::auth::{unauthorized, user_in};
#[cfg(feature = "server")]
pub use self::provide_all::{ProvideAll, WithValues};
#[cfg(feature = "sessions")]
pub use self::{
    auth::{Auth, AuthSession, Authenticator, RequireUser, User, WithRequiredUser, WithUser},
    sessions::{Sessions, WithSession},
};
pub use self::{
    cross_site::{RejectCrossSite, WithCrossSiteCheck},
    provide::{Provide, WithValue},
    sockets::WithWebSocketConfig,
};
