//! Errors as pages.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use seaway::AnyError;

/// An error response: a status, and a sentence for the user.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct Problem {
    status: StatusCode,
    problem: &'static str,
}

impl Problem {
    /// Returns a problem with this status.
    pub fn new(status: StatusCode, problem: &'static str) -> Self {
        Self { status, problem }
    }

    /// Returns the problem of an unknown room.
    pub fn no_such_room() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such room.")
    }
}

/// Handles requests for unknown paths.
pub async fn no_such_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is no such page.")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // If the page itself cannot be rendered, the sentence is sent as plain text.
        match self.render() {
            Ok(text) => (self.status, Html(text)).into_response(),
            Err(_) => (self.status, self.problem).into_response(),
        }
    }
}

/// Turns any internal error into a 500: the log gets the cause, the client only that the server
/// failed.
impl<E: Into<AnyError>> From<E> for Problem {
    fn from(error: E) -> Self {
        let error: AnyError = error.into();
        tracing::error!(?error, "cannot serve a page");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on the server. Try again in a moment.",
        )
    }
}
