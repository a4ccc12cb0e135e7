//! A connection to Redis that reconnects for as long as it is held.
//!
//! | file | contents |
//! | --- | --- |
//! | `url.rs` | the forms of a URL |
//! | `place.rs` | where a server is now: at a fixed address, or where a directory says |
//! | `directory.rs` | what Sentinels, or the nodes of a Cluster, say where primaries are |
//! | `topology.rs` | the newest answer of any node of a Cluster |
//! | `newest.rs`, `asking.rs` | the newest primary that any Sentinel has named; one question |
//! | `hosts.rs` | which of several servers a name belongs to |
//! | `address.rs`, `connect_error.rs` | one address, and one attempt to connect; why it failed |
//! | `tls.rs`, `without_tls.rs` | TLS by rustls; what replaces it without the feature `redis-tls` |
//! | `link.rs`, `supervisor.rs` | the connection that is replaced when it is lost; the task that does so |
//! | `lazy.rs` | a connection that is opened when it is first needed |
//! | `state.rs` | whether there is a connection, and how the previous one was lost |
//! | `liveness.rs` | whether a connection still works |
//! | `fault.rs` | what a failed command says of its connection |
//! | `stream.rs` | the byte stream of one connection: time of the last read, and back-pressure |
//! | `framing.rs` | where the values in it begin and end, and the bound on their size |
//! | `repeat.rs` | a limit on repeated log lines of a persistent failure |

mod address;
mod asking;
mod connect_error;
mod directory;
#[cfg(test)]
mod fake_node;
mod fault;
mod framing;
mod hosts;
mod lazy;
mod link;
mod liveness;
mod newest;
mod place;
mod repeat;
mod state;
mod stream;
mod supervisor;
#[cfg_attr(not(feature = "redis-tls"), path = "without_tls.rs")]
mod tls;
mod topology;
mod url;

#[cfg(test)]
pub(crate) use self::fake_node::FakeNode;
pub(crate) use self::{
    fault::{Fault, error_text, is_malformed_reply},
    framing::MAX_VALUE,
    hosts::Hosts,
    lazy::LazyLink,
    link::Link,
    place::Place,
    repeat::Repeat,
    state::{Loss, Server, State, Up, are_two_runs},
    stream::{Inbox, NoInbox},
    supervisor::{LONGEST_UNSEEN, LinkSettings},
    url::places,
};
