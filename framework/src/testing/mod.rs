//! For your tests: talk to an application without a server, and examine a channel layer.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use seaway::{testing::WebSocketCommunicator, ApplicationExt, Channels, WebSocketConsumer};
//! # use seaway::{Context, Handshake, Rejection, Result, NoEvent};
//! # struct Echo;
//! # impl WebSocketConsumer for Echo {
//! #     type Input = String;
//! #     type Event = NoEvent;
//! #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
//! #     async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> { ctx.send(text).await }
//! # }
//! let app = Echo::application(&Channels::in_memory()).boxed();
//! let mut ana = WebSocketCommunicator::open(&app, http::Request::get("/ws/echo"));
//!
//! assert_eq!(ana.status().await, 101);
//! ana.send("ahoy").await;
//! assert_eq!(ana.receive_text().await, "ahoy");
//! ana.disconnect().await.unwrap();
//! # });
//! ```

pub mod channel_layer;
mod event_stream;
mod http;
mod websocket;

pub use self::{
    event_stream::ReceivedEvent, http::HttpCommunicator, websocket::WebSocketCommunicator,
};

use crate::rejection::Reason;
use ::http::{Extensions, StatusCode};
use std::{
    fmt,
    future::Future,
    panic::Location,
    time::{Duration, Instant},
};

/// How long a communicator waits for what should come at once. Under paused time it passes in no time.
const PATIENCE: Duration = Duration::from_secs(5);

/// A line of a test: a panic in a future names the framework's own.
type Line = &'static Location<'static>;

/// What should come at once, or a panic that says what did not.
#[track_caller]
fn soon<T>(what: &'static str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    soon_at(Location::caller(), what, future)
}

/// As [`soon`], for a line that is known.
async fn soon_at<T>(line: Line, what: &'static str, future: impl Future<Output = T>) -> T {
    let began = Instant::now();
    if let Ok(value) = tokio::time::timeout(PATIENCE, future).await {
        return value;
    }
    let hint = match began.elapsed() < PATIENCE / 2 {
        true => " of paused time (let it pass before, with tokio::time::sleep)",
        false => "",
    };
    fail(line, format_args!("waited {PATIENCE:?}{hint} for {what}"))
}

/// Fails the test that called from there.
fn fail(line: Line, why: impl fmt::Display) -> ! {
    panic!("{why}, at {line}")
}

/// Why there was such an answer, if its client is not told: for the output of a test that fails.
fn explain(line: Line, status: StatusCode, extensions: &Extensions) {
    if let Some(reason) = extensions.get::<Reason>() {
        eprintln!("answered {status}, at {line}: {reason}");
    }
}

/// An answer in words, with what its client is not told.
fn described(status: StatusCode, text: &str, extensions: &Extensions) -> String {
    match extensions.get::<Reason>() {
        Some(reason) => format!("{status}: {reason}"),
        None => format!("{status}: {text}"),
    }
}
