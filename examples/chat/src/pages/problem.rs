//! What went wrong, as a page.

use super::html::page;
use askama::Template;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use std::{borrow::Cow, error::Error};

/// What went wrong: a status, and a sentence for people.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct Problem {
    status: u16,
    problem: Cow<'static, str>,
}

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, problem: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: status.as_u16(),
            problem: problem.into(),
        }
    }

    /// A form that did not come from one of our pages, or from one of a session that is over.
    pub fn foreign_form() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "This form was not sent from a page of ours, or the page was too old. Go back, load it again, and try once more.",
        )
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
        let status = StatusCode::from_u16(self.status).expect("it was made from one");
        // A page about a problem that is one itself becomes the bare sentence.
        match page(status, &self) {
            Ok(response) => response,
            Err(_) => (status, self.problem).into_response(),
        }
    }
}

/// Whatever fails underneath is ours: the log learns what, and the client that it was not its fault.
impl<E: Error> From<E> for Problem {
    fn from(error: E) -> Self {
        let mut causes = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            causes = format!("{causes}: {cause}");
            source = cause.source();
        }
        tracing::error!(error = causes, "a page failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on the server. Try again in a moment.",
        )
    }
}
