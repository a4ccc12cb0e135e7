//! One server-sent event and its encoding.

use crate::{
    channels::{Event, Shared, TopicEvent},
    codec::{FromMessage, IntoMessage, Json},
    error::{Error, ErrorKind, Result},
    message::{Message, Text},
};
use bytes::Bytes;
use serde::Serialize;
use std::time::Duration;

/// A server-sent event: data, and optionally a name, an id and a reconnection time.
///
/// ```
/// use seaway::SseEvent;
/// use std::time::Duration;
///
/// let event = SseEvent::text("two\nlines").name("chat").id("7").retry(Duration::from_secs(2));
/// assert_eq!(event.encode().unwrap(), "data: two\ndata: lines\nevent: chat\nid: 7\nretry: 2000\n\n");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "an event has no effect until it is sent"]
pub struct SseEvent {
    /// Fields, each with its line end.
    lines: String,
    /// Fields encoded once for all streams, with the empty line that ends an event.
    shared: Option<Bytes>,
    fault: Option<&'static str>,
}

impl SseEvent {
    /// Creates an event without data, which an `EventSource` does not dispatch: it only stores its
    /// id and `retry`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an event with this text as its data; lines arrive separated by `\n`.
    pub fn text(text: impl AsRef<str>) -> Self {
        let mut event = Self::new();
        for line in lines(text.as_ref()) {
            event.field("data", line);
        }
        event
    }

    /// Creates an event with this value as JSON as its data.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be encoded as JSON.
    pub fn json<T: Serialize>(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorKind::Codec, "a value cannot be written as JSON").with_source(source)
        })?;
        Ok(Self::text(text))
    }

    /// Creates the server-sent event of a shared group event, once per process for all streams that
    /// use the same function.
    ///
    /// ```
    /// use seaway::{Result, Shared, SseEvent};
    /// # #[derive(seaway::Event)] enum ChatEvent { Message { id: u64, text: String } }
    /// fn to_sse(event: &Shared<ChatEvent>) -> Result<SseEvent> {
    ///     Ok(SseEvent::shared(event, |event| {
    ///         let ChatEvent::Message { id, text } = event;
    ///         Ok(SseEvent::text(text).id(id.to_string()))
    ///     })?)
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of the function.
    pub fn shared<E: Event>(
        event: &Shared<E>,
        make: fn(&E) -> crate::Result<Self>,
    ) -> Result<Self> {
        let message = event.message_of(make, |made: Self| Ok(Message::binary(made.encode()?)))?;
        Ok(Self {
            shared: Some(message.into_payload()),
            ..Self::new()
        })
    }

    /// Creates the event for an event of a topic, once per process for all streams: its JSON as the
    /// data, its position as the id, so that an `EventSource` that reconnects names the position in
    /// `Last-Event-ID`.
    ///
    /// For a stream of one topic. One that serves several sets an id of all
    /// [`Positions`](crate::Positions) itself.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the event cannot be encoded as JSON.
    pub fn topic<E: Event>(event: &Shared<TopicEvent<E>>) -> Result<Self> {
        Self::shared(event, |event| {
            Ok(Self::json(event)?.id(event.position().to_string()))
        })
    }

    /// Sets the event's name: pages receive it with `addEventListener(name, …)` instead of
    /// `onmessage`.
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.line("event", name.as_ref());
        self
    }

    /// Sets the event's id, which an `EventSource` that reconnects sends as `Last-Event-ID`.
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.line("id", id.as_ref());
        self
    }

    /// Sets how long an `EventSource` waits before it reconnects, in whole milliseconds.
    pub fn retry(mut self, pause: Duration) -> Self {
        self.line("retry", &pause.as_millis().to_string());
        self
    }

    pub(super) fn comment(text: &str) -> Self {
        let mut event = Self::new();
        for line in lines(text) {
            event.field("", line);
        }
        event
    }

    /// Encodes the event.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if its name or id has a line break or a NUL, which an event stream
    /// cannot represent.
    pub fn encode(self) -> Result<Bytes> {
        if let Some(fault) = self.fault {
            return Err(Error::new(ErrorKind::Codec, fault));
        }
        let mut lines = self.lines;
        match self.shared {
            Some(shared) if lines.is_empty() => Ok(shared),
            Some(shared) => Ok([lines.as_bytes(), &shared].concat().into()),
            None => {
                lines.push('\n');
                Ok(lines.into())
            }
        }
    }

    /// Adds a field that must be one line.
    fn line(&mut self, field: &'static str, value: &str) {
        if value.contains(['\0', '\n', '\r']) {
            self.fault =
                Some("the name and the id of a server-sent event are one line without NUL");
        } else {
            self.field(field, value);
        }
    }

    fn field(&mut self, field: &str, value: &str) {
        // The one space after the colon is not part of the value.
        for part in [field, ": ", value, "\n"] {
            self.lines.push_str(part);
        }
    }
}

