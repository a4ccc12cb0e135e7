//! One server-sent event, as it is written.

use super::super::{FromMessage, IntoMessage, Json};
use crate::{
    channels::{Event, Shared},
    error::{Error, ErrorKind, Result},
    message::{Message, Text},
};
use bytes::Bytes;
use serde::Serialize;
use std::time::Duration;

/// One server-sent event: its data, and if you like a name, an id and how soon to come back.
///
/// ```
/// use seaway::SseEvent;
/// use std::time::Duration;
///
/// let event = SseEvent::text("two\nlines").name("chat").id("7").retry(Duration::from_secs(2));
/// assert_eq!(event.encode().unwrap(), "data: two\ndata: lines\nevent: chat\nid: 7\nretry: 2000\n\n");
/// ```
#[derive(Clone, Debug, Default)]
pub struct SseEvent {
    /// Fields, each with the end of its line.
    lines: String,
    /// Fields that were written before, for all streams; the empty line that ends an event is in them.
    shared: Option<Bytes>,
    fault: Option<&'static str>,
}

impl SseEvent {
    /// An event without data, which a page does not hear: its id and its `retry` are noted.
    pub fn new() -> Self {
        Self::default()
    }

    /// An event with this text as its data, which may have several lines; a page gets them with `\n` between.
    pub fn text(text: impl AsRef<str>) -> Self {
        let mut event = Self::new();
        for line in lines(text.as_ref()) {
            event.field("data", line);
        }
        event
    }

    /// An event whose data is this value as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if JSON cannot express it.
    pub fn json<T: Serialize>(value: &T) -> Result<Self> {
        let text = serde_json::to_string(value).map_err(|source| {
            Error::new(ErrorKind::Codec, "a value cannot be written as JSON").with_source(source)
        })?;
        Ok(Self::text(text))
    }

    /// What this function makes of an event, made once per process and shared by all streams that use the same function.
    ///
    /// ```
    /// use seaway::{Result, Shared, SseEvent};
    /// # use serde::{Serialize, Deserialize};
    /// # #[derive(Serialize, Deserialize)] #[serde(tag = "type")] enum Said { Message { id: u64, text: String } }
    /// fn told(event: &Shared<Said>) -> Result<SseEvent> {
    ///     SseEvent::shared(event, |said| {
    ///         let Said::Message { id, text } = said;
    ///         Ok(SseEvent::text(text).id(id.to_string()))
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// Whatever the function returns.
    pub fn shared<E: Event>(event: &Shared<E>, make: fn(&E) -> Result<Self>) -> Result<Self> {
        let message = event.message_of(make, |made: Self| Ok(Message::binary(made.encode()?)))?;
        Ok(Self {
            shared: Some(message.into_payload()),
            ..Self::new()
        })
    }

    /// The event's name: pages hear it with `addEventListener(name, …)` instead of `onmessage`.
    #[must_use]
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.line("event", name.as_ref());
        self
    }

    /// The event's id, which a page that comes back names as `Last-Event-ID`.
    #[must_use]
    pub fn id(mut self, id: impl AsRef<str>) -> Self {
        self.line("id", id.as_ref());
        self
    }

    /// How long a page waits before it comes back, in whole milliseconds.
    #[must_use]
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

    /// The event as it is sent.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if its name or id has a line break or a NUL, which an event stream cannot carry.
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

    /// A field that must be one line.
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

/// The lines of a text, however they end (WHATWG HTML, 9.2.5); an empty text is one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.split('\r')
    })
}

/// What can be sent as a server-sent event: an [`SseEvent`], or its data alone.
pub trait IntoSseEvent: Send {
    /// The event.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be expressed.
    fn into_sse_event(self) -> Result<SseEvent>;
}

impl IntoSseEvent for SseEvent {
    fn into_sse_event(self) -> Result<SseEvent> {
        Ok(self)
    }
}

impl IntoSseEvent for &str {
    fn into_sse_event(self) -> Result<SseEvent> {
        Ok(SseEvent::text(self))
    }
}

impl IntoSseEvent for String {
    fn into_sse_event(self) -> Result<SseEvent> {
        Ok(SseEvent::text(self))
    }
}

/// JSON as data. An event, `Json(event)`, is written once per process.
impl<T: Send> IntoSseEvent for Json<T>
where
    Json<T>: IntoMessage,
{
    fn into_sse_event(self) -> Result<SseEvent> {
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
            ("id: 7", "data: id: 7\n\n"),
        ] {
            assert_eq!(SseEvent::text(text).encode().unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_or_id_that_would_begin_another_field_is_refused() {
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
