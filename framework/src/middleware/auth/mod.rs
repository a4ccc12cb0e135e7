//! Authentication and authorization.
//!
//! | file | contents |
//! | --- | --- |
//! | `authenticator.rs` | the trait that an application implements |
//! | `layer.rs` | the middleware |
//! | `auth_session.rs` | login and logout |
//! | `user.rs` | the extractor of the user |
//! | `lazy_user.rs` | the user of one connection, loaded on first use |
//! | `require.rs` | the middleware that admits only users |
//! | `token.rs` | bearer tokens, for clients without cookies |
//! | `disconnect.rs` | closing a user's connections in every process |
//! | `log_in_as.rs` | login without credentials, for tests |

mod auth_session;
mod authenticator;
pub(crate) mod disconnect;
mod layer;
pub(crate) mod lazy_user;
mod log_in_as;
mod require;
mod token;
pub(crate) mod user;

pub(crate) use self::log_in_as::LogInAs;
#[cfg(feature = "axum")]
pub(crate) use self::user::{unauthorized, user_in};
pub use self::{
    auth_session::AuthSession,
    authenticator::Authenticator,
    layer::{Auth, WithUser},
    require::{RequireUser, WithRequiredUser},
    user::User,
};

/// The remedy for an application that needs a user and has no [`Auth`] around it.
const WRAP_IN_AUTH: &str = "wrap the application in the middleware Auth, whose users have this \
    type, by a `.with` after those of middleware that needs it: the last `.with` is the outermost";
