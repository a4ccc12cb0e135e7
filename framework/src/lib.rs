#![doc = include_str!("../../docs/front-page.md")]
#![warn(unreachable_pub)]

// From the ground up: each floor uses those before it, never one after or beside.
mod error;

mod cookies;
mod frame;
mod guard;
mod name;
#[cfg(feature = "redis")]
mod redis_link;
mod reject;
mod scope;
mod tie;

mod application;
mod extract;

pub mod channels;
pub mod protocol;
#[cfg(feature = "sessions")]
pub mod session;

pub mod consumer;
pub mod middleware;
pub mod routing;

mod server;

mod bridge;

pub mod testing;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(feature = "macros")]
mod macros;

// The vocabulary that signatures here speak, so that users need no dependency of their own for it.
pub use {bytes, http};

#[cfg(feature = "macros")]
pub use self::macros::{Event, WebSocketConsumer, consumer};

pub use self::{
    application::{Application, ApplicationExt, ApplicationFn, BoxApplication, application_fn},
    bridge::{FromService, ResponseFuture, from_service},
    channels::{Channels, Event, Group, Shared},
    consumer::{
        Context, FromFrame, FromHandshake, Handshake, HttpConsumer, HttpContext, IntoFrame, Json,
        NoEvent, WebSocketConsumer,
    },
    cookies::Cookies,
    error::{BoxError, Error, ErrorKind, Result},
    extract::FromScope,
    frame::{Close, Frame, Text},
    name::{ChannelName, GroupName},
    reject::Reject,
    scope::{OpensOverHttp, Protocol, ReplyHook, Scope},
    server::{Bind, Serve, serve},
};

#[cfg(feature = "sessions")]
pub use self::{
    middleware::{AuthSession, Authenticator, User},
    session::Session,
};

/// The guides, compiled: every Rust example in them is a doctest of this crate.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../README.md")]
    mod readme {}

    #[doc = include_str!("../../docs/tutorial/1-a-chat-room.md")]
    mod a_chat_room {}

    #[doc = include_str!("../../docs/tutorial/2-groups-and-redis.md")]
    mod groups_and_redis {}

    #[doc = include_str!("../../docs/deployment.md")]
    mod deployment {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../../docs/macros.md")]
    mod macros {}
}
