//! Guards: applications around applications.
//!
//! A middleware is a configuration that implements tower's `Layer`, put around an application with
//! [`with`](crate::ApplicationExt::with). The same one guards pages and sockets.
//!
//! | middleware | does |
//! | --- | --- |
//! | [`Provide`] | puts a value into every scope |
//! | [`ProvideAll`] | puts all that start-up functions have made into every scope |
//! | [`Sessions`] | the visitor's session, and its cookie |
//! | [`Auth`] | who the visitor is, and the right to log in and out |
//! | [`RequireUser`] | turns away whoever is not logged in |
//! | [`AllowedOrigins`](crate::protocol::AllowedOrigins) | which pages may open a socket |
//! | [`WebSocketConfig`](crate::protocol::WebSocketConfig) | the limits of sockets |

#[cfg(feature = "sessions")]
mod auth;
mod provide;
mod provide_all;
#[cfg(feature = "sessions")]
mod sessions;
mod sockets;

#[cfg(feature = "sessions")]
pub(crate) use self::auth::{nobody, user_in};
#[cfg(feature = "sessions")]
pub use self::{
    auth::{Auth, AuthSession, Authenticator, RequireUser, Required, User, WithUser},
    sessions::{Sessions, WithSession},
};
pub use self::{
    provide::{Provide, Provided},
    provide_all::{ProvideAll, ProvidedAll},
    sockets::Configured,
};
