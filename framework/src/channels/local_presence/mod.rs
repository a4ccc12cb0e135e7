//! Presence as one process has it: who is connected to it, and what it knows of the others.
//!
//! | file | contents |
//! | --- | --- |
//! | `hub.rs` | the groups of one process |
//! | `group.rs` | one group, and the task that keeps it up to date |
//! | `group_state.rs` | its people, its list and its subscribers, and the rules of their changes |
//! | `own.rs` | the people of one group who are connected to this process |
//! | `replica.rs` | the list of one group as this process has it |
//! | `batch.rs` | differences that are sent together, and the part of them that a consumer can decode |
//! | `event.rs` | the events that consumers receive |
//! | `store.rs` | the trait of a store, which the processes share |
//! | `memory.rs` | the store inside one process |

#![cfg_attr(
    not(feature = "redis"),
    allow(dead_code, reason = "only a store outside this process loses entries")
)]

mod batch;
mod event;
mod group;
mod group_state;
mod hub;
mod memory;
mod own;
mod replica;
pub(super) mod store;

pub(super) use self::{
    batch::{DecodablePart, check_meta},
    hub::LONGEST_PRESENCE_TIME,
    own::LARGEST_META,
    store::LONGEST_KEY,
};
pub use self::{
    event::{Left, Meta, PresenceEvent, Present},
    hub::{LocalPresence, PRESENCE_GRACE},
};
