//! Reads server-sent events as a browser does (WHATWG HTML, 9.2.6).

use std::time::Duration;

/// A server-sent event, as a page hears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedEvent {
    /// Its name; empty if it has none, and pages hear `message`.
    pub name: String,
    /// The id that a page would come back with: the event's own, or the last one before it.
    pub id: String,
    /// Its data, with `\n` between lines.
    pub data: String,
    /// How soon to come back, if this event has said so.
    pub retry: Option<Duration>,
}

/// What has come of a stream and is not read yet.
#[derive(Default)]
pub(super) struct EventStream {
    bytes: Vec<u8>,
    last_id: String,
    event: ReceivedEvent,
    has_data: bool,
}

impl EventStream {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next event that is whole.
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
