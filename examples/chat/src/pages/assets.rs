//! Scripts, style and icon, as they were when the program was built.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

const CSS: &str = "text/css";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript";

/// The name of each file, its type, and what it holds.
#[rustfmt::skip] // One line each.
const FILES: &[(&str, &str, &str)] = &[
    ("favicon.svg", SVG, include_str!("../../static/favicon.svg")),
    ("style.css", CSS, include_str!("../../static/style.css")),
    ("account.js", JS, include_str!("../../static/account.js")),
    ("composer.js", JS, include_str!("../../static/composer.js")),
    ("connection.js", JS, include_str!("../../static/connection.js")),
    ("drawn-messages.js", JS, include_str!("../../static/drawn-messages.js")),
    ("elsewhere.js", JS, include_str!("../../static/elsewhere.js")),
    ("flags.js", JS, include_str!("../../static/flags.js")),
    ("form.js", JS, include_str!("../../static/form.js")),
    ("message-item.js", JS, include_str!("../../static/message-item.js")),
    ("message-text.js", JS, include_str!("../../static/message-text.js")),
    ("message-window.js", JS, include_str!("../../static/message-window.js")),
    ("messages.js", JS, include_str!("../../static/messages.js")),
    ("outbox.js", JS, include_str!("../../static/outbox.js")),
    ("page.js", JS, include_str!("../../static/page.js")),
    ("panel.js", JS, include_str!("../../static/panel.js")),
    ("past.js", JS, include_str!("../../static/past.js")),
    ("people.js", JS, include_str!("../../static/people.js")),
    ("room-list.js", JS, include_str!("../../static/room-list.js")),
    ("room.js", JS, include_str!("../../static/room.js")),
    ("rooms-feed.js", JS, include_str!("../../static/rooms-feed.js")),
    ("rooms.js", JS, include_str!("../../static/rooms.js")),
    ("seen.js", JS, include_str!("../../static/seen.js")),
    ("session.js", JS, include_str!("../../static/session.js")),
    ("status.js", JS, include_str!("../../static/status.js")),
    ("times.js", JS, include_str!("../../static/times.js")),
    ("title.js", JS, include_str!("../../static/title.js")),
    ("typing.js", JS, include_str!("../../static/typing.js")),
    ("unread-counts.js", JS, include_str!("../../static/unread-counts.js")),
    ("visit.js", JS, include_str!("../../static/visit.js")),
];

/// The routes of all files.
pub fn router() -> Router {
    FILES
        .iter()
        .fold(Router::new(), |router, &(name, kind, content)| {
            router.route(&format!("/static/{name}"), get(move || file(kind, content)))
        })
}

/// A browser may keep a file, and asks each time: a new version of the program may have a new one.
async fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
    (headers, content).into_response()
}
