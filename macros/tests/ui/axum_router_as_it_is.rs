//! An axum router that is given as it is.

use seaway::routing::ProtocolTypeRouter;

fn main() {
    let pages: axum::Router = axum::Router::new();
    _ = ProtocolTypeRouter::new().http(pages);
}
