//! Django's login: a user who is logged in on a Django page is that user in a consumer.
//!
//! [`DjangoAuth`] is the middleware; it reads the session cookie, Django's session
//! ([`DjangoSessions`]) and the user's row ([`DjangoDatabase`]).
//! The guide `docs/from-django.md` has the settings of both sides, and the logout's announcement.
//!
//! | type | contents |
//! | --- | --- |
//! | [`DjangoAuth`] | the middleware, as [`Auth`](crate::middleware::Auth) for a Django site |
//! | [`DjangoUser`] | the user: name, staff, superuser, permissions, groups |
//! | [`DjangoSession`] | the values of the session |
//! | [`DjangoSessions`] | where Django stores sessions: `SESSION_ENGINE` |
//! | [`DjangoDatabase`] | the database |
//! | [`UserTable`], [`ColumnValue`] | the table of the user model, and which rows of it are users |
//! | [`SecretKeys`] | `SECRET_KEY` and `SECRET_KEY_FALLBACKS` |
//! | [`DjangoView`] | instead of tables and keys, a view of the site that returns the user of a session cookie |

// | file | contains |
// | --- | --- |
// | `auth.rs` | [`DjangoAuth`] |
// | `source.rs` | where users come from: tables or a view |
// | `view.rs` | [`DjangoView`] |
// | `recheck.rs` | checks of open connections, shared by those with the same cookie |
// | `session.rs`, `sessions.rs` | the session of one client; the engines |
// | `user.rs` | [`DjangoUser`], and its permissions and groups |
// | `database.rs` | [`DjangoDatabase`], and the queries for sessions |
// | `users.rs`, `user_query.rs`, `grants.rs` | the user table; the query for a user; those for permissions and groups |
// | `pool.rs`, `dialect.rs` | connections, and queries in time; the differences between databases |
// | `cache.rs`, `pickle.rs` | sessions in Redis; a decoder for pickled data |
// | `signing.rs` | secret keys: signed strings, session hashes |
// | `data.rs` | the values of a session |
// | `cookie.rs` | the session cookie |
// | `handlers.rs` | the session in axum's handlers |
// | `vectors.rs` | values that Django has made, for tests |

mod auth;
#[cfg(feature = "redis")]
mod cache;
mod cookie;
mod data;
mod database;
mod dialect;
mod grants;
#[cfg(feature = "axum")]
mod handlers;
#[cfg(feature = "redis")]
mod pickle;
mod pool;
mod recheck;
mod session;
mod sessions;
mod signing;
mod source;
mod user;
mod user_query;
mod users;
#[cfg(test)]
mod vectors;
mod view;

#[cfg(feature = "redis")]
pub use self::cache::DjangoCache;
pub use self::{
    auth::{DjangoAuth, WithDjangoUser},
    database::DjangoDatabase,
    session::DjangoSession,
    sessions::DjangoSessions,
    signing::SecretKeys,
    user::DjangoUser,
    users::{ColumnValue, UserTable},
    view::DjangoView,
};
