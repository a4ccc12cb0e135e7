//! Test support: clients that need no server, and a conformance suite for channel layers.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use seaway::{testing::WebSocketCommunicator, Channels, WebSocketConsumer};
//! # use seaway::{Context, Handshake, Rejection, Result, NoEvent};
//! # struct Echo;
//! # impl WebSocketConsumer for Echo {
//! #     type Input = String;
//! #     type Event = NoEvent;
//! #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
//! #     async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> { Ok(ctx.send(text).await?) }
//! # }
//! let app = Echo::application(&Channels::in_memory());
//! let mut ana = WebSocketCommunicator::open(&app, http::Request::get("/ws/echo"));
//!
//! assert_eq!(ana.status().await, 101);
//! ana.send("ahoy").await;
//! assert_eq!(ana.receive_text().await, "ahoy");
//! ana.disconnect().await.unwrap();
//! # });
//! ```
//!
//! A [`TestClient`] connects to a whole [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter),
//! keeps the cookies, and can be logged in.
//!
//! | file | contents |
//! | --- | --- |
//! | `client.rs` | a client with cookies |
//! | `cookie_jar.rs` | its cookies |
//! | `log_in.rs` | its login without a password |
//! | `websocket.rs`, `http.rs` | one WebSocket; one HTTP request |
//! | `event_stream.rs` | server-sent events |
//! | `worker.rs` | one job |
//! | `channel_layer.rs` | the conformance suite for channel layers |
//! | `presence.rs`, `topics.rs` | those for their presence, and for their topics |

pub mod channel_layer;
mod client;
mod cookie_jar;
mod event_stream;
mod http;
#[cfg(feature = "sessions")]
mod log_in;
pub mod presence;
pub mod topics;
mod websocket;
mod worker;

pub use self::{
    client::{TestClient, TestRequest, TestResponse},
    event_stream::ReceivedEvent,
    http::HttpCommunicator,
    websocket::WebSocketCommunicator,
    worker::run_job,
};

use crate::{
    application::Application,
    connection_span::ConnectionSpan,
    error::Result,
    rejection::Reason,
    scope::{OpensOverHttp, Protocol, Scope},
};
use ::http::{Extensions, StatusCode, Uri, request};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    future::Future,
    mem,
    panic::Location,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Timeout of a communicator. Under paused time it elapses immediately.
const PATIENCE: Duration = Duration::from_secs(5);

/// The caller's line in a test, because the location of a panic in a future is in the framework.
type Caller = &'static Location<'static>;

/// Parses a path, with or without a query.
#[track_caller]
fn parse_path(path: &str) -> Uri {
    match path.parse::<Uri>() {
        Ok(uri) if !uri.path().is_empty() => uri,
        Err(error) if path.starts_with('/') => panic!("the path {path:?} is malformed: {error}"),
        _ => not_a_path(path),
    }
}

#[track_caller]
fn not_a_path(path: &str) -> ! {
    panic!("{path:?} is not a path: start it with '/'")
}

/// Returns the head of a handshake.
#[track_caller]
fn head_of(request: request::Builder) -> request::Parts {
    let request = request.body(()).expect("the request is well formed");
    let (head, ()) = request.into_parts();
    if head.uri.path().is_empty() {
        not_a_path(&head.uri.to_string());
    }
    head
}

/// Returns the scope of a request, with the extensions of the request and a tracing span, as in a
/// server.
fn scope<P: Protocol<Head = request::Parts>>(mut head: request::Parts) -> Scope<P> {
    let extensions = mem::take(&mut head.extensions);
    let span = ConnectionSpan::new(P::NAME, &head.uri, &head.headers, None);
    let mut scope = Scope::new(head);
    scope.extensions = extensions;
    scope.set_span(span);
    scope
}

/// Runs an application in the span of its connection.
fn start<P: OpensOverHttp>(
    application: &(impl Application<P> + Clone),
    scope: Scope<P>,
    connection: P::Connection,
) -> JoinHandle<Result<()>> {
    let application = application.clone();
    let span = scope.span().open();
    let running = async move { Ok(application.call(scope, connection).await?) };
    tokio::spawn(running.instrument(span))
}

/// Awaits a future, and panics with `what` if it is not ready within [`PATIENCE`].
#[track_caller]
fn soon<T>(what: &'static str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    soon_at(Location::caller(), what, future)
}

/// Does the same as [`soon`] for a given line.
async fn soon_at<T>(caller: Caller, what: &'static str, future: impl Future<Output = T>) -> T {
    let began = Instant::now();
    if let Ok(value) = tokio::time::timeout(PATIENCE, future).await {
        return value;
    }
    let hint = match began.elapsed() < PATIENCE / 2 {
        true => {
            " of paused time (if it takes longer, open the request, and let time pass with tokio::time::sleep)"
        }
        false => "",
    };
    fail(caller, format_args!("waited {PATIENCE:?}{hint} for {what}"))
}

/// Panics with the line of the test.
fn fail(caller: Caller, why: impl fmt::Display) -> ! {
    panic!("{why}, at {caller}")
}

/// Decodes JSON, and panics with the line of the test if it is no `T`.
fn from_json<T: DeserializeOwned>(caller: Caller, json: &[u8]) -> T {
    serde_json::from_slice(json).unwrap_or_else(|error| {
        let text = String::from_utf8_lossy(json);
        fail(caller, format_args!("{error} in {text}"))
    })
}

/// Prints the reason of a response that does not contain it, for the output of a test that fails.
fn explain(caller: Caller, status: StatusCode, extensions: &Extensions) {
    if let Some(reason) = extensions.get::<Reason>() {
        eprintln!("responded with {status}, at {caller}: {reason}");
    }
}

/// Describes a response, with the reason if the response does not contain it.
fn described(status: StatusCode, text: &str, extensions: &Extensions) -> String {
    match extensions.get::<Reason>() {
        Some(reason) => format!("{status}: {reason}"),
        None if text.is_empty() => status.to_string(),
        None => format!("{status}: {text}"),
    }
}
