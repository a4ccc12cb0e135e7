//! A session store that writes only changed keys and never restores an ended session.

use super::{ended, expiry, group};
use crate::{
    channels::Channels,
    log_limit::log_limited,
    message::Close,
    name::GroupName,
    revocation::{News, Revocation},
};
use async_trait::async_trait;
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, time::sleep};
use tower_sessions::{
    Expiry, Session, SessionStore,
    cookie::time::OffsetDateTime,
    session::{self, Id, Record},
    session_store::{Error, Result},
};

/// The error of every operation on an ended session.
pub(crate) const GONE: &str = "the session has ended";
const TOO_LATE: &str = "a session cannot begin after the response, which would have to set its cookie: \
                        insert a value in an HTTP handler or in `connect`";

type Data = HashMap<String, serde_json::Value>;

/// The session store of one connection.
///
/// It sits between tower-sessions' `Session`, which reads and writes whole records, and the real
/// store. It keeps the record as this connection read it, and so knows what this connection has
/// changed.
pub(crate) struct MergingStore {
    store: Arc<dyn SessionStore>,
    channels: Channels,
    news: News,
    /// The session in the store, as this connection last saw it.
    known: Mutex<Option<Record>>,
    /// The record in place of the cookie's session if the store does not have that one. It is empty
    /// at first; without it, tower-sessions would log a warning for each such request. Nothing is
    /// ever stored under its id, which the client may have invented.
    draft: Mutex<Option<Record>>,
    /// The expiry that `set_expiry` has set in this request.
    own_expiry: Mutex<Option<Expiry>>,
    /// The request's session, until the response is made.
    visit: OnceLock<Weak<Session>>,
    /// The old id of a session that gets a new one. It is valid until the response sets the new
    /// cookie.
    renewed: Mutex<Option<Id>>,
    /// The session that this request has ended, until its end is announced.
    ended: Mutex<Option<Id>>,
    /// Whether the response is made. After that, no cookie can be set.
    is_replied: AtomicBool,
}

impl MergingStore {
    pub(crate) fn new(store: Arc<dyn SessionStore>, channels: Channels, news: News) -> Self {
        Self {
            store,
            channels,
            news,
            known: Mutex::default(),
            draft: Mutex::default(),
            own_expiry: Mutex::default(),
            visit: OnceLock::new(),
            renewed: Mutex::default(),
            ended: Mutex::default(),
            is_replied: AtomicBool::new(false),
        }
    }

    /// Sets the session that uses this store. The request owns it until the response is made.
    pub(crate) fn attach(&self, session: &Arc<Session>) {
        _ = self.visit.set(Arc::downgrade(session));
    }

    /// Returns whether the session is about to get a new id: `Session::cycle_id` clears the old id
    /// before it deletes the record, `Session::flush` after that.
    fn is_being_renewed(&self) -> bool {
        let session = self.visit.get().and_then(Weak::upgrade);
        session.is_some_and(|session| session.id().is_none())
    }

    /// Ends the session under its old id, if it has a new one.
    pub(crate) async fn end_renewed(&self) -> std::result::Result<(), session::Error> {
        let renewed = *lock(&self.renewed);
        if let Some(id) = renewed {
            self.end(&id).await?;
            *lock(&self.ended) = Some(id);
        }
        Ok(())
    }

    /// Returns the id in the cookie if this request has found no session under it.
    pub(crate) fn missing(&self) -> Option<Id> {
        lock(&self.draft).as_ref().map(|draft| draft.id)
    }

    /// Returns whether the cookie's session is missing, and no other response has recently replaced
    /// or removed the cookie.
    pub(crate) async fn is_cookie_stale(&self) -> bool {
        match self.missing() {
            Some(id) => matches!(ended::has_marker(&*self.store, &id).await, Ok(false)),
            None => false,
        }
    }

    /// Deletes a session. Its end is recorded first, so that a later load or save can detect it.
    async fn end(&self, id: &Id) -> Result<()> {
        ended::store_marker(&*self.store, id).await?;
        self.store.delete(id).await
    }

    /// Returns the error of a session that can no longer begin.
    fn too_late(&self) -> Error {
        match &*lock(&self.known) {
            Some(_) => gone(),
            None => Error::Backend(TOO_LATE.to_owned()),
        }
    }

    /// Changes the draft if it has this id; returns whether it has.
    fn change_draft(&self, id: &Id, change: impl FnOnce(&mut Record)) -> bool {
        let mut draft = lock(&self.draft);
        let draft = draft.as_mut().filter(|draft| draft.id == *id);
        draft.map(change).is_some()
    }

    /// Returns the record in place of one that the store does not have.
    fn draft(&self, id: &Id) -> Record {
        let mut draft = lock(&self.draft);
        let draft = draft.get_or_insert_with(|| Record {
            id: *id,
            data: Data::new(),
            expiry_date: expiry::date(Expiry::OnSessionEnd),
        });
        draft.clone()
    }

