//! Merging of values by key.

use super::Value;
use std::collections::{HashMap, HashSet};

/// The values of a session.
pub(super) type Data = HashMap<String, Value>;

/// Merges two versions: a key that this connection has written keeps what this connection has, any
/// other what the store has.
pub(super) fn merge(written: &HashSet<String>, mine: &Data, mut stored: Data) -> Data {
    for key in written {
        match mine.get(key) {
            Some(value) => _ = stored.insert(key.clone(), value.clone()),
            None => _ = stored.remove(key),
        }
    }
    stored
}

/// Returns the keys in which two versions differ.
pub(super) fn differences(one: &Data, other: &Data) -> HashSet<String> {
    let keys = one.keys().chain(other.keys());
    keys.filter(|key| one.get(*key) != other.get(*key))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_were_written_here_are_changed_in_the_store() {
        let written = ["mine", "gone", "both", "new", "absent"].map(str::to_owned);
        let mine = data(&[
            ("same", 1),
            ("mine", 2),
            ("theirs", 1),
            ("both", 2),
            ("new", 1),
        ]);
        let stored = data(&[
            ("same", 1),
            ("mine", 1),
            ("theirs", 3),
            ("gone", 1),
            ("both", 3),
            ("page", 1),
        ]);

        let merged = merge(&written.into(), &mine, stored);

        let expected = [
            ("same", 1),
            ("mine", 2),
            ("theirs", 3),
            ("both", 2),
            ("new", 1),
            ("page", 1),
        ];
        assert_eq!(merged, data(&expected));
    }

    #[test]
    fn a_key_differs_by_its_value_or_if_one_version_lacks_it() {
        let one = data(&[("same", 1), ("both", 1), ("one", 1)]);
        let other = data(&[("same", 1), ("both", 2), ("other", 1)]);

        let expected = ["both", "one", "other"].map(str::to_owned);
        assert_eq!(differences(&one, &other), expected.into());
    }

    fn data(pairs: &[(&str, u8)]) -> Data {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect()
    }
}
