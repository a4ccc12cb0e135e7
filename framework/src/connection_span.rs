//! The tracing span of a connection, which all its log lines show.

use http::{HeaderMap, Uri};
use std::net::SocketAddr;
use tracing::{Span, error_span, field};

/// The header with the id that a proxy or middleware gave to a request.
const REQUEST_ID: &str = "x-request-id";

/// The maximum length of a logged path and of a logged request id, in bytes.
pub(crate) const MAX_PATH: usize = 200;
const MAX_REQUEST_ID: usize = 128;

/// Returns the span of a request, or of the WebSocket that it opens.
///
/// It has the level `error`, so that every log level that shows a failure shows the fields of its
/// connection. While no subscriber listens, nothing is formatted or allocated.
pub(crate) fn connection_span(
    protocol: &'static str,
    uri: &Uri,
    headers: &HeaderMap,
    client: Option<SocketAddr>,
) -> Span {
    error_span!(
        target: "seaway::connection",
        "connection",
        protocol,
        path = cut(uri.path(), MAX_PATH),
        client = client.map(field::display),
        request_id = request_id(headers),
        consumer = field::Empty,
        user = field::Empty,
    )
}

/// Returns the id of the request, unless it is too long or not visible ASCII.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    (id.len() <= MAX_REQUEST_ID).then_some(id)
}

/// Returns the text up to this many bytes.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
