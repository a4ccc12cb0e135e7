#![doc = include_str!("../../../docs/consumers.md")]

mod blocking;
mod codec;
mod context;
mod from_handshake;
mod handshake;
mod http;
mod ticks;
mod turns;
mod watch;
mod websocket;

pub use self::{
    blocking::{BlockingApplication, BlockingConsumer, BlockingContext, BlockingHandshake},
    codec::{FromFrame, IntoFrame, Json},
    context::Context,
    from_handshake::{FromHandshake, GroupField},
    handshake::Handshake,
    http::{HttpConsumer, HttpConsumerApplication, HttpContext},
    websocket::{ConsumerApplication, WebSocketConsumer},
};

use serde::{Deserialize, Serialize};

/// For consumers that hear no events: there is no value of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum NoEvent {}