/// Splits a text into lines, which end with LF, CR or CRLF (WHATWG HTML, 9.2.5); an empty text is
/// one line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let (ended, last) = text.split_at(text.rfind('\n').map_or(0, |end| end + 1));
    let ended = ended.split_terminator('\n');
    // The CR of a CRLF; behind the last LF it ends a line of its own.
    let ended = ended.map(|line| line.strip_suffix('\r').unwrap_or(line));
    ended.chain([last]).flat_map(|line| line.split('\r'))
}

/// A type that can be sent as a server-sent event: an [`SseEvent`], or its data alone.
///
/// ```
/// use seaway::{IntoSseEvent, Json};
///
/// let event = Json([1, 2]).into_sse_event().unwrap();
/// assert_eq!(event.encode().unwrap(), "data: [1,2]\n\n");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a server-sent event",
    label = "wrap it to send it as JSON: `Json(…)`",
    note = "server-sent events are text, `Json(value)`, or an `SseEvent`"
)]
pub trait IntoSseEvent: Send {
    /// Converts the value to an event.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be encoded.
    fn into_sse_event(self) -> crate::Result<SseEvent>;
}

impl IntoSseEvent for SseEvent {
    fn into_sse_event(self) -> crate::Result<SseEvent> {
        Ok(self)
    }
}

impl IntoSseEvent for &str {
    fn into_sse_event(self) -> crate::Result<SseEvent> {
        Ok(SseEvent::text(self))
    }
}

impl IntoSseEvent for String {
    fn into_sse_event(self) -> crate::Result<SseEvent> {
        Ok(SseEvent::text(self))
    }
}

/// Sends JSON as data. An event, `Json(event)`, is encoded once per process.
impl<T: Send> IntoSseEvent for Json<T>
where
    Json<T>: IntoMessage,
{
    fn into_sse_event(self) -> crate::Result<SseEvent> {
        let text = Text::from_message(self.into_message()?)?;
        Ok(SseEvent::text(&*text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_keeps_its_lines_however_they_end() {
        for (text, expected) in [
            ("ahoy", "data: ahoy\n\n"),
            ("", "data: \n\n"),
            (" led by a space", "data:  led by a space\n\n"),
            ("one\ntwo", "data: one\ndata: two\n\n"),
            ("one\r\ntwo\rthree", "data: one\ndata: two\ndata: three\n\n"),
            ("last\n", "data: last\ndata: \n\n"),
            ("last\r", "data: last\ndata: \n\n"),
            ("last\r\n", "data: last\ndata: \n\n"),
            ("last\n\r", "data: last\ndata: \ndata: \n\n"),
            ("last\r\r\n", "data: last\ndata: \ndata: \n\n"),
            ("id: 7", "data: id: 7\n\n"),
        ] {
            assert_eq!(SseEvent::text(text).encode().unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_or_id_that_would_begin_another_field_is_rejected() {
        for text in ["a\nb", "a\rb", "a\0b"] {
            let named = SseEvent::text("x").name(text).encode();
            let numbered = SseEvent::text("x").id(text).encode();

            assert_eq!(named.unwrap_err().kind(), ErrorKind::Codec, "{text:?}");
            assert_eq!(numbered.unwrap_err().kind(), ErrorKind::Codec, "{text:?}");
        }
    }

    #[test]
    fn a_comment_is_no_event() {
        let comment = SseEvent::comment("one\ntwo").encode().unwrap();

        assert_eq!(comment, ": one\n: two\n\n");
    }
}