    /// Marks the response as made: from now on no session can begin, and the end of one is
    /// announced immediately.
    ///
    /// If the session continues under a new id (`goes_on`), its end under the old one is announced
    /// after [`COOKIE_ARRIVES`], when the browser has the new cookie, because clients reconnect
    /// immediately.
    pub(crate) async fn note_reply(&self, goes_on: bool) {
        self.is_replied.store(true, Ordering::Release);
        let Some(id) = lock(&self.ended).take() else {
            return;
        };
        if !goes_on {
            return announce(&self.channels, &id).await;
        }
        let channels = self.channels.clone();
        tokio::spawn(async move {
            sleep(COOKIE_ARRIVES).await;
            announce(&channels, &id).await;
        });
    }

    /// Returns whether this request has ended the session of its cookie.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.ended).is_some()
    }

    /// Returns when the session expires, if this connection has read it.
    pub(crate) fn expires(&self) -> Option<OffsetDateTime> {
        lock(&self.known).as_ref().map(|record| record.expiry_date)
    }

    /// Sets an expiry for this session alone.
    pub(crate) fn set_expiry(&self, expiry: Expiry) {
        *lock(&self.own_expiry) = Some(expiry);
    }

    /// Returns the expiry that was set for this session alone, if any.
    pub(crate) fn expiry(&self) -> Option<Expiry> {
        let own = *lock(&self.own_expiry);
        own.or_else(|| expiry::stored(&lock(&self.known).as_ref()?.data))
    }

    /// Writes the session's own expiry, if any, into the data to be saved.
    fn date(&self, data: &mut Data, expiry_date: &mut OffsetDateTime) {
        if let Some(expiry) = self.expiry() {
            expiry::store(expiry, data);
            *expiry_date = expiry::date(expiry);
        }
    }
}

/// Time within which a browser is expected to store the cookie of a response.
const COOKIE_ARRIVES: Duration = Duration::from_secs(1);

/// Closes all connections of an ended session, in every process.
async fn announce(channels: &Channels, id: &Id) {
    let close = Close::new(Close::UNAUTHORIZED, GONE);
    if let Err(error) = channels.disconnect_group(&group(id), close).await {
        log_limited!(warn, %error, "could not close the connections of an ended session");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let lock = mutex.lock();
    lock.expect("no code panics while it holds this lock")
}

fn gone() -> Error {
    Error::Backend(GONE.to_owned())
}

#[async_trait]
impl SessionStore for MergingStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        if self.is_replied.load(Ordering::Acquire) {
            return Err(self.too_late());
        }
        let renewed = *lock(&self.renewed);
        if let Some(id) = renewed
            && self.store.load(&id).await?.is_none()
        {
            // Another request has logged out meanwhile: the old data must not reappear under a new
            // id.
            let known = lock(&self.known).clone();
            let known = known.map(|known| known.data).unwrap_or_default();
            record.data = merge(Some(&known), &record.data, Data::new());
        }
        self.date(&mut record.data, &mut record.expiry_date);
        // A `Session` that was flushed and written to again would reuse the ended id.
        record.id = Id::default();
        self.store.create(record).await?;
        *lock(&self.known) = Some(record.clone());
        if let Some(id) = self.missing() {
            // The cookie is about to be replaced: other responses in progress must not remove the
            // new one.
            ended::store_marker(&*self.store, &id).await?;
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let is_replied = self.is_replied.load(Ordering::Acquire);
        let is_draft = self.change_draft(&record.id, |draft| {
            if !is_replied {
                *draft = record.clone();
            }
        });
        match (is_draft, is_replied) {
            // It is stored with the response, under another id.
            (true, false) => return Ok(()),
            (true, true) => return Err(self.too_late()),
            (false, _) => {}
        }
        let Some(stored) = ended::load(&*self.store, &record.id).await? else {
            return Err(gone());
        };
        let known = lock(&self.known).as_ref().map(|known| known.data.clone());
        let mut merged = Record {
            id: record.id,
            data: merge(known.as_ref(), &record.data, stored.data),
            expiry_date: record.expiry_date,
        };
        self.date(&mut merged.data, &mut merged.expiry_date);
        let mut mine = record.clone();
        mine.expiry_date = merged.expiry_date;
        // In a separate task, so that both steps run even if the hook is dropped between them.
        let saving = tokio::spawn(save_unless_ended(self.store.clone(), merged));
        saving
            .await
            .map_err(|panic| Error::Backend(panic.to_string()))??;
        *lock(&self.known) = Some(mine);
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(record) = ended::load(&*self.store, id).await? else {
            return Ok(Some(self.draft(id)));
        };
        let is_new = lock(&self.known).replace(record.clone()).is_none();
        if is_new && self.is_replied.load(Ordering::Acquire) {
            self.news.notify();
        }
        Ok(Some(record))
    }

    /// Ends the session.
    ///
    /// A log-out ends it immediately, even if the response fails, and closes its connections. A new
    /// id, as at a log-in, ends it under the old id too, but only with the response: without that,
    /// the client has only the old id.
    async fn delete(&self, id: &Id) -> Result<()> {
        if self.change_draft(id, |draft| draft.data.clear()) {
            return Ok(());
        }
        let has_marker = lock(&self.known)
            .as_ref()
            .is_some_and(|known| known.id == *id);
        if self.is_being_renewed() {
            if has_marker {
                lock(&self.renewed).get_or_insert(*id);
            }
            return Ok(());
        }
        if !has_marker && ended::load(&*self.store, id).await?.is_none() {
            self.draft(id);
            return Ok(());
        }
        self.end(id).await?;
        if self.is_replied.load(Ordering::Acquire) {
            announce(&self.channels, id).await;
        } else {
            *lock(&self.ended) = Some(*id);
        }
        Ok(())
    }
}

