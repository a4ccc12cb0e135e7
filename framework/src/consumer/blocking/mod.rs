//! Consumers whose hooks are plain functions.
//!
//! | file | contents |
//! | --- | --- |
//! | `consumer.rs` | the trait that users write |
//! | `handshake.rs`, `context.rs` | the parameters of its hooks |
//! | `application.rs` | the application: its hooks on the pool, awaited or not |

mod application;
mod consumer;
mod context;
mod handshake;

pub use self::{
    consumer::{BlockingApplication, BlockingConsumer},
    context::BlockingContext,
    handshake::BlockingHandshake,
};
