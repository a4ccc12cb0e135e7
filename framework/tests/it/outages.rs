//! Tests of open connections whose users and sessions cannot be checked, because a store fails.

use crate::{auth_app::Site, metrics::Counters};
use async_trait::async_trait;
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, NoEvent, Rejection, Result, Session,
    WebSocketConsumer,
    channels::{ChannelLayer, InMemoryChannelLayer, LocalChannels},
    from_service,
    middleware::Sessions,
    routing::ProtocolTypeRouter,
    session::{
        Id, MemoryStore, Record, SessionStore,
        session_store::{Error as StoreError, Result as StoreResult},
    },
    testing::{TestClient, WebSocketCommunicator},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const MAX_OUTAGE: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn users_who_cannot_be_loaded_are_closed_with_1013_after_max_outage() {
    for recheck in [Some(MINUTE), None] {
        let counters = Counters::default();
        let _counting = metrics::set_default_local_recorder(&counters);
        let counted = |outcome: &str| {
            counters.get(&format!("seaway_failed_rechecks_total outcome={outcome}"))
        };
        let site = Site::with(
            |auth| {
                match recheck {
                    Some(interval) => auth.recheck(interval),
                    None => auth,
                }
                .max_outage(MAX_OUTAGE)
            },
            |sessions| sessions,
        );
        let ana = site.log_in("ana").await;
        let (mut socket, _) = site.who(&ana).await;
        let (mut nobody, _) = site.who("").await;

        // A shorter one closes nothing.
        site.accounts.fail(true);
        site.local.interrupted(MINUTE);
        sleep(MAX_OUTAGE - MINUTE).await;
        assert!(counted("kept") > 0, "{recheck:?}");
        site.accounts.fail(false);
        sleep(MAX_OUTAGE).await;
        assert_open(&mut socket).await;

        site.accounts.fail(true);
        site.local.interrupted(MINUTE);
        sleep(MAX_OUTAGE - SECOND).await;
        assert_open(&mut socket).await;
        sleep(3 * SECOND).await;

        assert_eq!(socket.receive_close().await.code, Close::TRY_AGAIN);
        assert_eq!(counted("closed"), 1, "{recheck:?}");
        assert_open(&mut nobody).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_that_cannot_be_read_are_closed_with_1013_after_max_outage() {
    let (app, store, local) = noted();
    let client = TestClient::new(&app);
    assert_eq!(client.get("/").await.status(), 200);
    let mut socket = client.websocket("/");
    assert_eq!(socket.status().await, 101);
    let mut stranger = TestClient::new(&app).websocket("/");
    assert_eq!(stranger.status().await, 101);

    store.fail(true);
    local.interrupted(MINUTE);
    sleep(MAX_OUTAGE - MINUTE).await;
    store.fail(false);
    sleep(MAX_OUTAGE).await;
    assert_open(&mut socket).await;

    store.fail(true);
    local.interrupted(MINUTE);
    sleep(MAX_OUTAGE - SECOND).await;
    assert_open(&mut socket).await;
    sleep(3 * SECOND).await;

    assert_eq!(socket.receive_close().await.code, Close::TRY_AGAIN);
    assert_open(&mut stranger).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_during_an_outage_closes_its_websockets_after_it() {
    let (app, store, local) = noted();
    let client = TestClient::new(&app);
    let id = client.get("/").await.text().parse().unwrap();
    let mut socket = client.websocket("/");
    assert_eq!(socket.status().await, 101);

    store.fail(true);
    local.interrupted(MINUTE);
    sleep(MINUTE).await;
    assert_open(&mut socket).await;
    // Nobody announces it.
    store.sessions.delete(&id).await.unwrap();
    store.fail(false);
    // Until a check is repeated.
    sleep(MINUTE).await;

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
}

/// Opens a WebSocket whose session has a login, and returns it with the stored session.
async fn logged_in(app: &ProtocolTypeRouter, store: &Failing) -> (WebSocketCommunicator, Record) {
    let client = TestClient::new(app);
    let id = client.get("/").await.text().parse().unwrap();
    let mut stored = store.sessions.load(&id).await.unwrap().unwrap();
    stored.data.insert("_user".to_owned(), "ana".into());
    store.sessions.save(&stored).await.unwrap();
    let mut socket = client.websocket("/");
    assert_eq!(socket.status().await, 101);
    (socket, stored)
}

#[tokio::test(start_paused = true)]
async fn a_login_that_another_program_removes_from_the_session_closes_its_websockets() {
    let (app, store, local) = noted();
    let (mut socket, mut stored) = logged_in(&app, &store).await;

    stored.data.insert("note".to_owned(), "changed".into());
    store.sessions.save(&stored).await.unwrap();
    local.interrupted(MINUTE);
    sleep(MINUTE).await;
    assert_open(&mut socket).await;
    stored.data.remove("_user");
    store.sessions.save(&stored).await.unwrap();
    local.interrupted(MINUTE);

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn a_websocket_whose_login_another_program_has_removed_is_closed_by_its_next_save() {
    let (app, store, _) = noted();
    let (mut socket, mut stored) = logged_in(&app, &store).await;
    socket.send("save").await;
    assert_open(&mut socket).await;
    stored.data.remove("_user");
    store.sessions.save(&stored).await.unwrap();

    socket.send("save").await;

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    let now = store.sessions.load(&stored.id).await.unwrap().unwrap();
    assert_eq!(now.data, stored.data);
}

/// Returns an application whose pages and WebSockets have sessions, their store, and its channels.
fn noted() -> (ProtocolTypeRouter, Failing, LocalChannels) {
    let layer = InMemoryChannelLayer::default();
    let local = layer.local().clone();
    let channels = Channels::new(layer);
    let store = Failing::default();
    let sessions = Sessions::new(store.clone(), &channels).max_outage(MAX_OUTAGE);
    let pages = axum::Router::new().route("/", axum::routing::get(note));
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages).with(sessions.clone()))
        .websocket(Noted::application(&channels).with(sessions));
    (app, store, local)
}

async fn assert_open(socket: &mut WebSocketCommunicator) {
    socket.send("still here").await;
    assert_eq!(socket.receive_text().await, "still here");
}

/// Creates a session; returns its id.
async fn note(session: Session) -> Result<String> {
    session.insert("note", "kept").await?;
    session.save().await?;
    Ok(session.id().expect("it is stored").to_string())
}

/// A consumer that has read its session.
struct Noted {
    session: Session,
}

impl WebSocketConsumer for Noted {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        session.get_value("note").await?;
        Ok(Self { session })
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        if text == "save" {
            self.session.insert("saved", true).await?;
            return Ok(self.session.save().await?);
        }
        Ok(ctx.send(text).await?)
    }
}

/// A store that can fail.
#[derive(Clone, Debug, Default)]
struct Failing {
    sessions: MemoryStore,
    is_down: Arc<AtomicBool>,
}

impl Failing {
    fn fail(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    fn reached(&self) -> StoreResult<&MemoryStore> {
        match self.is_down.load(Ordering::Relaxed) {
            true => Err(StoreError::Backend("the disk is gone".to_owned())),
            false => Ok(&self.sessions),
        }
    }
}

#[async_trait]
impl SessionStore for Failing {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        self.reached()?.create(record).await
    }

    async fn save(&self, record: &Record) -> StoreResult<()> {
        self.reached()?.save(record).await
    }

    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        self.reached()?.load(id).await
    }

    async fn delete(&self, id: &Id) -> StoreResult<()> {
        self.reached()?.delete(id).await
    }
}
