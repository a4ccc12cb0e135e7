//! Who a visitor is.
//!
//! | file | idea |
//! | --- | --- |
//! | `authenticator.rs` | what the user of the framework writes |
//! | `layer.rs` | the middleware |
//! | `auth_session.rs` | log in, log out |
//! | `user.rs` | who it is, for handlers |
//! | `require.rs` | nobody else may pass |
//! | `token.rs` | how clients without cookies show who they are |
//! | `disconnect.rs` | a user's sockets, ended everywhere |

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
