//! Count and log of events, and people of presences, that a consumer could not decode.
//!
//! The log is limited by group and type, so that one outdated sender does not hide other mistakes.

use super::Envelope;
use crate::{error::Error, metric, name::GroupName};
use std::{
    collections::HashSet,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The number of pairs of group and type that are logged. The events of further pairs are only
/// counted.
const PAIRS: usize = 256;

/// The maximum length of a type that is stored and logged, in bytes.
const MAX_TYPE: usize = 100;

/// Stands for a type, which events of presence do not have.
const PRESENCE: &str = "a presence";

/// A counter of events that could not be decoded, which logs the first of each group and type.
#[derive(Default)]
pub(super) struct Undecodable {
    total: AtomicU64,
    logged: Mutex<HashSet<Pair>>,
}

/// The group, if the event was sent to one, and the type, if the event has one.
type Pair = (Option<GroupName>, Option<String>);

impl Undecodable {
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn log(&self, error: &Error, envelope: &Envelope) {
        metric::undecodable(1);
        let total = self.total.fetch_add(1, Ordering::Relaxed) + 1;
        let kind = envelope.kind().map(|mut kind| {
            kind.truncate(kind.floor_char_boundary(MAX_TYPE));
            kind
        });
        let pair = (envelope.group().cloned(), kind);
        if !self.is_first(&pair) {
            return;
        }
        let (group, kind) = pair;
        tracing::warn!(
            group = group.as_ref().map_or("", GroupName::as_str),
            r#type = kind.as_deref().unwrap_or(""),
            error = %format_args!("{error:#}"),
            total,
            "skipped an event that could not be decoded; further ones of this group and type are only counted"
        );
    }

    /// Counts and logs people of a presence whose meta could not be decoded.
    pub(super) fn log_people(&self, group: &GroupName, people: u64, error: &Error) {
        metric::undecodable(people);
        let total = self.total.fetch_add(people, Ordering::Relaxed) + people;
        if self.is_first(&(Some(group.clone()), Some(PRESENCE.to_owned()))) {
            tracing::warn!(
                %group,
                people,
                error = %format_args!("{error:#}"),
                total,
                "left people out of a presence whose meta could not be decoded; further ones of this group are only counted"
            );
        }
    }

    fn is_first(&self, pair: &Pair) -> bool {
        let mut logged = self
            .logged
            .lock()
            .expect("no code panics while it holds this lock");
        logged.len() < PAIRS && logged.insert(pair.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_and_type_is_first_once_and_their_number_is_bounded() {
        let undecodable = Undecodable::default();
        let pair =
            |group: &str, kind: &str| (Some(GroupName::new(group).unwrap()), Some(kind.to_owned()));

        assert!(undecodable.is_first(&pair("a", "x")));
        assert!(!undecodable.is_first(&pair("a", "x")));
        assert!(undecodable.is_first(&pair("a", "y")));
        assert!(undecodable.is_first(&pair("b", "x")));
        for number in 0..2 * PAIRS {
            undecodable.is_first(&pair("flood", &number.to_string()));
        }
        assert_eq!(undecodable.logged.lock().unwrap().len(), PAIRS);
    }
}
