//! The session store, in which an ended session stays ended.
//!
//! A store cannot distinguish a deleted session from one that never existed. Two things depend on
//! the difference: a save in progress during the logout must not restore the session, and a
//! response to the old cookie must not remove the new one that a login has set meanwhile. So a
//! marker is stored before the session is deleted, under an id derived from that of the session.

use super::{
    Id, Record, SessionStore,
    error::{failed, gone},
};
use crate::{error::Result, log_limit::log_limited};
use cookie::time::OffsetDateTime;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How long a marker is kept. It is longer than any save, and than any request whose response may
/// remove a cookie, by more than the clocks of two servers differ.
const MARKER_LIFETIME: Duration = Duration::from_secs(120);

/// The only key in a marker's data. A client that sends a marker's id gets no session.
const KEY: &str = "_ended";

/// A session store, in which an ended session stays ended.
#[derive(Clone)]
pub(super) struct Store(Arc<dyn SessionStore>);

impl Store {
    pub(super) fn new(store: Arc<dyn SessionStore>) -> Self {
        Self(store)
    }

    /// Loads a session; returns `None` for a marker.
    pub(super) async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let loaded = self.0.load(id).await.map_err(failed)?;
        Ok(loaded.filter(|record| !record.data.contains_key(KEY)))
    }

    /// Stores a new session. If its id is taken, the record gets another one.
    pub(super) async fn create(&self, record: &mut Record) -> Result<()> {
        self.0.create(record).await.map_err(failed)
    }

    /// Saves a session that still exists.
    ///
    /// # Errors
    /// [`ErrorKind::SessionGone`] if it has ended; [`ErrorKind::Session`] if the store fails.
    pub(super) async fn save(&self, record: Record) -> Result<()> {
        // A store whose `save` creates missing records would restore a session that was deleted
        // since it was read. Its end was recorded before the deletion, so it is detected here, and
        // the session is deleted again.
        if let Err(error) = self.0.save(&record).await {
            // A strict store does not save a session that has just been deleted.
            return Err(match self.0.load(&record.id).await {
                Ok(None) => gone(),
                _ => failed(error),
            });
        }
        if self.has_marker(&record.id).await? {
            self.delete(&record.id).await?;
            return Err(gone());
        }
        Ok(())
    }

    /// Deletes a session. Its end is recorded first, so that a later load or save can detect it.
    ///
    /// A store that is full may accept deletions only, so a failure to record it is logged.
    pub(super) async fn end(&self, id: &Id) -> Result<()> {
        let marked = self.mark_ended(id).await;
        let deleted = self.delete(id).await;
        match (&deleted, marked) {
            (Ok(()), Err(error)) => log_limited!(
                warn,
                error = %format_args!("{error:#}"),
                "cannot record that a session has ended; it is deleted, but a save in progress may restore it"
            ),
            // The session goes on: with this marker, the next request that saves it would end it.
            (Err(_), Ok(marker)) => _ = self.delete(&marker).await,
            (Ok(()), Ok(_)) | (Err(_), Err(_)) => {}
        }
        deleted
    }

    /// Deletes a session without recording its end.
    pub(super) async fn delete(&self, id: &Id) -> Result<()> {
        self.0.delete(id).await.map_err(failed)
    }

    /// Stores the marker of a session that is about to be deleted, or of a missing one that another
    /// session replaces. Returns the id of the marker.
    pub(super) async fn mark_ended(&self, id: &Id) -> Result<Id> {
        let mut record = Record {
            id: marker_id(id),
            data: HashMap::from([(KEY.to_owned(), true.into())]),
            expiry_date: OffsetDateTime::now_utc() + MARKER_LIFETIME,
        };
        // If the marker exists already, this one gets another id, which is never looked up.
        self.create(&mut record).await?;
        Ok(record.id)
    }

    /// Returns whether the session has a marker.
    pub(super) async fn has_marker(&self, id: &Id) -> Result<bool> {
        let marker = self.0.load(&marker_id(id)).await.map_err(failed)?;
        Ok(marker.is_some())
    }
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
    use crate::session::MemoryStore;

    #[tokio::test]
    async fn the_end_of_a_session_is_recorded_and_the_marker_is_no_session() {
        let store = Store::new(Arc::new(MemoryStore::default()));
        let (ended, other) = (Id::default(), Id::default());

        store.mark_ended(&ended).await.unwrap();
        store.mark_ended(&ended).await.unwrap();

        assert!(store.has_marker(&ended).await.unwrap());
        assert!(!store.has_marker(&other).await.unwrap());
        for id in [ended, marker_id(&ended)] {
            assert_eq!(store.load(&id).await.unwrap(), None);
        }
    }
}
