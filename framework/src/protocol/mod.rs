//! The protocols: HTTP, WebSockets, worker jobs, or your own.
//!
//! A protocol is a [`Protocol`](crate::Protocol) implementation: a head (the first data of the
//! client) and a connection (the exchange that follows).
//!
//! | protocol | head | connection |
//! | --- | --- | --- |
//! | [`Http`] | the request's head | [`Exchange`]: a body in, one response out |
//! | [`WebSocket`] | the request's head | [`Upgrade`]: accept or reject, then a [`Socket`] |
//! | [`Worker`] | the channel's name | [`Jobs`]: one after the other |

mod body;
mod head;
mod hooks;
// Private, so that a glob import never shadows the `http` crate.
mod http;
mod pace;
mod pipe;
mod websocket;
mod worker;

pub use self::{
    body::Body,
    http::{Exchange, Http},
    websocket::{AllowedOrigins, Sender, Socket, Upgrade, WebSocket, WebSocketConfig},
    worker::{JobQueue, Jobs, Worker},
};
pub(crate) use self::{
    head::detached,
    http::{Host, ResponseReceiver},
    pace::Pace,
    pipe::{Pipe, PipeBody, PipeEnd},
    websocket::{Origin, Outgoing, Reply, Speaker, Stop, Transport},
};
