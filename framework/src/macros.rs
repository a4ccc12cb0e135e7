//! The macros, documented where they are used.

pub use seaway_macros::{Event, WebSocketConsumer, consumer};
