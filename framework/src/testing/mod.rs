//! For your tests: talk to an application without a server, and examine a channel layer.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use seaway::{testing::WebSocketCommunicator, ApplicationExt, Channels, WebSocketConsumer};
//! # use seaway::{Context, Handshake, Reject, Result, NoEvent};
//! # struct Echo;
//! # impl WebSocketConsumer for Echo {
//! #     type Input = String;
//! #     type Event = NoEvent;
//! #     async fn connect(_: &mut Handshake) -> Result<Self, Reject> { Ok(Self) }
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

use std::{future::Future, time::Duration};

/// How long a communicator waits for what should come at once. Under paused time it passes in no time.
const PATIENCE: Duration = Duration::from_secs(5);

/// What should come at once, or a panic that says what did not.
#[track_caller]
fn soon<T>(what: &'static str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("waited {PATIENCE:?} for {what}, at {caller}"),
        }
    }
}
