//! Guards: applications around applications.
//!
//! A middleware is a configuration that implements tower's `Layer`, put around an application with
//! [`with`](crate::ApplicationExt::with). The same one guards pages and sockets.
//!
//! | middleware | does |
//! | --- | --- |
//! | [`Provide`] | puts a value into every scope |
//! | [`AllowedOrigins`](crate::protocol::AllowedOrigins) | which pages may open a socket |
//! | [`WebSocketConfig`](crate::protocol::WebSocketConfig) | the limits of sockets |

mod provide;
mod sockets;

pub use self::{
    provide::{Provide, Provided},
    sockets::Configured,
};
