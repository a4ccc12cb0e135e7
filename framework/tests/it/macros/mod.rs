//! Tests of the macros through their public interface.

mod by_hand;
mod deprecated;
mod events;
mod fields;
mod groups;
mod hooks;
mod http;
mod messages;
mod requests;
mod room;
mod topics;
mod views;

use ::http::{Request, StatusCode};
use seaway::{
    ApplicationExt, BoxApplication, Channels, WebSocketConsumer, protocol::WebSocket,
    routing::PathRouter, testing::WebSocketCommunicator,
};

/// Returns an app with the consumer at `/ws/{room}`.
fn stage<C: WebSocketConsumer>() -> BoxApplication<WebSocket> {
    let consumer = C::application(&Channels::in_memory());
    PathRouter::new().route("/ws/{room}", consumer).boxed()
}

fn open(app: &BoxApplication<WebSocket>, path: &str) -> WebSocketCommunicator {
    WebSocketCommunicator::open(app, Request::get(path))
}

async fn status(app: &BoxApplication<WebSocket>, path: &str) -> StatusCode {
    open(app, path).status().await
}
