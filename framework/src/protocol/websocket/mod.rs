//! The WebSocket protocol (RFC 6455): first an [`Upgrade`], then a [`Socket`].
//!
//! | file | contents |
//! | --- | --- |
//! | `handshake.rs` | the check of a handshake, as a function of the request head |
//! | `origin.rs` | the origins whose pages may open a WebSocket |
//! | `upgrade.rs` | a handshake that waits for its response |
//! | `config.rs` | the limits of an open WebSocket |
//! | `extension.rs` | the negotiation of permessage-deflate |
//! | `deflate.rs` | the compression of messages |
//! | `socket.rs` | an open WebSocket: messages in, messages out, and its close |
//! | `outgoing.rs` | the sender of messages to the client |
//! | `send_queue.rs` | the bounded queue behind it, and the policies for slow clients |
//! | `waiting_sends.rs` | the sends that wait for room in it |
//! | `transport.rs` | a WebSocket over a byte stream |
//! | `reader.rs` | parsing and assembly of frames, without I/O |
//! | `rate_limit.rs` | how fast a client may send |
//! | `writer.rs` | the output of a connection, in one write |
//! | `lifetime.rs` | the end of a connection that is idle or old |
//! | `heartbeat.rs` | when to ping a silent client, and when to disconnect it |

mod config;
mod deflate;
mod extension;
mod handshake;
mod heartbeat;
mod lifetime;
mod origin;
mod outgoing;
mod rate_limit;
mod reader;
mod send_queue;
mod socket;
mod transport;
mod upgrade;
mod waiting_sends;
mod writer;

#[cfg(feature = "proxy")]
pub(crate) use self::writer::close_frame;
pub use self::{
    config::{Compression, WebSocketConfig},
    origin::AllowedOrigins,
    outgoing::Sender,
    rate_limit::RateLimit,
    send_queue::{Sent, SlowClient},
    socket::Socket,
    upgrade::Upgrade,
};
pub(crate) use self::{
    extension::Deflate,
    handshake::{RequestKind, request_kind, without_upgrade},
    lifetime::Lifetime,
    origin::Origin,
    outgoing::SendSource,
    rate_limit::Rate,
    reader::too_large,
    send_queue::{Importance, Outbound},
    socket::Transport,
    upgrade::{HandshakeResponse, Opened},
};

use crate::scope::Protocol;
use http::request;

/// The WebSocket protocol (RFC 6455): messages in both directions.
#[derive(Debug)]
pub struct WebSocket;

impl Protocol for WebSocket {
    const NAME: &'static str = "websocket";
    type Head = request::Parts;
    type Connection = Upgrade;
}
