//! A parser of server-sent events that works like a browser's (WHATWG HTML, 9.2.6).

use super::from_json;
use serde::de::DeserializeOwned;
use std::{panic::Location, time::Duration};

/// A server-sent event, as a browser dispatches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedEvent {
    /// The event's name; empty if it has none, which a browser dispatches as `message`.
    pub name: String,
    /// The id that a browser would send when it reconnects: the event's own, or the last one before
    /// it.
    pub id: String,
    /// The event's data, with `\n` between lines.
    pub data: String,
    /// The reconnection time, if the event sets one.
    pub retry: Option<Duration>,
}

impl ReceivedEvent {
    /// Returns the event's data, decoded from JSON.
    ///
    /// # Panics
    /// If the data is no `T`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        from_json(Location::caller(), self.data.as_bytes())
    }
}

/// The received part of a stream that is not parsed yet.
#[derive(Default)]
pub(super) struct EventParser {
    bytes: Vec<u8>,
    last_id: String,
    event: ReceivedEvent,
    has_data: bool,
}

impl EventParser {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next complete event.
    pub(super) fn next(&mut self) -> Option<ReceivedEvent> {
        loop {
            let end = self.bytes.iter().position(|&byte| byte == b'\n')?;
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if !line.is_empty() {
                self.read_line(line);
                continue;
            }
            let mut event = std::mem::take(&mut self.event);
            if std::mem::take(&mut self.has_data) {
                event.id.clone_from(&self.last_id);
                return Some(event);
            }
        }
    }

    fn read_line(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => value.clone_into(&mut self.last_id),
            "retry" => self.event.retry = value.parse().ok().map(Duration::from_millis),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}
