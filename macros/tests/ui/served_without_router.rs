//! Applications that are served without a router.

use seaway::{
    ApplicationExt, from_service,
    protocol::{AllowedOrigins, WebSocket},
    routing::PathRouter,
    serve,
};

fn main() {
    let pages: axum::Router = axum::Router::new();
    _ = async { serve("127.0.0.1:0", from_service(pages)).await };
    let rooms = PathRouter::<WebSocket>::new();
    let rooms = rooms.with(AllowedOrigins::list(["https://app.example"]));
    _ = async { serve("127.0.0.1:0", rooms).await };
}
