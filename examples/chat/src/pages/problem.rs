//! What went wrong, as a page.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use seaway::{BoxError, Error};

/// What went wrong: a status, and a sentence for people.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct Problem {
    status: StatusCode,
    problem: &'static str,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, problem: &'static str) -> Self {
        Self { status, problem }
    }

    /// There is no such room.
    pub fn no_such_room() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such room.")
    }
}

/// For addresses that lead nowhere.
pub async fn no_such_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "There is no such page.")
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // A page about a problem that is one itself becomes the bare sentence.
        match self.render() {
            Ok(text) => (self.status, Html(text)).into_response(),
            Err(_) => (self.status, self.problem).into_response(),
        }
    }
}

/// Whatever fails underneath is ours: the log learns what, and the client that it was not its fault.
impl<E: Into<BoxError>> From<E> for Problem {
    fn from(error: E) -> Self {
        let error = Error::user(error);
        tracing::error!(?error, "a page failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on the server. Try again in a moment.",
        )
    }
}
