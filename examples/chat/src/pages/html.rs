//! A template as a reply, and the headers of every reply.

use super::problem::Problem;
use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::{
    HeaderName, HeaderValue,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};

/// What a page may load and run, whatever somebody writes into a message: what this server sends, and no more.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Each header, unless the reply has one of that name. A page is somebody's own: nobody keeps it.
const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
];

/// The page that a template makes.
pub struct Rendered<T>(pub T);

impl<T: Template> IntoResponse for Rendered<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => Html(text).into_response(),
            Err(error) => Problem::from(error).into_response(),
        }
    }
}

/// Puts the headers on a reply.
pub async fn with_headers(mut reply: Response) -> Response {
    for (name, value) in HEADERS {
        if let Entry::Vacant(free) = reply.headers_mut().entry(name) {
            free.insert(HeaderValue::from_static(value));
        }
    }
    reply
}
