//! The page, its scripts and its style, as an axum application like any other.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

/// Nothing but what this server sends runs in the page, whatever somebody writes into a message.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HTML: &str = "text/html";
const CSS: &str = "text/css";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript";

/// The path of each file, its type, and what it holds.
#[rustfmt::skip] // One line each.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../static/index.html")),
    ("/style.css", CSS, include_str!("../static/style.css")),
    ("/favicon.svg", SVG, include_str!("../static/favicon.svg")),
    ("/app.js", JS, include_str!("../static/app.js")),
    ("/composer.js", JS, include_str!("../static/composer.js")),
    ("/connection.js", JS, include_str!("../static/connection.js")),
    ("/flags.js", JS, include_str!("../static/flags.js")),
    ("/join.js", JS, include_str!("../static/join.js")),
    ("/message-item.js", JS, include_str!("../static/message-item.js")),
    ("/messages.js", JS, include_str!("../static/messages.js")),
    ("/page.js", JS, include_str!("../static/page.js")),
    ("/people.js", JS, include_str!("../static/people.js")),
    ("/title.js", JS, include_str!("../static/title.js")),
    ("/visit.js", JS, include_str!("../static/visit.js")),
];

/// The routes of all pages.
pub fn router() -> Router {
    let router = Router::new().route("/healthz", get(|| async { "ok" }));
    FILES.iter().fold(router, |router, &(path, kind, content)| {
        router.route(path, get(move || file(kind, content)))
    })
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
