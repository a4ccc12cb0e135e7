//! The adapters to tower: a service as an application, and applications as services.
//!
//! | file | contents |
//! | --- | --- |
//! | `from_service.rs` | any tower service as an application for HTTP |
//! | `into_service.rs` | routers and consumers as tower services |
//! | `proxy/` | a proxy to another HTTP server |
//! | `handlers.rs` | extractors and responses for axum's handlers |
//! | `session_handlers.rs` | extractors of the session and the user for them |
//! | `require.rs` | `RequireUser` around axum's routes |
//! | `response_future.rs` | the future of a response |
//! | `upgrade.rs` | a WebSocket handshake, and the stream behind it |

mod from_service;
#[cfg(feature = "axum")]
mod handlers;
mod into_service;
#[cfg(feature = "proxy")]
mod proxy;
#[cfg(all(feature = "axum", feature = "sessions"))]
mod require;
mod response_future;
#[cfg(all(feature = "axum", feature = "sessions"))]
mod session_handlers;
mod upgrade;

#[cfg(feature = "proxy")]
pub use self::proxy::{Proxy, proxy};
pub use self::{
    from_service::{FromService, from_service},
    response_future::ResponseFuture,
};
