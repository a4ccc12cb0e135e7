#![doc = include_str!("../../../docs/consumers.md")]

mod address;
mod blocking;
mod codec;
mod context;
mod from_handshake;
mod goodbye;
mod handshake;
mod http;
mod reply_headers;
mod ticks;
mod turns;
mod watch;
mod websocket;

pub use self::{
    blocking::{BlockingApplication, BlockingConsumer, BlockingContext, BlockingHandshake},
    codec::{FromFrame, IntoFrame, Json},
    context::Context,
    from_handshake::{FromHandshake, GroupField},
    handshake::{Handshake, HttpHandshake},
    http::{
        Answer, BodySender, HttpConsumer, HttpConsumerApplication, HttpContext, IntoAnswer,
        IntoSseEvent, Sse, SseEvent,
    },
    websocket::{ConsumerApplication, WebSocketConsumer},
};

use serde::{Deserialize, Serialize};

/// For consumers that hear no events: there is no value of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum NoEvent {}
