//! The expiry of a single session, stored in its data.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tower_sessions::{
    Expiry,
    cookie::time::{Duration, OffsetDateTime},
};

/// The key of the expiry in the session's data.
const KEY: &str = "_expiry";

/// The argument of `Session::set_expiry`, as stored; tower-sessions itself stores only the
/// resulting date.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredExpiry {
    /// Seconds.
    Inactivity(i64),
    SessionEnd,
    /// Seconds since 1970.
    At(i64),
}

/// Stores an expiry in the session's data.
pub(super) fn store(expiry: Expiry, data: &mut HashMap<String, serde_json::Value>) {
    let kept = match expiry {
        Expiry::OnInactivity(period) => StoredExpiry::Inactivity(period.whole_seconds()),
        Expiry::OnSessionEnd => StoredExpiry::SessionEnd,
        Expiry::AtDateTime(date) => StoredExpiry::At(date.unix_timestamp()),
    };
    let kept = serde_json::to_value(kept).expect("a number is JSON");
    data.insert(KEY.to_owned(), kept);
}

/// Returns the expiry in the session's data, if any.
pub(super) fn stored(data: &HashMap<String, serde_json::Value>) -> Option<Expiry> {
    let kept = serde_json::from_value(data.get(KEY)?.clone()).ok()?;
    Some(match kept {
        StoredExpiry::Inactivity(seconds) => Expiry::OnInactivity(Duration::seconds(seconds)),
        StoredExpiry::SessionEnd => Expiry::OnSessionEnd,
        StoredExpiry::At(seconds) => {
            Expiry::AtDateTime(OffsetDateTime::from_unix_timestamp(seconds).ok()?)
        }
    })
}

/// Returns when a session with this expiry ends if it is saved now.
pub(super) fn date(expiry: Expiry) -> OffsetDateTime {
    match expiry {
        Expiry::OnInactivity(period) => OffsetDateTime::now_utc().saturating_add(period),
        Expiry::AtDateTime(date) => date,
        Expiry::OnSessionEnd => OffsetDateTime::now_utc().saturating_add(Duration::weeks(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        for expiry in [
            Expiry::OnSessionEnd,
            Expiry::OnInactivity(Duration::minutes(10)),
            Expiry::AtDateTime(OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()),
        ] {
            let mut data = HashMap::new();
            store(expiry, &mut data);

            assert_eq!(stored(&data), Some(expiry));
        }
        assert_eq!(stored(&HashMap::new()), None);
    }
}
