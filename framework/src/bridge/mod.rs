//! The two seams to tower: a service as an application, and the house as a service.
//!
//! | file | idea |
//! | --- | --- |
//! | `inward.rs` | any tower service is an application for pages |
//! | `outward.rs` | routers and consumers are tower services |
//! | `handlers.rs` | what consumers are given, in axum's handlers |
//! | `require.rs` | the guard of pages and sockets, around axum's routes |
//! | `answer.rs` | the answer on its way, and pages |
//! | `opening.rs` | a handshake, and the stream behind it |

mod answer;
#[cfg(feature = "sessions")]
mod handlers;
mod inward;
mod opening;
mod outward;
#[cfg(feature = "sessions")]
mod require;

pub use self::{
    answer::ResponseFuture,
    inward::{FromService, from_service},
};
