//! The protocols: HTTP, WebSockets, worker jobs, or your own.
//!
//! A protocol is a [`Protocol`](crate::Protocol) implementation: a head (the first data of the
//! client) and a connection (the exchange that follows).
//!
//! | protocol | head | connection |
//! | --- | --- | --- |
//! | [`Http`] | the request's head | [`Exchange`]: a body in, one response out |
//! | [`WebSocket`] | the request's head | [`Upgrade`]: accept or reject, then a [`Socket`] |
//! | [`Worker`] | the channel's name | a [`Job`] |

mod connection_handle;
// Private, so that a glob import never shadows the `http` crate.
mod http;
mod response_hooks;
mod signal;
mod websocket;
mod worker;

#[cfg(any(feature = "proxy", feature = "server"))]
pub(crate) use self::connection_handle::UpgradedStream;
#[cfg(feature = "proxy")]
pub(crate) use self::websocket::close_frame;
pub(crate) use self::{
    connection_handle::ConnectionHandle,
    http::{PackedHead, PipeBody, PipeEnd, PipeSender, ResponseReceiver, detached},
    signal::SignalWatch,
    websocket::{
        Deflate, HandshakeResponse, Importance, Lifetime, Opened, Origin, Outbound, Rate,
        RequestKind, SendSource, Transport, request_kind, too_large, without_upgrade,
    },
};
#[cfg(feature = "server")]
pub(crate) use self::{
    connection_handle::{ServerConnection, WeakConnectionHandle},
    signal::Signal,
};
pub use self::{
    http::{Body, Exchange, Http},
    websocket::{
        AllowedOrigins, Compression, RateLimit, Sender, Sent, SlowClient, Socket, Upgrade,
        WebSocket, WebSocketConfig,
    },
    worker::{Job, Worker},
};
