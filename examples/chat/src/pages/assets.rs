//! Scripts, style and icon, compiled into the program.

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// Expands to the name and content of each file of `static/`.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../static/", $name)))),*]
    };
}

#[rustfmt::skip] // By page: all pages, the forms, the list of rooms, a room.
const FILES: &[(&str, &str)] = &files![
    "favicon.svg", "style.css", "page.js", "session.js",
    "account.js", "form.js",
    "flags.js", "room-list.js", "rooms-feed.js", "rooms.js", "socket.js", "status.js", "times.js", "title.js",
    "unread-counts.js",
    "composer.js", "drawn-messages.js", "elsewhere.js", "message-item.js", "message-text.js", "message-window.js",
    "messages.js", "outbox.js", "panel.js", "past.js", "people.js", "room.js", "seen.js", "typing.js", "visit.js",
];

/// The browser client of Seaway.
const CLIENT: &str = include_str!("../../../../clients/js/dist/seaway.js");

/// Returns the routes of all files.
pub fn router() -> Router {
    let mut router = Router::new();
    for &(name, content) in FILES.iter().chain([&("seaway.js", CLIENT)]) {
        let kind = match name.rsplit_once('.') {
            Some((_, "css")) => "text/css",
            Some((_, "svg")) => "image/svg+xml",
            _ => "text/javascript",
        };
        router = router.route(&format!("/static/{name}"), get(move || file(kind, content)));
    }
    router
}

/// Returns a file, which browsers must revalidate: a new version of the program may have a new one.
async fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")];
    (headers, content).into_response()
}
