//! Tests of what a session does with its store, and with the cookie.

use super::*;
use crate::{
    channels::{Channels, Mailbox},
    error::{ErrorKind, Result},
    revocation::{ChangeNotifier, Revocations},
    session::time::Duration,
};
use async_trait::async_trait;
use futures_util::FutureExt;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

const PERIOD: Expiry = Expiry::OnInactivity(Duration::days(14));

/// Returns the session of a request with this cookie.
fn session(store: &(impl SessionStore + Clone), cookie: Option<Id>) -> Session {
    let backend = SessionBackend::new(store.clone(), &Channels::in_memory(), PERIOD);
    Session::new(cookie, backend, ChangeNotifier::default())
}

/// Stores a session with these values, as an earlier request; returns its id.
async fn stored(store: &MemoryStore, values: &[&str]) -> Id {
    let session = session(store, None);
    for value in values {
        session.insert(value, value).await.unwrap();
    }
    session.save().await.unwrap();
    session.id().unwrap()
}

/// Returns the keys of a session in the store, in order.
async fn keys(store: &MemoryStore, id: Id) -> Option<Vec<String>> {
    let record = store.load(&id).await.unwrap()?;
    let mut keys: Vec<String> = record.data.into_keys().collect();
    keys.sort();
    Some(keys)
}

/// Makes the response; returns what it does with the cookie.
async fn responds(session: &Session) -> Result<&'static str> {
    let change = match session.conclude(false).await? {
        CookieChange::Keep => "keep",
        CookieChange::Set { .. } => "set",
        CookieChange::Remove => "remove",
    };
    session.end_replaced().await?;
    Ok(change)
}

