//! Presence in Redis.
//!
//! | file | contents |
//! | --- | --- |
//! | `scripts.rs` | the keys, and the scripts that change them |
//! | `store.rs` | the store, on all hosts |
//! | `host.rs` | one host of it: commands and subscriptions |
//! | `lease.rs` | the lease of this process, and the removal of people of others |
//! | `inbox.rs` | what is published, decoded |
//! | `times.rs` | the lease, the grace time, and how long keys last |

mod host;
mod inbox;
mod lease;
mod scripts;
mod store;
mod times;

pub(super) use self::{
    store::{Hosted, RedisPresence},
    times::Times,
};
