//! Authentication and authorization.
//!
//! | file | contents |
//! | --- | --- |
//! | `authenticator.rs` | the trait that an application implements |
//! | `layer.rs` | the middleware |
//! | `auth_session.rs` | log-in and log-out |
//! | `user.rs` | the extractor of the user |
//! | `require.rs` | the middleware that admits only users |
//! | `token.rs` | bearer tokens, for clients without cookies |
//! | `disconnect.rs` | closing a user's connections in every process |

mod auth_session;
mod authenticator;
mod disconnect;
mod layer;
mod require;
mod token;
mod user;

pub(crate) use self::user::{nobody, user_in};
pub use self::{
    auth_session::AuthSession,
    authenticator::Authenticator,
    layer::{Auth, WithUser},
    require::{RequireUser, Required},
    user::User,
};
