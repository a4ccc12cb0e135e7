//! A connection to Redis that reconnects for as long as it is held.
//!
//! | file | idea |
//! | --- | --- |
//! | `address.rs` | where Redis is, one attempt to connect, and why an attempt failed |
//! | `link.rs` | the connection that is replaced whenever it is lost |
//! | `stream.rs` | the bytes of one connection: when it was last heard, and reading in turns |
//! | `repeat.rs` | when a reason that persists is worth another log line |

mod address;
mod link;
mod repeat;
mod stream;

pub(crate) use self::{
    address::Address,
    link::{Link, LinkSettings, Loss, Server, State, Up, are_two_runs},
    repeat::Repeat,
    stream::{Inbox, NoInbox},
};
