//! The page, its script and its style, as an axum application like any other.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

/// Nothing but what this server sends runs in the page, whatever somebody writes into a message.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The routes of all pages.
pub fn router() -> Router {
    Router::new()
        .route(
            "/",
            get(|| file("text/html", include_str!("../static/index.html"))),
        )
        .route(
            "/app.js",
            get(|| file("text/javascript", include_str!("../static/app.js"))),
        )
        .route(
            "/style.css",
            get(|| file("text/css", include_str!("../static/style.css"))),
        )
        .route(
            "/favicon.svg",
            get(|| file("image/svg+xml", include_str!("../static/favicon.svg"))),
        )
        .route("/healthz", get(|| async { "ok" }))
}

async fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}
