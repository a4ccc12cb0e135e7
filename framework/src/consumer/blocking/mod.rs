//! Consumers whose hooks are plain functions.
//!
//! | file | idea |
//! | --- | --- |
//! | `hooks.rs` | the trait that users write |
//! | `handshake.rs`, `context.rs` | the parameters of its hooks |
//! | `driver.rs` | one hook at a time, on the pool, awaited or not |
//! | `application.rs` | the application of a blocking consumer |

mod application;
mod context;
mod driver;
mod handshake;
mod hooks;

pub use self::{
    application::BlockingApplication, context::BlockingContext, handshake::BlockingHandshake,
    hooks::BlockingConsumer,
};
