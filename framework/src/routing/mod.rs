//! Applications that pick an application: by protocol, by path.

mod path;
mod protocol_type;
mod written_path;

pub use self::{path::PathRouter, protocol_type::ProtocolTypeRouter};
