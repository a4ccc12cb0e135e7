//! Sessions: values that the server stores for a client and finds through a cookie.
//!
//! HTTP and WebSocket handlers share them. The [`Sessions`](crate::middleware::Sessions) middleware
//! inserts the [`Session`] into the scope. A [`SessionStore`] stores the values; the trait is that
//! of tower-sessions, so every store of its ecosystem works.
//!
//! ```
//! use seaway::{Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer, session::Session};
//!
//! /// Counts a user's messages over all connections.
//! struct Counter { session: Session }
//!
//! impl WebSocketConsumer for Counter {
//!     type Input = String;
//!     type Event = NoEvent;
//!
//!     async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
//!         let session: Session = handshake.extract().await?;
//!         // A new session must begin here: an open WebSocket cannot set a cookie.
//!         let said: u64 = session.get("said").await?.unwrap_or(0);
//!         session.insert("said", said).await?;
//!         Ok(Counter { session })
//!     }
//!
//!     async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
//!         self.session.load().await?;
//!         let said: u64 = self.session.get("said").await?.unwrap_or(0) + 1;
//!         self.session.insert("said", said).await?;
//!         self.session.save().await?;
//!         Ok(ctx.send(said.to_string()).await?)
//!     }
//! }
//! ```
//!
//! # HTTP requests and WebSocket handshakes
//! Changes are saved automatically with the response, which also sets the cookie, on a 101 as well.
//! The store is read only when a value is requested, and written only when a value has changed or
//! the expiry is renewed.
//!
//! # Open WebSocket connections
//! No response follows, so call [`save`](Session::save). It
//! - reads the session again and writes only the keys that this connection has changed, so that
//!   keys written by HTTP requests meanwhile are kept;
//! - saves only a session that still exists. After a logout it returns an error of the kind
//!   [`SessionGone`](crate::ErrorKind::SessionGone). If a hook returns that error, the connection
//!   is closed with 4401, unless the consumer's [`failed`](crate::WebSocketConsumer::failed)
//!   handles it;
//! - cannot begin a session or give it a new id, because no response can set the cookie.
//!
//! [`get`](Session::get) reads from memory; call [`load`](Session::load) first to see what HTTP
//! requests have written since.
//!
//! When a session ends ([`flush`](Session::flush), logout, a new id at login), all open
//! connections that have read it are closed in every process: a WebSocket with 4401; an HTTP
//! consumer responds with 401, or its stream ends.
//!
//! # Stores
//! | store | use |
//! | --- | --- |
//! | [`MemoryStore`] | tests, and a single process whose sessions may be lost at a restart |
//! | [`RedisStore`] | any number of processes |
//! | those of `tower-sessions-sqlx-store`, `tower-sessions-moka-store` … for tower-sessions 0.14 | databases, caches |
//!
//! A save is a read and a write. Two connections that change the same session in the same
//! millisecond may overwrite each other's keys. A logout between the read and the write is not
//! undone, with any store: the end of a session is recorded for two minutes, and a save that finds
//! this record deletes what it has written. [`RedisStore`] does not write such a session at all.

// | file | contains |
// | --- | --- |
// | `session.rs` | [`Session`], as handlers use it |
// | `operations.rs` | its operations on the store: read, save, begin, renew, end |
// | `response.rs` | what the response saves, and whether it sets or removes the cookie |
// | `state.rs`, `stage.rs` | what one connection knows of its session, without I/O |
// | `merge.rs` | merging of values by key |
// | `store.rs` | the store, in which an ended session stays ended |
// | `announcement.rs` | the announcement of an end, which closes connections |
// | `cookie.rs`, `expiry.rs` | the session cookie; the expiry of a single session |
// | `redis.rs` | [`RedisStore`] |

mod announcement;
mod cookie;
mod error;
mod expiry;
mod merge;
mod operations;
#[cfg(feature = "redis")]
mod redis;
mod response;
#[allow(clippy::module_inception, reason = "it contains the type of this name")]
mod session;
mod stage;
mod state;
mod store;

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub(crate) use self::{cookie::SessionCookie, operations::SessionBackend, response::CookieChange};
pub use self::{
    cookie::{Key, SameSite},
    session::Session,
};
pub use ::cookie::time;
use serde_json::Value;
pub use tower_sessions_core::{
    Expiry, SessionStore,
    session::{Id, Record},
    session_store,
};
pub use tower_sessions_memory_store::MemoryStore;

#[cfg(test)]
mod tests;
