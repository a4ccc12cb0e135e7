//! The expiry of a single session, stored in its data.

use super::{Expiry, merge::Data};
use cookie::time::{Duration, OffsetDateTime};
use serde::{Deserialize, Serialize};

/// The key of the expiry in the session's data.
const KEY: &str = "_expiry";

/// The argument of `Session::set_expiry`, as stored. The expiry date of a record alone does not
/// show how to renew it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredExpiry {
    /// Seconds.
    Inactivity(i64),
    SessionEnd,
    /// Seconds since 1970.
    At(i64),
}

/// Puts the session's own expiry, if any, into its data.
pub(super) fn put(expiry: Option<Expiry>, data: &mut Data) {
    let Some(expiry) = expiry else {
        return;
    };
    let stored = match expiry {
        Expiry::OnInactivity(period) => StoredExpiry::Inactivity(period.whole_seconds()),
        Expiry::OnSessionEnd => StoredExpiry::SessionEnd,
        Expiry::AtDateTime(date) => StoredExpiry::At(date.unix_timestamp()),
    };
    let stored = serde_json::to_value(stored).expect("a number is JSON");
    data.insert(KEY.to_owned(), stored);
}

/// Takes the session's own expiry, if any, out of its data.
pub(super) fn take(data: &mut Data) -> Option<Expiry> {
    let stored = serde_json::from_value(data.remove(KEY)?).ok()?;
    Some(match stored {
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
    fn an_expiry_that_is_put_into_the_data_can_be_taken_out() {
        let date = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for expiry in [
            None,
            Some(Expiry::OnSessionEnd),
            Some(Expiry::OnInactivity(Duration::minutes(10))),
            Some(Expiry::AtDateTime(date)),
        ] {
            let mut data = Data::new();

            put(expiry, &mut data);

            assert_eq!(take(&mut data), expiry);
            assert_eq!(data, Data::new());
        }
    }
}
