//! Who else hears: channels, groups, and the layer that carries them between processes.
//!
//! [`Channels`] is the handle that everyone holds. Behind it stands a [`ChannelLayer`]: in memory for one process,
//! Redis for many, or one of yours.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use seaway::channels::Channels;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(tag = "type")]
//! enum Lobby {
//!     #[serde(rename = "lobby.opened")]
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
//! # What is promised
//! Delivery is at most once, in order per sender and group, and nothing is lost in silence: for every event that does not
//! arrive, the sender got an error, or the receiver is told that it may have [missed](Missed) something, or its connection
//! ended. A mailbox holds a bounded number of envelopes ([`MAILBOX_CAPACITY`] unless you choose); past it, envelopes for
//! that mailbox are dropped and [counted](Channels::dropped), its owner is told, and the sender never waits.
//!
//! # Files
//! | file | idea |
//! | --- | --- |
//! | `layer.rs` | the trait a backend implements, and the handle everyone holds |
//! | `mailbox.rs` | one channel, owned |
//! | `group.rs` | everyone under one name |
//! | `envelope.rs` | what may travel, and its one encoding |
//! | `except.rs` | an event for all members of a group but one |
//! | `missed.rs` | what a receiver is told when it may not have received everything |
//! | `messagepack.rs` | its bytes, decoded only after their structure was checked |
//! | `disconnect.rs` | conversations ended from afar |
//! | `shared.rs` | an event as all members of a process see it |
//! | `undecodable.rs` | events that a consumer could not decode |
//! | `local.rs` | delivery inside this process, shared by every backend |
//! | `crowd.rs` | back-pressure on a wire |
//! | `memory.rs` | no wire |
//! | `redis/` | Redis as the wire |

mod crowd;
mod disconnect;
mod envelope;
mod except;
mod group;
mod layer;
mod local;
mod mailbox;
mod memory;
mod messagepack;
mod missed;
#[cfg(feature = "redis")]
pub mod redis;
mod shared;
mod undecodable;

pub(crate) use self::mailbox::Signal;
pub use self::{
    envelope::{Envelope, Event},
    group::Group,
    layer::{ChannelLayer, Channels},
    local::{LocalChannels, Membership},
    mailbox::{MAILBOX_CAPACITY, Mailbox},
    memory::InMemoryChannelLayer,
    missed::Missed,
    shared::Shared,
};
