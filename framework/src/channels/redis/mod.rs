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
//! Sockets stay open. A send or a join waits until Redis is back, up to
//! [`send_timeout`](RedisConfig::send_timeout) (10 s), and then fails: an outage that is shorter delays events. The layer
//! reconnects for as long as it lives, at most 200 ms apart, and renews all its subscriptions at once.
//!
//! Redis pub/sub stores nothing, so three rules keep events from being lost in silence:
//!
//! 1. **A process publishes only while it is subscribed itself**, and after a restart of Redis 0.4 s later, so that
//!    the other processes have renewed their subscriptions too.
//! 2. **A command whose connection broke is not repeated**, because the event might arrive twice; it fails with
//!    [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed). The exception: when Redis itself has ended, this process was
//!    subscribed to the group, and has not received the event, then Redis has not carried it. It is sent again, to the next
//!    run of Redis.
//! 3. **A process whose subscriptions were interrupted tells its consumers** ([`Missed::Interrupted`](super::Missed)),
//!    unless nothing can have been published meanwhile. That is so if Redis ended with the connection (right afterwards
//!    nothing listened at its address, or another run answered: so the address must lead to one server, not to a balancer), the Redis that came back is another run (`run_id`), that
//!    run had published nothing before the subscriptions were renewed (its own count of PUBLISH commands), and this
//!    process was not behind with reading, for what Redis has not written yet ends with it. So a plain restart of Redis
//!    alarms nobody. A connection that was cut while Redis lived on always is a gap.
//!
//! What the rules cannot see: Redis writes an event to one subscriber after the other. If it is killed (SIGKILL, power)
//! between two of these writes, some 20 µs apart, one process has the event and another has not. If the sender's process is
//! the one that has not, it sends the event again and the other one gets it twice; if it is the one that has, the other one
//! lacks it and is not told. A Redis that is stopped (SIGTERM, SHUTDOWN) finishes its writes first.
//!
//! A connection is taken for dead when nothing at all has arrived on it for 2 s longer than a send may take (12 s at least), pings
//! included; a backlog is a sign of life. A subscription that is confirmed late delays only the joins that wait for it.
//!
//! What other programs publish between the return of Redis and the moment when this process is subscribed (some 100 ms) is
//! a gap too, and is told: a Django process does not wait as rule 1 asks.
//!
//! # Files
//! | file | idea |
//! | --- | --- |
//! | `pubsub.rs` | the layer, its configuration and its names |
//! | `publisher.rs` | publishing: waits while Redis is away, and never sends an event twice |
//! | `subscriptions.rs` | what this process is subscribed to |
//! | `untold.rs` | the gap that the members of this process are still to be told of |
//! | `deliverer.rs` | takes what Redis sends to the mailboxes of this process |
//! | `restart.rs` | whether Redis was merely restarted |
//! | `received.rs` | the last events received, as evidence of what Redis carried |
//!
//! Redis 6 or later is needed (its third protocol carries commands and messages on one connection).

mod deliverer;
mod publisher;
mod pubsub;
mod received;
mod restart;
mod subscriptions;
mod untold;

pub use self::pubsub::{RedisChannelLayer, RedisConfig};
