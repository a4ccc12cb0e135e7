//! The errors of sessions.

use super::session_store;
use crate::error::{Error, ErrorKind};

/// The message of every error about an ended session, and the reason of its close frames.
pub(super) const GONE: &str = "the session has ended";

/// Returns the error of every operation on an ended session.
pub(super) fn gone() -> Error {
    Error::new(ErrorKind::SessionGone, GONE)
}

/// Returns the error of a session that can no longer begin.
pub(super) fn too_late() -> Error {
    Error::new(
        ErrorKind::Session,
        "a session cannot begin after the response, which would have to set its cookie: \
         insert a value in an HTTP handler or in `connect`",
    )
}

/// Returns the error of a session that can no longer get a new id.
pub(super) fn too_late_for_new_id() -> Error {
    Error::new(
        ErrorKind::Session,
        "a session cannot get a new id after the response, which would have to set its cookie: \
         call `cycle_id` in an HTTP handler or in `connect`",
    )
}

/// Returns the error of a key that only the framework writes.
pub(super) fn reserved(key: &str) -> Error {
    let message = format!(
        "cannot write the session key {key:?}: those with an underscore in front are the \
         framework's; choose another"
    );
    Error::new(ErrorKind::Name, message)
}

/// Converts an error of a session store.
pub(super) fn failed(error: session_store::Error) -> Error {
    let message = match error {
        session_store::Error::Decode(_) => {
            "the session store has a session that cannot be decoded; remove it from the store"
        }
        session_store::Error::Encode(_) => {
            "the session cannot be stored; change its values, as the reason says"
        }
        _ => "the session store failed; check that it runs and can be reached, and retry later",
    };
    Error::new(ErrorKind::Session, message).with_source(error)
}

/// Converts an error of serde for a value.
pub(super) fn not_this_type(error: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Codec,
        "a session value is not of this type; read it as the type that was inserted, or remove it",
    )
    .with_source(error)
}

/// Converts an error of serde for a value to be inserted.
pub(super) fn not_json(error: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Codec,
        "a session value cannot be written as JSON; see its serde attributes",
    )
    .with_source(error)
}
