//! Template responses, and the headers of every response.

use super::problem::Problem;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};

/// The content security policy: a page loads and runs only what this server sends, whatever its
/// messages contain.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Headers that are set unless the response has them. Pages are private, so nothing caches them.
const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// A rendered template as a response.
pub struct Rendered<T>(pub T);

impl<T: Template> IntoResponse for Rendered<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => Html(text).into_response(),
            Err(error) => Problem::from(error).into_response(),
        }
    }
}

/// Adds the headers to a response.
pub async fn with_headers(mut reply: Response) -> Response {
    for (name, value) in HEADERS {
        if let Entry::Vacant(free) = reply.headers_mut().entry(name) {
            free.insert(HeaderValue::from_static(value));
        }
    }
    reply
}
