//! Merging of values by key.

use super::Value;
use std::collections::HashMap;

/// The values of a session.
pub(super) type Data = HashMap<String, Value>;

/// Merges three versions: a key that this connection has changed (`base` to `mine`) keeps the value
/// of this connection, any other that of the store.
pub(super) fn merge(base: &Data, mine: &Data, mut stored: Data) -> Data {
    for (key, value) in mine {
        if base.get(key) != Some(value) {
            stored.insert(key.clone(), value.clone());
        }
    }
    for key in base.keys() {
        if !mine.contains_key(key) {
            stored.remove(key);
        }
    }
    stored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_were_changed_here_are_changed_in_the_store() {
        let base = data(&[
            ("same", 1),
            ("mine", 1),
            ("theirs", 1),
            ("gone", 1),
            ("both", 1),
        ]);
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

        let merged = merge(&base, &mine, stored);

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

    fn data(pairs: &[(&str, u8)]) -> Data {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect()
    }
}
