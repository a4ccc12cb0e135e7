//! Places in the arena's topics, and what its clients receive.

use serde_json::Value;

/// A place as the arena writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicPosition {
    /// The number of the event in its topic.
    pub offset: u64,
    /// The epoch in which it was numbered.
    pub epoch: String,
}

/// What a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An event at its place, with its text.
    Event(TopicPosition, String),
    /// The end of a resume, or a gap: whether nothing is missing.
    Recovered(TopicPosition, bool),
}

impl Seen {
    /// Reads a message of the arena.
    ///
    /// # Panics
    /// If it is none of a topic.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).expect("JSON from the arena");
        let place = TopicPosition {
            offset: value["offset"].as_u64().expect("an offset"),
            epoch: value["epoch"].as_str().expect("an epoch").to_owned(),
        };
        match value["text"].as_str() {
            Some(text) => Self::Event(place, text.to_owned()),
            None => Self::Recovered(place, value["recovered"].as_bool().expect("a verdict")),
        }
    }
}

/// Returns the path of a topic, from its present or from a place.
#[must_use]
pub fn path(topic: &str, since: Option<&TopicPosition>) -> String {
    match since {
        Some(TopicPosition { offset, epoch }) => {
            format!("/ws/topic/{topic}?since={offset}&epoch={epoch}")
        }
        None => format!("/ws/topic/{topic}"),
    }
}

/// Returns a place.
#[must_use]
pub fn place(offset: u64, epoch: &str) -> TopicPosition {
    TopicPosition {
        offset,
        epoch: epoch.to_owned(),
    }
}
