//! Redis as the wire: the default for more than one process.
//!
//! The wire is that of channels_redis' pub/sub layer (4.x, MessagePack, default prefix), so a Django process on the same
//! Redis can `group_send` to Seaway's consumers, and a Seaway [`Group`](super::Group) reaches Python's.
//!
//! | what | on the wire |
//! | --- | --- |
//! | a group | channel `asgi__group__<group>`, one subscription per process |
//! | a consumer's channel | its own name, `asgispecific.<process>!<number>`; one pattern subscription per process |
//! | an event | one `PUBLISH` of a MessagePack map with its `type` |
//!
//! # When Redis is away
//! Sockets stay open. Sends and joins fail with [`ErrorKind::Layer`](crate::ErrorKind::Layer) and say where Redis was
//! looked for. The layer reconnects for as long as it lives, at most a second apart, and subscribes again to all it had.
//! Redis pub/sub stores nothing: what was published meanwhile is lost, so keep what must not be lost in a database.
//!
//! Redis 6 or later is needed (its third protocol carries commands and messages on one connection).

mod pubsub;
mod subscriptions;

pub use self::pubsub::{RedisChannelLayer, RedisConfig};
