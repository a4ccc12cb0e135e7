//! Values that Django has made, for tests.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

/// The file of the vectors. A section that has no field here is an error, and a field that no test
/// reads a warning of the compiler.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vectors {
    pub(super) meta: Value,
    pub(super) b62: Value,
    pub(super) signing: Vec<Value>,
    pub(super) session_auth_hash: Value,
    pub(super) password_hashes: Value,
    pub(super) full_session: Value,
    pub(super) db_row: Value,
    pub(super) auth_user_rows: Vec<Value>,
    pub(super) file_backend: Value,
    pub(super) cache_backend_redis: Vec<Value>,
    pub(super) cache_backend_redis_keys: Value,
    /// `tests/it/django/site.rs` makes a database of it.
    #[serde(rename = "schema")]
    _schema: IgnoredAny,
    /// `tests/it/django/session_lookup.rs` opens a WebSocket in each of these cases.
    #[serde(rename = "channels_end_to_end")]
    _channels_end_to_end: IgnoredAny,
}

impl Vectors {
    pub(super) fn read() -> Self {
        let vectors = include_str!("../../tests/it/django/vectors.json");
        serde_json::from_str(vectors).expect("each section has a field")
    }

    /// Returns the `SECRET_KEY`.
    pub(super) fn secret_key(&self) -> &str {
        text(&self.meta, "SECRET_KEY")
    }

    /// Returns when everything was signed.
    pub(super) fn signed_at(&self) -> u64 {
        self.meta["frozen_time"].as_u64().expect("seconds")
    }
}

/// Returns the text with this key.
pub(super) fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key}"))
}

#[test]
fn a_section_that_no_test_reads_is_an_error() {
    let vectors = include_str!("../../tests/it/django/vectors.json");
    let mut vectors: Value = serde_json::from_str(vectors).unwrap();
    vectors["another"] = Value::Null;

    assert!(serde_json::from_value::<Vectors>(vectors).is_err());
}
