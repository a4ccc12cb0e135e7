#![doc = include_str!("../../../docs/consumers.md")]

mod codec;
mod context;
mod handshake;
mod http;
mod turns;
mod websocket;

pub use self::{
    codec::{FromFrame, IntoFrame, Json},
    context::Context,
    handshake::Handshake,
    http::{HttpConsumer, HttpConsumerApplication, HttpContext},
    websocket::{ConsumerApplication, WebSocketConsumer},
};

use serde::{Deserialize, Serialize};

/// For consumers that hear no events: there is no value of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum NoEvent {}
