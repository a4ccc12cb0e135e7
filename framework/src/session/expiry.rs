//! An expiry of a session's own, kept in the session.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use tower_sessions::{
    Expiry,
    cookie::time::{Duration, OffsetDateTime},
};

/// Where a session keeps it.
const KEY: &str = "_expiry";

/// What `Session::set_expiry` has said, as it lies in the session: tower-sessions itself keeps only the date that came out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    /// Seconds.
    Inactivity(i64),
    SessionEnd,
    /// Seconds since 1970.
    At(i64),
}

/// Keeps an expiry in what a session holds.
pub(super) fn keep(expiry: Expiry, data: &mut HashMap<String, serde_json::Value>) {
    let kept = match expiry {
        Expiry::OnInactivity(period) => Kept::Inactivity(period.whole_seconds()),
        Expiry::OnSessionEnd => Kept::SessionEnd,
        Expiry::AtDateTime(date) => Kept::At(date.unix_timestamp()),
    };
    let kept = serde_json::to_value(kept).expect("a number is JSON");
    data.insert(KEY.to_owned(), kept);
}

/// The expiry that is kept there, if there is one.
pub(super) fn kept(data: &HashMap<String, serde_json::Value>) -> Option<Expiry> {
    let kept = serde_json::from_value(data.get(KEY)?.clone()).ok()?;
    Some(match kept {
        Kept::Inactivity(seconds) => Expiry::OnInactivity(Duration::seconds(seconds)),
        Kept::SessionEnd => Expiry::OnSessionEnd,
        Kept::At(seconds) => Expiry::AtDateTime(OffsetDateTime::from_unix_timestamp(seconds).ok()?),
    })
}

/// When a session with this expiry ends, if it is saved now.
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
            keep(expiry, &mut data);

            assert_eq!(kept(&data), Some(expiry));
        }
        assert_eq!(kept(&HashMap::new()), None);
    }
}