fn kind(result: Result<()>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn nothing_is_stored_under_an_id_that_the_client_invented() {
    let store = MemoryStore::default();
    let invented = Id::default();
    let session = session(&store, Some(invented));

    session.insert("a", 1).await.unwrap();
    assert_eq!(session.id(), None);
    session.save().await.unwrap();

    assert_eq!(responds(&session).await.unwrap(), "set");
    assert_ne!(session.id(), Some(invented));
    assert_eq!(keys(&store, invented).await, None);
}

#[tokio::test]
async fn values_that_were_cleared_unread_are_replaced_in_the_store() {
    let store = MemoryStore::default();
    let id = stored(&store, &["old"]).await;
    let session = session(&store, Some(id));

    session.clear();
    session.insert("new", 1).await.unwrap();

    assert_eq!(session.get_value("old").await.unwrap(), None);
    assert_eq!(responds(&session).await.unwrap(), "set");
    assert_eq!(keys(&store, id).await.unwrap(), ["new"]);
}

#[tokio::test]
async fn a_flush_after_cycle_id_ends_the_session_under_all_its_ids() {
    for is_saved in [false, true] {
        let store = MemoryStore::default();
        let old = stored(&store, &["a"]).await;
        let session = session(&store, Some(old));
        session.cycle_id().await.unwrap();
        if is_saved {
            session.save().await.unwrap();
        }
        let new = session.id();
        assert_eq!(new.is_some(), is_saved);

        session.flush().await.unwrap();

        for id in [Some(old), new].into_iter().flatten() {
            assert_eq!(keys(&store, id).await, None);
        }
        assert_eq!(responds(&session).await.unwrap(), "remove");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_after_a_failed_response_ends_the_session_also_under_the_id_in_the_cookie() {
    let (store, channels) = (MemoryStore::default(), Channels::in_memory());
    let old = stored(&store, &["a"]).await;
    let mut socket = member(&channels, old).await;
    let backend = SessionBackend::new(store.clone(), &channels, PERIOD);
    let session = Session::new(Some(old), backend, ChangeNotifier::default());
    session.cycle_id().await.unwrap();
    session.save().await.unwrap();
    session.conclude(true).await.unwrap();
    assert_eq!(keys(&store, old).await.unwrap(), ["a"]);

    session.flush().await.unwrap();

    assert_eq!(keys(&store, old).await, None);
    is_announced(&mut socket).await;
}

#[tokio::test]
async fn an_id_that_this_request_has_made_is_not_renewed_again() {
    let store = MemoryStore::default();
    let old = stored(&store, &["a"]).await;
    let session = session(&store, Some(old));
    session.cycle_id().await.unwrap();
    session.save().await.unwrap();
    let new = session.id();

    session.cycle_id().await.unwrap();

    assert_eq!(session.id(), new);
    assert_eq!(responds(&session).await.unwrap(), "set");
    assert_eq!(keys(&store, new.unwrap()).await.unwrap(), ["a"]);
    assert_eq!(keys(&store, old).await, None);
}

#[tokio::test]
async fn a_new_id_keeps_what_other_requests_have_written_meanwhile() {
    let store = MemoryStore::default();
    let old = stored(&store, &["a"]).await;
    let (here, there) = (session(&store, Some(old)), session(&store, Some(old)));
    here.cycle_id().await.unwrap();
    there.insert("b", 1).await.unwrap();
    there.save().await.unwrap();

    responds(&here).await.unwrap();

    assert_eq!(keys(&store, here.id().unwrap()).await.unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn values_of_a_session_that_ended_elsewhere_do_not_reappear_under_a_new_id() {
    let store = MemoryStore::default();
    let old = stored(&store, &["a"]).await;
    let here = session(&store, Some(old));
    here.cycle_id().await.unwrap();
    here.insert("b", 1).await.unwrap();

    session(&store, Some(old)).flush().await.unwrap();

    responds(&here).await.unwrap();
    assert_eq!(keys(&store, here.id().unwrap()).await.unwrap(), ["b"]);
}

#[tokio::test]
async fn a_session_that_was_deleted_can_be_read_but_not_revived() {
    let store = MemoryStore::default();
    let old = stored(&store, &["a"]).await;
    let session = session(&store, Some(old));
    session.insert("b", 1).await.unwrap();

    session.delete().await.unwrap();

    assert_eq!(session.get::<String>("a").await.unwrap().unwrap(), "a");
    session.insert("c", 1).await.unwrap();
    assert_eq!(responds(&session).await.unwrap(), "set");
    assert_eq!(keys(&store, session.id().unwrap()).await.unwrap(), ["c"]);
}

#[tokio::test]
async fn a_value_of_a_deleted_session_that_is_inserted_again_begins_another_one() {
    let store = MemoryStore::default();
    let old = stored(&store, &["a", "b"]).await;
    let session = session(&store, Some(old));
    session.delete().await.unwrap();

    session.insert("a", "a").await.unwrap();

    assert_eq!(responds(&session).await.unwrap(), "set");
    assert_ne!(session.id(), Some(old));
    assert_eq!(keys(&store, session.id().unwrap()).await.unwrap(), ["a"]);
}

#[tokio::test]
async fn an_open_connection_can_neither_begin_a_session_nor_give_it_a_new_id() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let (known, none) = (session(&store, Some(id)), session(&store, None));
    for session in [&known, &none] {
        responds(session).await.unwrap();
    }

    assert_eq!(kind(known.cycle_id().await), ErrorKind::Session);
    assert_eq!(keys(&store, id).await.unwrap(), ["a"]);
    none.insert("b", 1).await.unwrap();
    assert_eq!(kind(none.save().await), ErrorKind::Session);
    known.insert("b", 1).await.unwrap();
    known.save().await.unwrap();
    known.flush().await.unwrap();
    assert_eq!(kind(known.save().await), ErrorKind::SessionGone);
}

#[tokio::test]
async fn load_reports_to_an_open_connection_that_its_session_has_ended() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let here = session(&store, Some(id));
    here.get_value("a").await.unwrap();
    responds(&here).await.unwrap();

    session(&store, Some(id)).flush().await.unwrap();
    here.load().await.unwrap();

    assert_eq!(here.get_value("a").await.unwrap(), None);
    assert_eq!(here.id(), None);
    here.insert("a", 1).await.unwrap();
    assert_eq!(kind(here.save().await), ErrorKind::SessionGone);
}

#[tokio::test]
async fn an_expiry_of_its_own_survives_a_new_id_and_can_be_taken_back() {
    let store = MemoryStore::default();
    let brief = Expiry::OnInactivity(Duration::minutes(10));
    let first = session(&store, None);
    first.set_expiry(Some(brief));
    first.insert("a", 1).await.unwrap();
    responds(&first).await.unwrap();

    let second = session(&store, first.id());
    second.cycle_id().await.unwrap();
    assert_eq!(second.expiry(), Some(brief));
    assert!(second.expiry_age() <= Duration::minutes(10));
    responds(&second).await.unwrap();
    let third = session(&store, second.id());
    third.get_value("a").await.unwrap();
    assert_eq!(third.expiry(), Some(brief));
    third.set_expiry(None);
    responds(&third).await.unwrap();

    let fourth = session(&store, third.id());
    fourth.get_value("a").await.unwrap();
    assert_eq!(fourth.expiry(), None);
    assert!(fourth.expiry_age() > Duration::days(13));
}

#[tokio::test]
async fn reading_writes_nothing_and_neither_does_an_equal_value() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let session = session(&store, Some(id));

    assert_eq!(session.insert_value("a", "a".into()).await.unwrap(), None);
    assert_eq!(session.remove_value("b").await.unwrap(), None);
    assert!(!session.is_modified());
    let before = session.insert_value("a", "b".into()).await.unwrap();
    assert_eq!(before, Some("a".into()));
    assert!(session.is_modified());

    assert_eq!(
        kind(session.get::<u8>("a").await.map(drop)),
        ErrorKind::Codec
    );
}

/// A store that delays each save until `goes_on`, and then writes even a deleted session.
#[derive(Clone, Debug, Default)]
struct Slow {
    store: MemoryStore,
    asked: Arc<Notify>,
    goes_on: Arc<Notify>,
    deleted: Arc<Notify>,
}

#[async_trait]
impl SessionStore for Slow {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        self.store.create(record).await
    }
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.asked.notify_one();
        self.goes_on.notified().await;
        self.store.save(record).await
    }
    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.store.load(id).await
    }
    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.store.delete(id).await?;
        self.deleted.notify_one();
        Ok(())
    }
}

