//! The adapters to tower: a service as an application, and applications as services.
//!
//! | file | contents |
//! | --- | --- |
//! | `from_service.rs` | any tower service as an application for HTTP |
//! | `into_service.rs` | routers and consumers as tower services |
//! | `handlers.rs` | extractors and responses for axum's handlers |
//! | `require.rs` | `RequireUser` around axum's routes |
//! | `response_future.rs` | the future of a response |
//! | `upgrade.rs` | a WebSocket handshake, and the stream behind it |

mod from_service;
#[cfg(feature = "sessions")]
mod handlers;
mod into_service;
#[cfg(feature = "sessions")]
mod require;
mod response_future;
mod upgrade;

pub use self::{
    from_service::{FromService, from_service},
    response_future::ResponseFuture,
};
