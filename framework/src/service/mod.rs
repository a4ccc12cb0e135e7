//! The two seams to tower: a service as an application, and the house as a service.
//!
//! | file | idea |
//! | --- | --- |
//! | `from_service.rs` | any tower service is an application for pages |
//! | `into_service.rs` | routers and consumers are tower services |
//! | `handlers.rs` | what consumers are given, in axum's handlers |
//! | `require.rs` | the guard of pages and sockets, around axum's routes |
//! | `response_future.rs` | the answer on its way, and pages |
//! | `upgrade.rs` | a handshake, and the stream behind it |

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