#[tokio::test]
async fn a_save_that_is_dropped_half_way_does_not_bring_an_ended_session_back() {
    let slow = Slow::default();
    let id = stored(&slow.store, &["a"]).await;
    let here = session(&slow, Some(id));
    here.insert("b", 1).await.unwrap();
    let saving = tokio::spawn(async move { here.save().await });
    slow.asked.notified().await;

    session(&slow, Some(id)).flush().await.unwrap();
    slow.deleted.notified().await;
    saving.abort();
    assert!(saving.await.unwrap_err().is_cancelled());
    slow.goes_on.notify_one();

    slow.deleted.notified().await;
    assert_eq!(keys(&slow.store, id).await, None);
}

#[tokio::test]
async fn a_value_that_changes_during_a_save_is_written_by_the_next_one() {
    let slow = Slow::default();
    let id = stored(&slow.store, &["a"]).await;
    let session = session(&slow, Some(id));
    session.insert("b", 1).await.unwrap();
    let saving = session.clone();
    let saving = tokio::spawn(async move { saving.save().await });
    slow.asked.notified().await;

    session.insert("c", 1).await.unwrap();
    let next = session.clone();
    let next = tokio::spawn(async move { next.save().await });
    slow.goes_on.notify_one();
    saving.await.unwrap().unwrap();
    slow.asked.notified().await;
    assert_eq!(keys(&slow.store, id).await.unwrap(), ["a", "b"]);
    slow.goes_on.notify_one();

    next.await.unwrap().unwrap();
    assert_eq!(keys(&slow.store, id).await.unwrap(), ["a", "b", "c"]);
}

/// A store in which another request logs out while this one begins a session.
#[derive(Clone, Debug, Default)]
struct LoggedOutMeanwhile {
    store: MemoryStore,
    ends: Arc<Mutex<Option<Id>>>,
    /// The sessions that began with a user.
    with_user: Arc<Mutex<Vec<Id>>>,
}

