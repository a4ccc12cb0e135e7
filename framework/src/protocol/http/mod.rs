//! The HTTP protocol: one request, one response.
//!
//! | file | contents |
//! | --- | --- |
//! | `exchange.rs` | the protocol, and a request that waits for its response |
//! | `head.rs` | copies of a request head |
//! | `body.rs` | the bodies of requests and responses |
//! | `pipe/` | a response body that is sent piece by piece |

mod body;
mod exchange;
mod head;
mod pipe;

pub use self::{
    body::Body,
    exchange::{Exchange, Http},
};
pub(crate) use self::{
    exchange::ResponseReceiver,
    head::{PackedHead, detached},
    pipe::{PipeBody, PipeEnd, PipeSender},
};
