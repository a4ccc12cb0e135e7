//! What is known of a session for a while after its end.
//!
//! A store forgets a session that is deleted, and then it cannot be told from one that never was. But two things depend on
//! the difference: a save that was under way at the log-out must not bring the session back, and a reply to the old cookie
//! must not remove the new one that a log-in has set meanwhile. So a record that leads to nothing is kept under another
//! id, made from that of the session, before the session itself is deleted.

use sha2::{Digest, Sha256};
use std::{collections::HashMap, time::Duration};
use tower_sessions::{
    SessionStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
    session_store::Result,
};

/// For how long the end of a session is known. It is longer than any save, and than any request whose reply may remove a
/// cookie, by more than the clocks of two servers differ.
const KNOWN_FOR: Duration = Duration::from_secs(120);

/// For how long a request may have been under way whose reply removes a cookie; another reply removes it later. Nobody logs
/// in so soon after the browser has been told to forget that cookie.
pub(crate) const UNDER_WAY: Duration = Duration::from_secs(2);

/// What such a record holds, so that a client that sends its id gets nothing by it.
const KEY: &str = "_ended";

/// Notes that the session is about to be deleted, or that another one has taken the place of one that is not there.
pub(super) async fn note(store: &dyn SessionStore, id: &Id) -> Result<()> {
    let mut record = Record {
        id: id_of_note(id),
        data: HashMap::from([(KEY.to_owned(), true.into())]),
        expiry_date: OffsetDateTime::now_utc() + KNOWN_FOR,
    };
    // If it is known already, this note gets an id that nobody looks for.
    store.create(&mut record).await
}

/// Whether this session is known to have ended.
pub(super) async fn is_known(store: &dyn SessionStore, id: &Id) -> Result<bool> {
    Ok(store.load(&id_of_note(id)).await?.is_some())
}

/// A session, but not one of these notes.
pub(super) async fn load(store: &dyn SessionStore, id: &Id) -> Result<Option<Record>> {
    let loaded = store.load(id).await?;
    Ok(loaded.filter(|record| !record.data.contains_key(KEY)))
}

fn id_of_note(id: &Id) -> Id {
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

        note(&store, &ended).await.unwrap();
        note(&store, &ended).await.unwrap();

        assert!(is_known(&store, &ended).await.unwrap());
        assert!(!is_known(&store, &other).await.unwrap());
        for id in [ended, id_of_note(&ended)] {
            assert_eq!(load(&store, &id).await.unwrap(), None);
        }
    }
}