#[async_trait]
impl SessionStore for LoggedOutMeanwhile {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let ends = self.ends.lock().unwrap().take();
        if ends.is_some() {
            session(&self.store, ends).flush().await.unwrap();
        }
        self.store.create(record).await?;
        if record.data.contains_key("user") {
            self.with_user.lock().unwrap().push(record.id);
        }
        Ok(())
    }
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.store.save(record).await
    }
    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.store.load(id).await
    }
    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.store.delete(id).await
    }
}

#[tokio::test]
async fn a_logout_while_a_session_gets_a_new_id_is_not_undone() {
    let racing = LoggedOutMeanwhile::default();
    let old = stored(&racing.store, &["user"]).await;
    let here = session(&racing, Some(old));
    here.cycle_id().await.unwrap();
    here.insert("b", 1).await.unwrap();
    *racing.ends.lock().unwrap() = Some(old);

    responds(&here).await.unwrap();

    assert_eq!(keys(&racing.store, old).await, None);
    assert_eq!(
        keys(&racing.store, here.id().unwrap()).await.unwrap(),
        ["b"]
    );
    let with_user = racing.with_user.lock().unwrap().clone();
    assert_eq!(with_user.len(), 1, "it began before the logout was seen");
    assert_eq!(keys(&racing.store, with_user[0]).await, None);
}

#[tokio::test]
async fn a_value_that_was_saved_is_not_written_again_by_the_next_save() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let (here, there) = (session(&store, Some(id)), session(&store, Some(id)));
    here.insert("a", "here").await.unwrap();
    here.save().await.unwrap();

    there.insert("a", "there").await.unwrap();
    there.save().await.unwrap();
    here.insert("b", 1).await.unwrap();
    here.save().await.unwrap();

    let now = session(&store, Some(id));
    let value: Option<String> = now.get("a").await.unwrap();
    assert_eq!(value.unwrap(), "there");
}

#[tokio::test]
async fn a_saved_expiry_is_that_of_the_session_and_of_its_cookie() {
    let store = MemoryStore::default();
    let brief = Expiry::OnInactivity(Duration::minutes(10));
    for cookie in [None, Some(stored(&store, &["a"]).await)] {
        let here = session(&store, cookie);
        here.insert("b", 1).await.unwrap();
        here.set_expiry(Some(brief));

        here.save().await.unwrap();

        assert_eq!(here.expiry(), Some(brief));
        let CookieChange::Set { max_age, .. } = here.conclude(false).await.unwrap() else {
            panic!("the cookie is not set");
        };
        let max_age = max_age.unwrap();
        assert!(max_age > Duration::minutes(9), "{max_age}");
        assert!(max_age <= Duration::minutes(10), "{max_age}");
    }
}

#[tokio::test]
async fn an_expiry_that_began_with_the_session_is_not_set_again_by_the_next_save() {
    let store = MemoryStore::default();
    let here = session(&store, None);
    here.set_expiry(Some(Expiry::OnInactivity(Duration::days(90))));
    here.insert("a", 1).await.unwrap();
    here.save().await.unwrap();

    let there = session(&store, here.id());
    there.set_expiry(None);
    there.insert("b", 1).await.unwrap();
    there.save().await.unwrap();
    here.insert("c", 1).await.unwrap();
    here.save().await.unwrap();

    assert_eq!(here.expiry(), None);
}

#[tokio::test]
async fn a_session_after_a_logout_has_not_the_expiry_of_the_one_before() {
    let store = MemoryStore::default();
    let here = session(&store, Some(stored(&store, &["a"]).await));
    here.set_expiry(Some(Expiry::OnSessionEnd));

    here.flush().await.unwrap();

    assert_eq!(here.expiry(), None);
}

