//! Routers: applications that select an application by protocol or by path.

mod channel_name;
mod path;
mod protocol_type;
mod written_path;

pub use self::{
    channel_name::ChannelNameRouter,
    path::PathRouter,
    protocol_type::{ProtocolTypeRouter, RouterMiddleware},
};
