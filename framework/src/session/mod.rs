//! What a cookie leads to: a few values that the server keeps for a visitor, the same in a page and in a socket.
//!
//! A [`Session`] is that of [tower-sessions](tower_sessions), so every store of its ecosystem works; the
//! [`Sessions`](crate::middleware::Sessions) middleware puts it into the scope of pages and sockets.
//!
//! ```
//! use seaway::{Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer, session::Session};
//!
//! /// Counts what a visitor has said, over all the visits.
//! struct Counter { session: Session }
//!
//! impl WebSocketConsumer for Counter {
//!     type Input = String;
//!     type Event = NoEvent;
//!
//!     async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
//!         let session: Session = handshake.extract().await?;
//!         // It begins here at the latest: an open socket cannot set a cookie.
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
//!         ctx.send(said.to_string()).await
//!     }
//! }
//! ```
//!
//! # In a page, and until a socket is open
//! Changes are saved by themselves, with the reply, and the cookie goes along: on a 101 as well as on a page.
//! Nothing is read from the store before somebody asks, and nothing is written unless something changed.
//!
//! # In an open socket
//! No reply will come, so [`save`](Session::save) is yours to call; it
//! - reads the session anew and writes only the keys that this conversation has changed, so that what a page has
//!   written meanwhile stays;
//! - saves only a session that still exists. One that was logged out is not brought back to life: the error's kind is
//!   [`SessionGone`](crate::ErrorKind::SessionGone), and returned from a handler it closes the socket with 4401 unless
//!   the consumer's [`failed`](crate::WebSocketConsumer::failed) says otherwise;
//! - cannot begin a session, nor give it a new id: there is no reply that could carry the cookie.
//!
//! [`get`](Session::get) answers from memory; [`load`](Session::load) before it sees what pages have written since.
//!
//! When a session ends ([`flush`](Session::flush), log-out, a new id at log-in) all open sockets that have looked into
//! it are closed with 4401, in every process.
//!
//! # Stores
//! | store | for |
//! | --- | --- |
//! | [`MemoryStore`] | tests, and one process that may forget |
//! | [`RedisStore`] | any number of processes |
//! | those of `tower-sessions-sqlx-store`, `tower-sessions-moka-store` … for tower-sessions 0.14 | databases, caches |
//!
//! Saving is a read and a write. Two sockets that change the same session in the same millisecond may overwrite each
//! other's keys. A log-out exactly in between is not undone, with any store: the end of a session is known for two
//! minutes, and a save that finds it known deletes again what it has written. [`RedisStore`] refuses to write it at all.

mod cookie;
mod ended;
mod error;
mod expiry;
mod extract;
mod group;
mod merging_store;
#[cfg(feature = "redis")]
mod redis;

pub use self::cookie::{Key, SameSite};
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub(crate) use self::{
    cookie::SessionCookie,
    ended::UNDER_WAY,
    group::{digest, group},
    merging_store::{GONE, MergingStore},
};
pub use ::cookie::time;
pub use tower_sessions::{
    Expiry, MemoryStore, Session, SessionStore,
    session::{Error, Id, Record},
    session_store,
};