#[tokio::test]
async fn an_empty_session_that_is_saved_gets_its_cookie() {
    let store = MemoryStore::default();
    let here = session(&store, None);

    here.save().await.unwrap();

    assert_eq!(responds(&here).await.unwrap(), "set");
    assert!(keys(&store, here.id().unwrap()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_expiry_that_was_saved_is_not_set_again_by_the_next_save() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let socket = session(&store, Some(id));
    socket.set_expiry(Some(Expiry::OnInactivity(Duration::days(90))));
    socket.save().await.unwrap();

    let page = session(&store, Some(id));
    page.set_expiry(Some(Expiry::OnInactivity(Duration::days(1))));
    page.insert("b", 1).await.unwrap();
    page.save().await.unwrap();
    socket.insert("c", 1).await.unwrap();
    socket.save().await.unwrap();

    let now = session(&store, Some(id));
    now.load().await.unwrap();
    assert_eq!(now.expiry(), Some(Expiry::OnInactivity(Duration::days(1))));
}

#[tokio::test]
async fn a_logout_that_is_dropped_half_way_is_completed() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let here = session(&store, Some(id));

    // Polled once: it has begun, and has reached an await.
    let mut flush = Box::pin(here.flush());
    _ = futures_util::poll!(&mut flush);
    drop(flush);

    while keys(&store, id).await.is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_open_connection_depends_on_its_session_from_the_first_read_on() {
    let store = MemoryStore::default();
    for (cookie, depends) in [(stored(&store, &["a"]).await, true), (Id::default(), false)] {
        let revocations = Revocations::default();
        let has_changed = || revocations.changed().now_or_never().is_some();
        let backend = SessionBackend::new(store.clone(), &Channels::in_memory(), PERIOD);
        let here = Session::new(Some(cookie), backend, revocations.change_notifier());
        responds(&here).await.unwrap();
        assert!(!has_changed());

        here.get_value("a").await.unwrap();
        assert_eq!(has_changed(), depends);
        here.load().await.unwrap();

        assert!(!has_changed());
    }
}

#[tokio::test]
async fn the_response_does_not_change_that_a_connection_depends_on_its_session() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let revocations = Revocations::default();
    let backend = SessionBackend::new(store.clone(), &Channels::in_memory(), PERIOD);
    let here = Session::new(Some(id), backend, revocations.change_notifier());

    let has_changed = || revocations.changed().now_or_never().is_some();

    here.get_value("a").await.unwrap();
    assert!(has_changed());
    responds(&here).await.unwrap();

    assert!(!has_changed());
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_announced_even_if_the_request_is_dropped_before_its_response() {
    let (store, channels) = (MemoryStore::default(), Channels::in_memory());
    let id = stored(&store, &["a"]).await;
    let mut socket = member(&channels, id).await;
    let backend = SessionBackend::new(store, &channels, PERIOD);
    let here = Session::new(Some(id), backend, ChangeNotifier::default());
    here.flush().await.unwrap();

    drop(here);

    is_announced(&mut socket).await;
}

#[tokio::test(start_paused = true)]
async fn a_cleared_login_is_announced_even_if_the_request_is_dropped_before_its_response() {
    let (store, channels) = (MemoryStore::default(), Channels::in_memory());
    let page = session(&store, None);
    page.insert_reserved("_user", "ana").await.unwrap();
    page.save().await.unwrap();
    let id = page.id().unwrap();
    let mut socket = member(&channels, id).await;
    let backend = SessionBackend::new(store, &channels, PERIOD);
    let here = Session::new(Some(id), backend, ChangeNotifier::default());
    here.clear();
    here.save().await.unwrap();
    assert!(socket.receive().now_or_never().is_none());

    drop(here);

    is_announced(&mut socket).await;
}

/// Returns the mailbox of a connection to which the end of a session is announced.
async fn member(channels: &Channels, id: Id) -> Mailbox {
    let socket = channels.open().await.unwrap();
    let group = announcement::group(&id);
    channels.group_add(&group, socket.name()).await.unwrap();
    socket
}

/// Waits until the end of the session is announced to its connection.
async fn is_announced(socket: &mut Mailbox) {
    let receiving = tokio::time::timeout(std::time::Duration::from_secs(2), socket.receive());
    receiving.await.expect("the end is announced").unwrap();
}

#[tokio::test]
async fn an_expiry_that_was_not_saved_is_discarded_with_the_other_changes() {
    let store = MemoryStore::default();
    let here = session(&store, Some(stored(&store, &["a"]).await));
    here.set_expiry(Some(Expiry::OnSessionEnd));

    here.load().await.unwrap();

    assert_eq!(here.expiry(), None);
}

#[tokio::test]
async fn a_session_that_was_cleared_unread_is_saved_under_its_id() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let here = session(&store, Some(id));

    here.clear();
    here.save().await.unwrap();

    assert_eq!(here.id(), Some(id));
    assert!(keys(&store, id).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_application_cannot_write_the_keys_of_the_framework() {
    let store = MemoryStore::default();
    let here = session(&store, Some(stored(&store, &["a"]).await));

    for key in ["_user", "_staff", "_ended", "_expiry"] {
        let outcomes = [
            here.insert(key, 1).await,
            here.insert_value(key, 1.into()).await.map(drop),
            here.remove::<u8>(key).await.map(drop),
            here.remove_value(key).await.map(drop),
        ];
        for outcome in outcomes {
            assert_eq!(kind(outcome), ErrorKind::Name, "{key}");
        }
        assert_eq!(here.get_value(key).await.unwrap(), None);
    }
    assert!(!here.is_modified());
}

/// Returns an open connection that has read its session, and a request of the same client.
async fn socket_and_page(store: &MemoryStore, id: Id) -> (Session, Session) {
    let socket = session(store, Some(id));
    socket.get_value("theme").await.unwrap();
    responds(&socket).await.unwrap();
    (socket, session(store, Some(id)))
}

/// Returns the value that the store has.
async fn theme(store: &MemoryStore, id: Id) -> Option<Value> {
    session(store, Some(id)).get_value("theme").await.unwrap()
}

#[tokio::test]
async fn a_value_that_is_chosen_again_replaces_what_others_have_chosen_since() {
    let store = MemoryStore::default();
    let id = stored(&store, &["theme"]).await;
    let (socket, page) = socket_and_page(&store, id).await;
    socket.insert("theme", "dark").await.unwrap();
    socket.save().await.unwrap();
    page.insert("theme", "light").await.unwrap();
    page.save().await.unwrap();

    socket.insert("theme", "dark").await.unwrap();
    socket.save().await.unwrap();

    assert_eq!(theme(&store, id).await.unwrap(), "dark");
}

#[tokio::test]
async fn a_value_that_is_set_back_replaces_what_others_have_chosen_since() {
    let store = MemoryStore::default();
    let id = stored(&store, &["theme"]).await;
    let (socket, page) = socket_and_page(&store, id).await;
    page.insert("theme", "light").await.unwrap();
    page.save().await.unwrap();

    for value in ["dark", "theme"] {
        socket.insert("theme", value).await.unwrap();
    }
    socket.save().await.unwrap();

    assert_eq!(theme(&store, id).await.unwrap(), "theme");
}

#[tokio::test]
async fn a_key_that_is_removed_is_removed_even_if_only_others_have_inserted_it() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let (socket, page) = socket_and_page(&store, id).await;
    page.insert("theme", "light").await.unwrap();
    page.save().await.unwrap();

    assert_eq!(socket.remove_value("theme").await.unwrap(), None);
    socket.save().await.unwrap();

    assert_eq!(keys(&store, id).await.unwrap(), ["a"]);
}

/// A store that fails to delete one session.
#[derive(Clone, Debug)]
struct Undeletable(MemoryStore, Id);

#[async_trait]
impl SessionStore for Undeletable {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        self.0.create(record).await
    }
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        self.0.save(record).await
    }
    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        self.0.load(id).await
    }
    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        if *id == self.1 {
            return Err(session_store::Error::Backend("it is read-only".into()));
        }
        self.0.delete(id).await
    }
}

#[tokio::test]
async fn a_logout_that_the_store_rejects_leaves_a_session_that_can_be_saved() {
    let store = MemoryStore::default();
    let id = stored(&store, &["a"]).await;
    let undeletable = Undeletable(store.clone(), id);
    let flushed = session(&undeletable, Some(id)).flush().await;
    assert_eq!(kind(flushed), ErrorKind::Session);

    let next = session(&store, Some(id));
    next.insert("b", 1).await.unwrap();
    next.save().await.unwrap();

    assert_eq!(keys(&store, id).await.unwrap(), ["a", "b"]);
}
