//! HTTP consumers: requests that may wait for events, and responses that may be streamed.
//!
//! | file | contents |
//! | --- | --- |
//! | `consumer.rs` | the trait that users write |
//! | `context.rs` | the context of a handler |
//! | `poll_topic.rs` | long polling, by a method of the context |
//! | `response.rs` | what a handler returns |
//! | `body_sender.rs` | a streamed response body |
//! | `sse.rs` | a stream of server-sent events |
//! | `sse_event.rs` | one server-sent event and its encoding |
//! | `application.rs` | the application: checks a request, and runs `connect` |
//! | `driver.rs` | the driver: one handler, and `disconnect` |
//! | `disconnect.rs` | how a request ended |
//! | `interrupts.rs` | what ends a request from outside |
//! | `handler_state.rs` | the state that driver and handler share |

mod application;
mod body_sender;
mod consumer;
mod context;
mod disconnect;
mod driver;
mod handler_state;
mod interrupts;
mod poll_topic;
mod response;
pub(super) mod sse;
mod sse_event;

pub(super) use self::application::CONNECT_LIMIT;
#[cfg(feature = "proxy")]
pub(crate) use self::interrupts::EVENT_STREAM_GRACE;

pub use self::{
    body_sender::BodySender,
    consumer::{HttpConsumer, HttpConsumerApplication},
    context::HttpContext,
    disconnect::Disconnect,
    response::{HttpResponse, IntoHttpResponse},
    sse::Sse,
    sse_event::{IntoSseEvent, SseEvent},
};
