//! Channels, groups and the channel layer that transports events between processes.
//!
//! [`Channels`] is the cloneable handle to a [`ChannelLayer`]: in memory for one process, Redis for
//! many, or a custom implementation.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use seaway::{Channels, Event};
//!
//! #[derive(Event)]
//! enum Lobby {
//!     Opened { by: String },
//! }
//!
//! let channels = Channels::in_memory();
//! let lobby = channels.group::<Lobby>("lobby")?;
//! let mut mailbox = channels.open().await?;
//! lobby.add(mailbox.name()).await?;
//!
//! lobby.send(&Lobby::Opened { by: "ana".into() }).await?;
//!
//! let Lobby::Opened { by } = &*mailbox.receive().await?.decode::<Lobby>()?;
//! assert_eq!(by, "ana");
//! # seaway::Result::<()>::Ok(()) }).unwrap();
//! ```
//!
//! # Delivery guarantees
//! Events are delivered at most once, in order per sender and group. No event is lost silently: for
//! every event that does not arrive, the sender got an error, or the receiver is notified that it
//! may have [missed](Missed) something, or the receiver's connection ended. Over Redis there are
//! exceptions, which `docs/channel-layers.md` lists; "What the rules cannot detect" in [When Redis
//! is unavailable](redis#when-redis-is-unavailable) explains the first.
//!
//! A mailbox holds a bounded number of envelopes ([`MAILBOX_CAPACITY`] by default). When it is
//! full, further envelopes for that mailbox are dropped and [counted](Channels::dropped), and its
//! owner is notified; the sender never waits.
//!
//! # Files
//! | file | contents |
//! | --- | --- |
//! | `layer.rs` | the trait that a backend implements, and the handle to it |
//! | `mailbox.rs` | the receiving end of one channel |
//! | `group.rs` | the typed handle of a group |
//! | `envelope.rs` | an encoded event |
//! | `decodes.rs` | what an event type decodes, by which enums that include several are checked |
//! | `except.rs` | events for all members of a group but one |
//! | `missed.rs` | the notice that a receiver may have missed events |
//! | `messagepack.rs` | MessagePack decoding, after a check of the structure |
//! | `disconnect.rs` | closing connections through the channel layer |
//! | `shared.rs` | an event that is decoded once per process and shared by its receivers |
//! | `undecodable.rs` | count and log of events, and people of presences, that a consumer could not decode |
//! | `leave.rs` | what a consumer can leave |
//! | `listen.rs` | a stream of a group's events, for background tasks |
//! | `presence.rs` | the handle to a presence |
//! | `local_presence/` | who is connected, as one process knows it |
//! | `queues.rs` | worker queues inside this process |
//! | `topic.rs` | the typed handle of a topic: a group that stores its last events |
//! | `position.rs`, `positioned.rs` | a position in a topic; the position as an entry of the encoded event |
//! | `topics/` | the history of topics, and its merge with live events |
//! | `catch_up.rs` | what a consumer has missed, by one query for all that ask |
//! | `local_topics.rs` | topics inside this process |
//! | `lost_part.rs` | the groups and channels that an interruption concerns |
//! | `members.rs` | which channels are open, and which groups they are in |
//! | `local.rs` | delivery inside this process, shared by every backend |
//! | `backpressure.rs` | backpressure: when a backend pauses reading because mailboxes are full |
//! | `memory.rs` | the in-memory layer |
//! | `redis/` | the Redis layer |

mod backpressure;
mod catch_up;
mod decodes;
mod disconnect;
mod envelope;
mod except;
mod group;
mod layer;
mod leave;
mod listen;
mod local;
mod local_presence;
mod local_topics;
mod lost_part;
mod mailbox;
mod members;
mod memory;
mod messagepack;
mod missed;
mod position;
mod positioned;
mod presence;
mod queues;
#[cfg(feature = "redis")]
pub mod redis;
mod shared;
mod topic;
mod topics;
mod undecodable;

#[doc(hidden)]
pub use self::decodes::Decodes;
pub use self::{
    envelope::{Envelope, Event, Includes},
    group::Group,
    layer::{ChannelLayer, Channels},
    leave::Leave,
    listen::GroupEvents,
    local::LocalChannels,
    local_presence::{Left, LocalPresence, Meta, PRESENCE_GRACE, PresenceEvent, Present},
    local_topics::LocalTopics,
    mailbox::{MAILBOX_CAPACITY, Mailbox},
    members::Membership,
    memory::InMemoryChannelLayer,
    missed::Missed,
    position::{Position, Positions},
    presence::{Presence, PresenceCount},
    queues::{JOB_EXPIRY, LocalQueues, QUEUE_CAPACITY},
    shared::Shared,
    topic::Topic,
    topics::{TOPIC_AGE, TOPIC_EVENTS, TopicEvent, TopicHistory, TopicPost, TopicQuery},
};
pub(crate) use self::{
    mailbox::MailboxSignal,
    presence::{Departure, PresenceEntry},
};
