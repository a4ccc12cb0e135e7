//! The Redis channel layer, the default for more than one process.
//!
//! The wire format is that of channels_redis' pub/sub layer (4.x, MessagePack, default prefix), so
//! a Django process on the same Redis can `group_send` to Seaway consumers, and a Seaway
//! [`Group`](super::Group) reaches Python consumers.
//!
//! | what | on the wire |
//! | --- | --- |
//! | a group | channel `asgi__group__<group>`, one subscription per process |
//! | a consumer's channel | its own name, `asgispecific.<process>!<number>`; one pattern subscription per process |
//! | an event | one `PUBLISH` of a MessagePack map with its `type` |
//!
//! # When Redis is unavailable
//! Sockets remain open. A send or a join waits until Redis is available again, up to
//! [`send_timeout`](RedisConfig::send_timeout) (10 s), and then fails: a shorter outage delays
//! events. The layer reconnects for as long as it exists, with pauses of at most 200 ms (500 ms
//! while Redis refuses), and renews all its subscriptions at once.
//!
//! Redis pub/sub stores nothing, so three rules prevent the silent loss of events:
//!
//! 1. **A process publishes only while it is subscribed itself**, and after a restart of Redis
//!    400 ms later, so that the other processes have renewed their subscriptions too.
//! 2. **A command whose connection broke is not repeated**, because the event might arrive twice;
//!    it fails with [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed). But if Redis itself
//!    has ended, and this process was subscribed to the group and has not received the
//!    event, nor one of equal content, then Redis has not delivered it. The event is sent again, to
//!    the next run of Redis.
//! 3. **A process whose subscriptions were interrupted notifies its consumers**
//!    ([`Missed::Interrupted`](super::Missed)), unless nothing can have been published meanwhile.
//!    That is so if four conditions hold. Redis ended with the connection: right afterwards nothing
//!    listened at its address, or another run responded (so the address must lead to one server,
//!    not to a load balancer). The Redis that came back is another run (`run_id`). That run had
//!    published nothing before the subscriptions were renewed, by its own count of PUBLISH
//!    commands. This process had no read backlog, because data that Redis has not written yet is
//!    lost with it. So a plain restart of Redis causes no notice. A connection that broke while
//!    Redis continued to run is always a gap.
//!
//! What the rules cannot detect: Redis writes an event to one subscriber after the other. If it is
//! killed (SIGKILL, power) between two of these writes, some 20 µs apart, one process has the event
//! and another has not. If the sender's process is the one that has not, it sends the event again
//! and the other process receives it twice. If the sender's process is the one that has, the other
//! process misses the event and is not notified. A Redis that is stopped (SIGTERM, SHUTDOWN)
//! finishes its writes first.
//!
//! A connection counts as dead when nothing at all has arrived on it for 2 s longer than a send may
//! take (12 s at least), pings included; a backlog is a sign of life. A subscription that is
//! confirmed late delays only the joins that wait for it.
//!
//! Events that other programs publish after the return of Redis and before this process is
//! subscribed again (some 100 ms) are a gap too, and cause a notice: a Django process does not wait
//! as rule 1 requires.
//!
//! # Files
//! | file | contents |
//! | --- | --- |
//! | `pubsub.rs` | the layer, its configuration and its names |
//! | `publisher.rs` | publishing, which waits for Redis and sends an event again only by rule 2 |
//! | `subscriptions.rs` | the subscriptions of this process |
//! | `pending_gap.rs` | the gap that the consumers of this process are still to be notified of |
//! | `deliverer.rs` | delivery of received events to the mailboxes of this process |
//! | `restart.rs` | detection of a plain restart of Redis |
//! | `received.rs` | the last events received, as evidence of what Redis delivered |
//!
//! Redis 6 or later is needed: RESP3 allows commands and messages on one connection.

mod deliverer;
mod pending_gap;
mod publisher;
mod pubsub;
mod received;
mod restart;
mod subscriptions;

pub use self::pubsub::{RedisChannelLayer, RedisConfig};
