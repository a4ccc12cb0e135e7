//! A connection to Redis that reconnects for as long as it is held.
//!
//! | file | contents |
//! | --- | --- |
//! | `address.rs` | the address of Redis, one attempt to connect, and why an attempt failed |
//! | `link.rs` | the connection that is replaced whenever it is lost |
//! | `stream.rs` | the byte stream of one connection: time of the last read, and back-pressure |
//! | `repeat.rs` | a limit on repeated log lines of a persistent failure |

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
