//! Markers of ended sessions.
//!
//! A store cannot distinguish a deleted session from one that never existed. Two things depend on
//! the difference: a save in progress during the log-out must not restore the session, and a
//! response to the old cookie must not remove the new one that a log-in has set meanwhile. So a
//! marker is stored before the session is deleted, under an id derived from that of the session.

use sha2::{Digest, Sha256};
use std::{collections::HashMap, time::Duration};
use tower_sessions::{
    SessionStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
    session_store::Result,
};

/// How long a marker is kept. It is longer than any save, and than any request whose response may
/// remove a cookie, by more than the clocks of two servers differ.
const MARKER_LIFETIME: Duration = Duration::from_secs(120);

/// Maximum age of a request whose response removes a stale cookie; otherwise a later response
/// removes it. Nobody logs in so soon after another response has removed the cookie.
pub(crate) const MAX_REQUEST_AGE: Duration = Duration::from_secs(2);

/// The only key in a marker's data. A client that sends a marker's id gets no session.
const KEY: &str = "_ended";

/// Stores the marker of a session that is about to be deleted, or of a missing one that another
/// session replaces.
pub(super) async fn store_marker(store: &dyn SessionStore, id: &Id) -> Result<()> {
    let mut record = Record {
        id: marker_id(id),
        data: HashMap::from([(KEY.to_owned(), true.into())]),
        expiry_date: OffsetDateTime::now_utc() + MARKER_LIFETIME,
    };
    // If the marker exists already, this one gets another id, which is never looked up.
    store.create(&mut record).await
}

/// Returns whether the session has a marker.
pub(super) async fn has_marker(store: &dyn SessionStore, id: &Id) -> Result<bool> {
    Ok(store.load(&marker_id(id)).await?.is_some())
}

/// Loads a session; returns `None` for a marker.
pub(super) async fn load(store: &dyn SessionStore, id: &Id) -> Result<Option<Record>> {
    let loaded = store.load(id).await?;
    Ok(loaded.filter(|record| !record.data.contains_key(KEY)))
}

fn marker_id(id: &Id) -> Id {
    let hash = Sha256::new()
        .chain_update("seaway.session.ended")
        .chain_update(id.0.to_le_bytes())
        .finalize();
    let (half, _) = hash.split_at(16);
    Id(i128::from_le_bytes(half.try_into().expect("16 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower_sessions::MemoryStore;

    #[tokio::test]
    async fn the_end_of_a_session_is_known_and_the_note_of_it_is_no_session() {
        let store = MemoryStore::default();
        let (ended, other) = (Id::default(), Id::default());

        store_marker(&store, &ended).await.unwrap();
        store_marker(&store, &ended).await.unwrap();

        assert!(has_marker(&store, &ended).await.unwrap());
        assert!(!has_marker(&store, &other).await.unwrap());
        for id in [ended, marker_id(&ended)] {
            assert_eq!(load(&store, &id).await.unwrap(), None);
        }
    }
}
