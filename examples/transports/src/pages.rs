//! The pages with their static files, and `POST /say`.

use crate::{
    count::Counts,
    poll::{poll, stats},
    room::{Message, Room, UNFIT, is_fit},
};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use std::sync::Arc;

/// The largest request body: a message of 500 characters has at most this many bytes.
const LARGEST: usize = 2_000;

/// The content security policy: the page loads and runs only what this server sends.
const POLICY: &str = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

/// The path, type and content of each file.
#[rustfmt::skip] // One line each.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("../static/index.html")),
    ("/fallback", HTML, include_str!("../static/fallback.html")),
    ("/static/ask.js", JS, include_str!("../static/ask.js")),
    ("/static/composer.js", JS, include_str!("../static/composer.js")),
    ("/static/cost-chart.js", JS, include_str!("../static/cost-chart.js")),
    ("/static/delay-chart.js", JS, include_str!("../static/delay-chart.js")),
    ("/static/fallback.js", JS, include_str!("../static/fallback.js")),
    ("/static/favicon.svg", SVG, include_str!("../static/favicon.svg")),
    ("/static/feed.js", JS, include_str!("../static/feed.js")),
    ("/static/glance.js", JS, include_str!("../static/glance.js")),
    ("/static/log.js", JS, include_str!("../static/log.js")),
    ("/static/long-polling.js", JS, include_str!("../static/long-polling.js")),
    ("/static/main.js", JS, include_str!("../static/main.js")),
    ("/static/nap.js", JS, include_str!("../static/nap.js")),
    ("/static/page.js", JS, include_str!("../static/page.js")),
    ("/static/pane.js", JS, include_str!("../static/pane.js")),
    ("/static/polling.js", JS, include_str!("../static/polling.js")),
    ("/static/seaway.js", JS, include_str!("../../../clients/js/dist/seaway.js")),
    ("/static/server-sent-events.js", JS, include_str!("../static/server-sent-events.js")),
    ("/static/style.css", CSS, include_str!("../static/style.css")),
    ("/static/tally.js", JS, include_str!("../static/tally.js")),
    ("/static/voice.js", JS, include_str!("../static/voice.js")),
    ("/static/web-socket.js", JS, include_str!("../static/web-socket.js")),
];

/// Returns the routes that need no consumer: the pages, polling, `POST /say`.
pub fn router(room: Arc<Room>, counts: Arc<Counts>) -> Router {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/poll", get(poll))
        .route("/stats", get(stats))
        .route("/say", post(say))
        .layer(DefaultBodyLimit::max(LARGEST));
    let router = FILES.iter().fold(router, |router, &(path, kind, content)| {
        router.route(path, get(move || file(kind, content)))
    });
    router.with_state((room, counts))
}

/// Handles `POST /say`: publishes a text.
async fn say(
    State((room, _)): State<(Arc<Room>, Arc<Counts>)>,
    text: String,
) -> seaway::Result<Result<(StatusCode, Json<Message>), (StatusCode, &'static str)>> {
    if !is_fit(&text) {
        return Ok(Err((StatusCode::BAD_REQUEST, UNFIT)));
    }
    Ok(Ok((StatusCode::CREATED, Json(room.say(text).await?))))
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
