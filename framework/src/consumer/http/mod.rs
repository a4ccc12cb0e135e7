//! One request that may wait, and may stream: the trait, its context, and what drives them.
//!
//! | file | idea |
//! | --- | --- |
//! | `consumer.rs` | the trait that users write |
//! | `context.rs` | what a handler can do |
//! | `reply.rs` | what it answers |
//! | `body_sender.rs` | an answer that is fed |
//! | `sse.rs` | a stream of events for a browser's `EventSource` |
//! | `sse_event.rs` | one of them, as it is written |
//! | `driver.rs` | the driver: one handler, and the goodbye |
//! | `endings.rs` | what ends it from outside |
//! | `common.rs` | what both driver and handler look at |

mod body_sender;
mod common;
mod consumer;
mod context;
mod driver;
mod endings;
mod reply;
mod sse;
mod sse_event;

pub use self::{
    body_sender::BodySender,
    consumer::{HttpConsumer, HttpConsumerApplication},
    context::HttpContext,
    reply::{IntoReply, Reply},
    sse::Sse,
    sse_event::{IntoSseEvent, SseEvent},
};
