//! Routers: applications that select an application by protocol or by path.

mod path;
mod protocol_type;
mod written_path;

pub use self::{path::PathRouter, protocol_type::ProtocolTypeRouter};
