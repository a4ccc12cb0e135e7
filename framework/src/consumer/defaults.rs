//! What `event`, `malformed`, `missed` and `failed` do by default, for async and blocking consumers
//! alike.

use crate::{
    channels::{Channels, Event, Missed, Shared},
    error::{Error, ErrorKind, one_line},
    message::Close,
};
use serde_json::error::Category;
use std::{
    any::{TypeId, type_name},
    collections::BTreeSet,
    fmt,
    sync::Mutex,
};

/// Logs once for a type of events that a consumer in a group has no hook for them, unless the type
/// has no variant for this one either.
pub(crate) fn ignore_event<E: Event>(event: &Shared<E>) {
    static LOGGED: Mutex<BTreeSet<TypeId>> = Mutex::new(BTreeSet::new());
    if event.is_other() {
        return;
    }
    let is_first = LOGGED
        .lock()
        .expect("no code panics while it holds this lock")
        .insert(TypeId::of::<E>());
    if is_first {
        tracing::warn!(
            event = type_name::<E>(),
            "dropped an event: the consumer is in a group and has no hook for events; add `forward` \
             to #[consumer], a method with #[on], or `event`, an empty one if it only sends"
        );
    }
}

/// Returns the close after a message that is not an `Input`: 1007, with the reason.
pub(super) fn close_malformed(error: &Error) -> Close {
    Close::new(Close::INVALID, malformed_reason(error))
}

/// Returns what the client may know about the error of decoding its message: the text of an
/// [`ErrorKind::Codec`] and serde's. An application's own codec may have failed at something else,
/// such as a query, whose error is for the log.
pub(super) fn malformed_reason(error: &Error) -> String {
    if error.kind() != ErrorKind::Codec {
        return "the message could not be decoded".to_owned();
    }
    let mut reason = error.client_message();
    if let Some(serde) = error.find_source::<serde_json::Error>() {
        let serde = serde.to_string();
        if !reason.ends_with(&serde) {
            reason = format!("{reason}: {serde}");
        }
    }
    one_line(&reason).into_owned()
}

/// Returns what the log is to say of an error of decoding a message, without what the message
/// holds, which may be secrets. Of an error of serde, whose text quotes the message, that is only the
/// kind and position. `None` is for a text that may quote it, too, and that the client gets.
pub(super) fn logged_reason(error: &Error) -> Option<String> {
    if let Some(serde) = error.find_source::<serde_json::Error>() {
        let kind = match serde.classify() {
            Category::Data => "unexpected",
            Category::Io | Category::Syntax | Category::Eof => "malformed",
        };
        return Some(match (serde.line(), serde.column()) {
            // An error without a position, such as a missing field of a value read before.
            (0, _) => format!("{kind} JSON"),
            (line, column) => format!("{kind} JSON at line {line} column {column}"),
        });
    }
    let full = format!("{error:#}");
    (error.is_constant() || full != malformed_reason(error)).then_some(full)
}

/// Returns the close after missed events, if the consumer was too slow; `None` keeps the connection
/// open.
pub(super) fn close_missed(missed: Missed) -> Option<Close> {
    match missed {
        Missed::Overflowed { .. } => Some(try_again(missed)),
        Missed::Interrupted { .. } => None,
    }
}

/// Returns the close after an error of a hook, and counts an event that was not sent. `None` is for
/// an error that closes with 1011 and is logged.
pub(super) fn close_failed(error: &Error, channels: &Channels) -> Option<Close> {
    match error.kind() {
        ErrorKind::ChannelFull | ErrorKind::Layer | ErrorKind::Unconfirmed => {
            channels.count_unsent(error);
            Some(try_again("an event may not have been sent"))
        }
        ErrorKind::Missed => Some(try_again(error.client_message())),
        ErrorKind::SessionGone => Some(Close::new(Close::UNAUTHORIZED, error.client_message())),
        _ => None,
    }
}

/// Returns the close (1013) after which a client is to reconnect and reload its state.
fn try_again(reason: impl fmt::Display) -> Close {
    Close::new(Close::TRY_AGAIN, reason.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{FromMessage, Json};
    use crate::error::AnyError;
    use crate::message::Message;

    #[test]
    fn a_client_gets_the_reason_of_a_codec_and_not_that_of_a_query() {
        let query = || std::io::Error::other("no such table: squares");
        let json = Json::<u32>::from_message(Message::text("seven")).unwrap_err();
        let square = || Error::new(ErrorKind::Codec, "a square is a letter and a digit");

        for (error, expected) in [
            (
                Error::from(json),
                "unexpected JSON: expected value at line 1 column 1",
            ),
            (square(), "a square is a letter and a digit"),
            (
                square().with_source(query()),
                "a square is a letter and a digit",
            ),
            (
                Error::from(AnyError::from(query())),
                "the message could not be decoded",
            ),
            (
                Error::new(ErrorKind::Session, "the store failed").with_source(query()),
                "the message could not be decoded",
            ),
        ] {
            assert_eq!(malformed_reason(&error), expected, "{error:#}");
        }
    }

    #[test]
    fn the_log_says_why_a_message_is_malformed_and_quotes_no_message() {
        let secret = || serde_json::from_str::<u32>(r#""hunter2""#).unwrap_err();
        let without_position = || serde_json::from_value::<u32>("hunter2".into()).unwrap_err();
        let codec = || Error::new(ErrorKind::Codec, "a square is a letter and a digit");
        let query = std::io::Error::other("no such table: squares");
        let json = Json::<u32>::from_message(Message::text(r#""hunter2""#)).unwrap_err();

        let unexpected = "unexpected JSON at line 1 column 9";
        for (error, expected) in [
            (Error::from(json), Some(unexpected)),
            (
                codec().with_source(without_position()),
                Some("unexpected JSON"),
            ),
            (codec(), Some("a square is a letter and a digit")),
            (
                Error::new(ErrorKind::Codec, format!("{} is no square", "hunter2")),
                None,
            ),
            (
                Json::<u32>::from_message(Message::binary("7"))
                    .unwrap_err()
                    .into(),
                Some("expected a text message"),
            ),
            (codec().with_source(secret()), Some(unexpected)),
            (Error::from(AnyError::from(secret())), Some(unexpected)),
            (
                Json::<u32>::from_message(Message::text("hunter2"))
                    .unwrap_err()
                    .into(),
                Some("malformed JSON at line 1 column 1"),
            ),
            (
                codec().with_source(query),
                Some("a square is a letter and a digit: no such table: squares"),
            ),
        ] {
            assert_eq!(logged_reason(&error).as_deref(), expected);
        }
    }
}
