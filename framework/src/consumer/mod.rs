#![doc = include_str!("../../docs/consumers.md")]

mod address;
mod application;
mod blocking;
mod connect;
mod context;
mod defaults;
mod disconnect_guard;
mod driver;
mod from_handshake;
mod handshake;
mod hooks;
mod http;
mod joined;
mod open_scope;
pub(crate) mod request;
mod response_headers;
mod sse_fallback;
mod timer;
mod timers;
mod trigger;
mod watch;
mod websocket;
mod worker;

pub(crate) use self::defaults::ignore_event;
pub use self::{
    blocking::{BlockingApplication, BlockingConsumer, BlockingContext, BlockingHandshake},
    context::Context,
    from_handshake::{FromHandshake, GroupField},
    handshake::{Handshake, HttpHandshake},
    http::{
        BodySender, Disconnect, HttpConsumer, HttpConsumerApplication, HttpContext, HttpResponse,
        IntoHttpResponse, IntoSseEvent, Sse, SseEvent,
    },
    sse_fallback::{SseFallback, WithSseFallback},
    timer::Timer,
    trigger::Trigger,
    websocket::{ConsumerApplication, WebSocketConsumer},
    worker::{WorkerContext, WorkerFn, worker_fn},
};
#[cfg(feature = "proxy")]
pub(crate) use self::{http::EVENT_STREAM_GRACE, response_headers::complete, watch::revoked};

use crate::channels::Event;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

/// The event type of consumers that receive no events.
///
/// It has no values.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum NoEvent {}

impl<'de> Deserialize<'de> for NoEvent {
    /// Fails: a consumer that joins a group needs another event type.
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(
            "this consumer receives no events; set their type, by `#[consumer(event = …)]` or `type Event`, or join no group",
        ))
    }
}

impl Event for NoEvent {}
