//! Middleware of WebSockets around the router of all protocols.

use seaway::{
    protocol::{AllowedOrigins, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};

fn main() {
    let app = ProtocolTypeRouter::new().websocket(PathRouter::new());
    _ = app
        .clone()
        .with(AllowedOrigins::list(["https://app.example"]));
    _ = app.with(WebSocketConfig::new());
}
