//! A connection to Redis that reconnects for as long as it is held.
//!
//! | file | contents |
//! | --- | --- |
//! | `url.rs` | the forms of a URL |
//! | `endpoint.rs` | where a server is now: at a fixed address, or where a directory says |
//! | `directory.rs` | what Sentinels, or the nodes of a Cluster, say where primaries are |
//! | `topology.rs` | the newest response of any node of a Cluster |
//! | `newest.rs` | the newest primary that any Sentinel has named |
//! | `hosts.rs` | which of several servers a name belongs to |
//! | `address.rs`, `connect_error.rs` | one address, and one attempt to connect; why it failed |
//! | `staggered.rs` | attempts that begin one after the other, and may overlap |
//! | `tls.rs`, `without_tls.rs` | TLS by rustls; what replaces it without the feature `redis-tls` |
//! | `link.rs`, `supervisor.rs` | the connection that is replaced when it is lost; the task that does so |
//! | `dialer.rs` | dialing it, and the checks of its server |
//! | `lazy.rs` | a connection that is opened when it is first needed |
//! | `downtime.rs` | whether a server has ended with its connection, as the attempts to connect show |
//! | `state.rs` | whether there is a connection, and how the previous one was lost |
//! | `liveness.rs` | whether a connection still works |
//! | `fault.rs` | what a failed command says of its connection |
//! | `stream.rs` | the byte stream of one connection: time of the last read, and backpressure |
//! | `framing.rs` | where the values in it begin and end, and the bound on their size |
//! | `repeat.rs` | a limit on repeated log lines of a persistent failure |

mod address;
mod connect_error;
mod dialer;
mod directory;
mod downtime;
mod endpoint;
#[cfg(test)]
mod fake_node;
mod fault;
mod framing;
mod hosts;
mod lazy;
mod link;
mod liveness;
mod newest;
mod repeat;
mod staggered;
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
    dialer::{LinkNeeds, LinkSettings},
    downtime::LONGEST_UNSEEN,
    endpoint::Endpoint,
    fault::{
        CommandFault, NOT_YET, error_text, is_malformed_reply, refusal_code, remedy, remedy_of,
        short_line,
    },
    framing::MAX_VALUE,
    hosts::Hosts,
    lazy::LazyLink,
    link::Link,
    repeat::Repeat,
    state::{LinkState, Loss, Server, Up, are_two_runs},
    stream::{NoInbox, PushReceiver},
    url::endpoints,
};
