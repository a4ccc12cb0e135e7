#![doc = include_str!("../docs/front-page.md")]
// Shows which feature an item needs, where the documentation is built with a nightly compiler.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(unreachable_pub)]
#![cfg_attr(
    not(feature = "server"),
    allow(dead_code, reason = "only the server uses all of the logs and signals")
)]

// Layers, lowest first: each uses those before it, never one after or beside it.
mod byte_stream;
mod connection_span;
mod digest;
mod error;
mod log_limit;
mod waker;

mod metric;

mod rejection_log;

mod catch_panic;
mod cookies;
mod header_list;
mod message;
mod name;
#[cfg(feature = "redis")]
mod redis_link;
mod rejection;
#[cfg(feature = "proxy")]
mod upstream;

mod blocking;
mod codec;
#[cfg(feature = "sessions")]
mod outage;
mod required_state;
mod revocation;
mod scope;

mod application;
mod extract;

pub mod channels;
pub mod protocol;

#[cfg(feature = "sessions")]
pub mod session;

pub mod consumer;
pub mod middleware;
pub mod routing;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
#[cfg(feature = "django")]
pub mod django;
mod service;
#[cfg(feature = "typescript")]
pub mod typescript;

pub mod testing;

#[cfg(feature = "macros")]
mod macros;
#[cfg(feature = "server")]
mod server;

// Public signatures use their types; the re-export saves users a dependency of their own.
pub use {bytes, http};

#[cfg(feature = "macros")]
pub use self::macros::{Event, HttpConsumer, WebSocketConsumer, consumer};

pub use self::{
    application::{Application, ApplicationExt, ApplicationFn, BoxApplication, application_fn},
    blocking::{BlockingPool, block_on, blocking},
    channels::{
        Channels, Event, Group, Includes, Missed, Position, Positions, Presence, PresenceEvent,
        Shared, Topic, TopicEvent,
    },
    codec::{FromMessage, IntoMessage, Json},
    consumer::{
        BlockingConsumer, BlockingContext, BlockingHandshake, BodySender, Context, Disconnect,
        FromHandshake, Handshake, HttpConsumer, HttpContext, HttpHandshake, HttpResponse,
        IntoHttpResponse, IntoSseEvent, NoEvent, Sse, SseEvent, Timer, WebSocketConsumer,
        WorkerContext, worker_fn,
    },
    cookies::Cookies,
    error::{AnyError, AnyResult as Result, BoxError, Error, ErrorKind},
    extract::{ClientAddr, FromScope, RequestedHost},
    message::{Close, Message, Text},
    name::{ChannelName, GroupName, IntoGroupName},
    rejection::Rejection,
    required_state::RequiredState,
    scope::{OpensOverHttp, Protocol, ResponseHook, RunningHook, Scope},
    service::{FromService, ResponseFuture, from_service},
};

#[cfg(feature = "proxy")]
pub use self::service::{Proxy, proxy};

#[cfg(feature = "server")]
pub use self::server::{
    Accepted, Bind, Lifespan, LifespanFn, Listener, ProxyProtocol, Running, Serve, ServeWorkers,
    ServedApp, TrustedProxies, bind_tcp, serve, serve_with, serve_workers,
};

#[cfg(feature = "tls")]
pub use self::server::TlsListener;
#[cfg(all(feature = "server", unix))]
pub use self::server::{InheritedListener, ReusePortListener};

#[cfg(feature = "sessions")]
pub use self::{
    middleware::{AuthSession, Authenticator, User},
    session::Session,
};

/// The guides, compiled: every Rust example in them is a doctest of this crate.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../README.md")]
    mod readme {}

    #[doc = include_str!("../docs/channel-layers.md")]
    mod channel_layers {}

    #[doc = include_str!("../docs/redis.md")]
    mod redis {}

    #[doc = include_str!("../docs/presence.md")]
    mod presence {}

    #[doc = include_str!("../docs/custom-layers.md")]
    mod custom_layers {}

    #[doc = include_str!("../docs/tutorial/1-a-chat-room.md")]
    mod a_chat_room {}

    #[doc = include_str!("../docs/tutorial/2-groups-and-redis.md")]
    mod groups_and_redis {}

    #[doc = include_str!("../docs/tutorial/3-sessions-and-login.md")]
    mod sessions_and_login {}

    #[doc = include_str!("../docs/tutorial/4-testing.md")]
    mod testing_the_chat {}

    #[doc = include_str!("../docs/tutorial/5-who-is-here.md")]
    mod who_is_here {}

    /// The program of part 3 followed by the tests of part 4:
    #[doc = "```rust,test_harness"]
    #[doc = include_str!("../docs/tutorial/chat/main.rs")]
    #[doc = include_str!("../docs/tutorial/chat/tests.rs")]
    #[doc = "```"]
    ///
    /// The pages show the same code:
    /// ```
    /// const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tutorial");
    /// for (page, code) in [("3-sessions-and-login.md", "main.rs"), ("4-testing.md", "tests.rs")] {
    ///     let page = std::fs::read_to_string(format!("{DOCS}/{page}")).unwrap();
    ///     let code = std::fs::read_to_string(format!("{DOCS}/chat/{code}")).unwrap();
    ///     assert!(page.contains(&code), "the page shows another program than chat/ has");
    /// }
    /// ```
    mod chat_with_tests {}

    #[doc = include_str!("../docs/sessions.md")]
    mod sessions {}

    #[doc = include_str!("../docs/auth.md")]
    mod auth {}

    #[cfg(all(feature = "django", feature = "macros"))]
    #[doc = include_str!("../docs/from-django.md")]
    mod from_django {}

    #[doc = include_str!("../docs/http-consumers.md")]
    mod http_consumers {}

    #[doc = include_str!("../docs/browser-client.md")]
    mod browser_client {}

    #[doc = include_str!("../docs/routing.md")]
    mod routing {}

    #[doc = include_str!("../docs/middleware.md")]
    mod middleware {}

    #[cfg(feature = "server")]
    #[doc = include_str!("../docs/axum.md")]
    mod axum {}

    #[doc = include_str!("../docs/blocking.md")]
    mod blocking {}

    #[doc = include_str!("../docs/lifespan.md")]
    mod lifespan {}

    #[doc = include_str!("../docs/testing.md")]
    mod testing {}

    #[doc = include_str!("../docs/deployment.md")]
    mod deployment {}

    #[doc = include_str!("../docs/errors.md")]
    mod errors {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/feed.md")]
    mod feed {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/topics.md")]
    mod topics {}

    #[cfg(all(feature = "macros", feature = "redis", feature = "server"))]
    #[doc = include_str!("../docs/workers.md")]
    mod workers {}

    #[cfg(feature = "macros")]
    #[doc = include_str!("../docs/macros.md")]
    mod macros {}
}
