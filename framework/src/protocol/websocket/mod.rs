//! The WebSocket protocol: first an [`Upgrade`], then a [`Socket`].

mod config;
mod origin;
mod outgoing;
mod socket;
mod stop;
mod upgrade;

pub use self::{
    config::WebSocketConfig, origin::AllowedOrigins, outgoing::Sender, socket::Socket,
    upgrade::Upgrade,
};
pub(crate) use self::{
    origin::Origin,
    outgoing::{Outgoing, Speaker},
    socket::Transport,
    stop::Stop,
    upgrade::Reply,
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
