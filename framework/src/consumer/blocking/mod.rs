//! Consumers whose hooks are plain functions.
//!
//! | file | idea |
//! | --- | --- |
//! | `hooks.rs` | the trait that users write |
//! | `handshake.rs`, `context.rs` | what hooks are given |
//! | `driver.rs` | one hook at a time, on the pool, whoever waits for it |
//! | `application.rs` | such a consumer as an application |

mod application;
mod context;
mod driver;
mod handshake;
mod hooks;

pub use self::{
    application::BlockingApplication, context::BlockingContext, handshake::BlockingHandshake,
    hooks::BlockingConsumer,
};