/// Announces the end of a session even if the request was dropped before its response.
impl Drop for MergingStore {
    fn drop(&mut self) {
        let ended = lock(&self.ended).take();
        if let (Some(id), Ok(runtime)) = (ended, Handle::try_current()) {
            let channels = self.channels.clone();
            runtime.spawn(async move { announce(&channels, &id).await });
        }
    }
}

/// Saves a session that still exists.
///
/// A store whose `save` creates missing records would restore a session that was deleted since it
/// was read. Its end was recorded before the deletion, so it is detected here, and the session is
/// deleted again.
async fn save_unless_ended(store: Arc<dyn SessionStore>, record: Record) -> Result<()> {
    if let Err(error) = store.save(&record).await {
        // A strict store does not save a session that has just been deleted.
        return Err(match store.load(&record.id).await {
            Ok(None) => gone(),
            _ => error,
        });
    }
    if ended::has_marker(&*store, &record.id).await? {
        store.delete(&record.id).await?;
        return Err(gone());
    }
    Ok(())
}

/// Merges three versions: a key that this connection has changed keeps the value of this
/// connection, any other that of the store. If this connection never read the record, `mine`
/// replaces it.
fn merge(known: Option<&Data>, mine: &Data, mut stored: Data) -> Data {
    let Some(known) = known else {
        return mine.clone();
    };
    let keys: HashSet<&String> = known.keys().chain(mine.keys()).collect();
    for key in keys {
        match mine.get(key) {
            mine if mine == known.get(key) => {}
            Some(value) => _ = stored.insert(key.clone(), value.clone()),
            None => _ = stored.remove(key),
        }
    }
    stored
}

/// Closes a connection that has read its session when that session ends.
#[async_trait]
impl Revocation for MergingStore {
    fn group(&self) -> Option<GroupName> {
        lock(&self.known).as_ref().map(|record| group(&record.id))
    }

    async fn broken(&self) -> Option<Close> {
        let id = lock(&self.known).as_ref().map(|record| record.id)?;
        match ended::load(&*self.store, &id).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(Close::new(Close::UNAUTHORIZED, GONE)),
            Err(error) => {
                log_limited!(warn, %error, "could not recheck a session");
                None
            }
        }
    }
}

/// Omits all data, because sessions hold secrets.
impl fmt::Debug for MergingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergingStore").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Notify;

    #[test]
    fn only_what_was_changed_here_is_changed_there() {
        let known = data(&[
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

        let merged = merge(Some(&known), &mine, stored);

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
    fn what_was_never_read_is_replaced() {
        let stored = data(&[("old", 1)]);

        assert_eq!(
            merge(None, &data(&[("new", 1)]), stored),
            data(&[("new", 1)])
        );
    }

    /// A store that delays each save until `goes_on`, and then writes even a deleted session.
    #[derive(Clone, Debug, Default)]
    struct Slow {
        store: tower_sessions::MemoryStore,
        asked: Arc<Notify>,
        goes_on: Arc<Notify>,
        deleted: Arc<Notify>,
    }

    #[async_trait]
    impl SessionStore for Slow {
        async fn create(&self, record: &mut Record) -> Result<()> {
            self.store.create(record).await
        }
        async fn save(&self, record: &Record) -> Result<()> {
            self.asked.notify_one();
            self.goes_on.notified().await;
            self.store.save(record).await
        }
        async fn load(&self, id: &Id) -> Result<Option<Record>> {
            self.store.load(id).await
        }
        async fn delete(&self, id: &Id) -> Result<()> {
            self.store.delete(id).await?;
            self.deleted.notify_one();
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_save_that_is_dropped_half_way_does_not_bring_an_ended_session_back() {
        let slow = Slow::default();
        let of_visit = || {
            MergingStore::new(
                Arc::new(slow.clone()),
                Channels::in_memory(),
                News::default(),
            )
        };
        let (here, elsewhere) = (of_visit(), of_visit());
        let mut record = Record {
            id: Id::default(),
            data: data(&[("cart", 1)]),
            expiry_date: OffsetDateTime::now_utc() + Duration::from_secs(60),
        };
        here.create(&mut record).await.unwrap();
        let id = record.id;
        let saving = tokio::spawn(async move { here.save(&record).await });
        slow.asked.notified().await;

        elsewhere.delete(&id).await.unwrap();
        slow.deleted.notified().await;
        saving.abort();
        assert!(saving.await.unwrap_err().is_cancelled());
        slow.goes_on.notify_one();

        slow.deleted.notified().await;
        assert_eq!(slow.load(&id).await.unwrap(), None);
    }

    fn data(pairs: &[(&str, u8)]) -> Data {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).into()))
            .collect()
    }
}
