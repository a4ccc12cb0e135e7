//! What an event type decodes, by which an enum that includes several is checked when it is compiled.

/// The kinds of events that a type decodes. Included types are tried in order, and the first one
/// that decodes an event receives it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Decodes {
    plain: bool,
    of_topics: bool,
    presence: bool,
    /// Whether it decodes every plain event.
    all_plain: bool,
    /// Whether it decodes every event of a topic.
    all_of_topics: bool,
}

impl Decodes {
    pub const NONE: Self = Self {
        plain: false,
        of_topics: false,
        presence: false,
        all_plain: false,
        all_of_topics: false,
    };

    /// Events of its own, in no topic.
    pub const PLAIN: Self = Self {
        plain: true,
        ..Self::NONE
    };

    /// Events of types that it does not know, too: `#[serde(other)]`.
    pub const OTHER: Self = Self {
        plain: true,
        all_plain: true,
        all_of_topics: true,
        ..Self::NONE
    };

    /// Changes of a presence.
    pub const PRESENCE: Self = Self {
        presence: true,
        ..Self::PLAIN
    };

    /// Returns what a type decodes that includes both.
    pub const fn or(self, other: Self) -> Self {
        Self {
            plain: self.plain || other.plain,
            of_topics: self.of_topics || other.of_topics,
            presence: self.presence || other.presence,
            all_plain: self.all_plain || other.all_plain,
            all_of_topics: self.all_of_topics || other.all_of_topics,
        }
    }

    /// Returns what a topic of these events decodes.
    pub const fn in_topic(self) -> Self {
        Self {
            of_topics: true,
            all_of_topics: self.all_plain,
            ..Self::NONE
        }
    }

    /// Returns whether it decodes events of `next` as those that it does not know.
    pub(crate) const fn takes_from(self, next: Self) -> bool {
        self.all_plain && next.plain || self.all_of_topics && next.of_topics
    }

    /// Returns whether both decode changes of a presence.
    pub(crate) const fn are_presences(self, next: Self) -> bool {
        self.presence && next.presence
    }
}
