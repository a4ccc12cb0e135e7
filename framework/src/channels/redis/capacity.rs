//! How many messages may wait in the queue of a channel, by patterns of its name.

use crate::{channels::QUEUE_CAPACITY, name::ChannelName};

/// The capacity of queues: one for all, and others for names that match a pattern.
#[derive(Clone, Debug)]
pub(super) struct Capacities {
    pub(super) default: usize,
    /// The first pattern that matches decides.
    pub(super) patterns: Vec<(String, usize)>,
}

impl Default for Capacities {
    fn default() -> Self {
        Self {
            default: QUEUE_CAPACITY,
            patterns: Vec::new(),
        }
    }
}

impl Capacities {
    /// Returns how many messages may wait for a channel.
    pub(super) fn of(&self, channel: &ChannelName) -> usize {
        let name = channel.as_str().as_bytes();
        let mut patterns = self.patterns.iter();
        let matching = patterns.find(|(pattern, _)| matches(pattern.as_bytes(), name));
        matching.map_or(self.default, |(_, capacity)| *capacity)
    }
}

/// Returns whether a name matches a pattern of Python's `fnmatch`: `*` matches everything, `?` one
/// byte, `[abc]`, `[a-z]` and `[!abc]` one byte of a set. A `[` without its `]` matches itself.
///
/// It takes at most the product of both lengths: on a mismatch, only the last `*` takes more.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut last_star = None;
    while position < name.len() {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            last_star = Some((at, position));
            continue;
        }
        if let Some(length) = matches_one(&pattern[at..], name[position]) {
            at += length;
            position += 1;
            continue;
        }
        let Some((after_star, taken)) = last_star else {
            return false;
        };
        last_star = Some((after_star, taken + 1));
        (at, position) = (after_star, taken + 1);
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Returns the length of the first element of the pattern, if it matches this byte.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => match set_length(set) {
            Some(length) => is_in_set(&set[..length], byte).then_some(length + 2),
            None => (byte == b'[').then_some(1),
        },
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

/// Returns the length of the set before its `]`; a `]` at its start belongs to it.
fn set_length(set: &[u8]) -> Option<usize> {
    let start = usize::from(set.first() == Some(&b'!'));
    let end = set.iter().skip(start + 1).position(|byte| *byte == b']')?;
    Some(start + 1 + end)
}

fn is_in_set(set: &[u8], byte: u8) -> bool {
    let (is_negated, mut set) = match set {
        [b'!', set @ ..] => (true, set),
        set => (false, set),
    };
    let mut is_in = false;
    while let [first, rest @ ..] = set {
        set = match rest {
            [b'-', last, rest @ ..] => {
                is_in |= (*first..=*last).contains(&byte);
                rest
            }
            rest => {
                is_in |= *first == byte;
                rest
            }
        };
    }
    is_in != is_negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_matches_the_whole_name_decides() {
        let pattern = |pattern: &str, capacity| (pattern.to_owned(), capacity);
        let capacities = Capacities {
            default: 100,
            patterns: vec![
                pattern("http.request", 200),
                pattern("http.response!*", 10),
                pattern("*.spec?fic", 7),
                pattern("[ab]x", 3),
                pattern("h*", 1),
            ],
        };
        for (name, expected) in [
            ("http.request", 200),
            ("http.response!abc", 10),
            ("http.response!", 10),
            ("foo.specific", 7),
            ("ax", 3),
            ("cx", 100),
            ("http.requestx", 1),
            ("HTTP.REQUEST", 100),
        ] {
            let name = ChannelName::new(name).unwrap();
            assert_eq!(capacities.of(&name), expected, "{name}");
        }
    }

    #[test]
    fn patterns_are_those_of_fnmatch() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("**a*", "bab", true),
            ("a*b*c", "a.b.b.c", true),
            ("a*b*c", "a.b.b", false),
            ("[!a]x", "bx", true),
            ("[!a]x", "ax", false),
            ("[a-c]-[0-9]", "b-7", true),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[a", "[a", true),
            ("[a-]", "-", true),
            ("?", "", false),
            ("", "", true),
            ("", "a", false),
        ] {
            let matching = matches(pattern.as_bytes(), name.as_bytes());
            assert_eq!(matching, expected, "{pattern} {name}");
        }
    }
}
