//! Presence in Redis.
//!
//! | file | contents |
//! | --- | --- |
//! | `scripts.rs` | the keys, and the scripts that change them |
//! | `store.rs` | the store, on all hosts |
//! | `read.rs` | reading a list in parts |
//! | `host.rs` | one host of it: commands, subscriptions, and the times |
//! | `lease.rs` | the lease of this process, and the removal of people of others |
//! | `inbox.rs` | what is published, decoded |

mod host;
mod inbox;
mod lease;
mod read;
mod scripts;
mod store;

pub(super) use self::{
    host::Times,
    store::{Hosted, RedisPresence},
};
