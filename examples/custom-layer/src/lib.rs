//! A channel layer over a Unix socket, as an example of a custom one.
//!
//! One process is the [`Hub`]; any number of others connect to its socket with a [`SocketLayer`].
//! The guide `docs/custom-layers.md` explains the rules that they keep.
//!
//! | file | contains |
//! | --- | --- |
//! | `layer.rs` | the layer: the methods of `ChannelLayer`, and the connection to the hub |
//! | `hub.rs` | the hub: it sends each event to all processes, and has the worker queues |
//! | `frame.rs` | the messages between them |

mod frame;
mod hub;
mod layer;

pub use self::{hub::Hub, layer::SocketLayer};
