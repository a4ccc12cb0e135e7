//! Tests of sessions whose response fails.

use crate::{
    auth_app::{Accounts, asking, cookie},
    log::Log,
    support::Recorder,
};
use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use seaway::{
    ApplicationExt, AuthSession, BoxApplication, Channels, Result, Session, WebSocketConsumer,
    from_service,
    http::StatusCode,
    middleware::{Auth, Sessions},
    protocol::Http,
    session::{
        Id, MemoryStore, Record, SessionStore,
        session_store::{Error as StoreError, Result as StoreResult},
    },
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use std::time::Duration;

/// Returns pages that change the session, and then end as their path names.
fn state(recorder: &Recorder) -> BoxApplication<Http> {
    state_in(MemoryStore::default(), recorder)
}

/// Returns the same pages with the sessions of this store.
fn state_in(store: impl SessionStore, recorder: &Recorder) -> BoxApplication<Http> {
    let channels = Channels::in_memory();
    let pages = Router::new()
        .route("/{deed}/{end}", get(act))
        .with_state(recorder.clone());
    from_service(pages)
        .with(Auth::new(Accounts::of(&["ana", "bo"])))
        .with(Sessions::new(store, &channels))
        .boxed()
}

async fn act(
    session: Session,
    auth: AuthSession<Accounts>,
    Path((deed, end)): Path<(String, String)>,
    State(recorder): State<Recorder>,
) -> Result<Response> {
    match deed.as_str() {
        "look" => {}
        "note" => session.insert("note", "kept").await?,
        "renew" => session.cycle_id().await?,
        "renew, save and renew" => {
            session.cycle_id().await?;
            session.save().await?;
            session.cycle_id().await?;
        }
        "renew and empty" => {
            session.cycle_id().await?;
            session.flush().await?;
        }
        "log out" => auth.log_out().await?,
        "log out and note" => {
            auth.log_out().await?;
            session.insert("note", "bye").await?;
        }
        name => {
            let credentials = (name.to_owned(), "open sesame".to_owned());
            let account = auth.authenticate(credentials).await?.expect("an account");
            auth.log_in(&account).await?;
        }
    }
    recorder.record(deed);
    match end.as_str() {
        "well" => {}
        "in a 500" => return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        "in a panic" => panic!("in a page"),
        _ => std::future::pending().await,
    }
    let user = auth.user().await?;
    let name = user.map_or("nobody".to_owned(), |account| account.name);
    let note: Option<String> = session.get("note").await?;
    Ok(format!("{name} {}", note.unwrap_or_default()).into_response())
}

fn ask(state: &BoxApplication<Http>, path: &str, cookie: &str) -> HttpCommunicator {
    let request = asking(&path.replace(' ', "%20"), &[("cookie", cookie)]).body(String::new());
    HttpCommunicator::open(state, request.unwrap())
}

/// Returns a page's body, or its status, and the cookie afterwards.
async fn visit(state: &BoxApplication<Http>, path: &str, before: &str) -> (String, String) {
    let mut page = ask(state, path, before);
    let response = page.response().await;
    let after = cookie(response).unwrap_or_else(|| before.to_owned());
    match response.status() {
        StatusCode::OK => {
            let text = page.receive().await.unwrap();
            (String::from_utf8(text.to_vec()).unwrap(), after)
        }
        status => (status.as_str().to_owned(), after),
    }
}

#[tokio::test]
async fn a_login_whose_response_fails_does_not_change_the_session() {
    for deed in ["ana", "renew", "renew, save and renew"] {
        let recorder = Recorder::default();
        let state = state(&recorder);
        let (_, anonymous) = visit(&state, "/note/well", "").await;
        let kept = || visit(&state, "/look/well", &anonymous);

        let failed = visit(&state, &format!("/{deed}/in a 500"), &anonymous).await;
        assert_eq!(failed, ("500".to_owned(), anonymous.clone()));
        assert_eq!(kept().await.0, "nobody kept", "{deed}");

        // A page that panics, and one whose client leaves.
        for end in ["in a panic", "never"] {
            let before = recorder.entries().len();
            let page = ask(&state, &format!("/{deed}/{end}"), &anonymous);
            recorder.wait_for(before + 1).await;
            drop(page);
            assert_eq!(kept().await.0, "nobody kept", "{deed} {end}");
        }

        let (_, renewed) = visit(&state, &format!("/{deed}/well"), &anonymous).await;
        assert_ne!(renewed, anonymous);
        let (page, _) = visit(&state, "/look/well", &renewed).await;
        assert!(page.ends_with(" kept"), "{page}");
        assert_eq!(kept().await.0, "nobody ", "{deed}");
    }
}

#[tokio::test]
async fn a_failed_response_to_a_login_does_not_log_out_the_previous_user() {
    let state = state(&Recorder::default());
    let (_, ana) = visit(&state, "/ana/well", "").await;
    let (_, ana) = visit(&state, "/note/well", &ana).await;

    let (status, after) = visit(&state, "/bo/in a 500", &ana).await;

    assert_eq!((status.as_str(), &after), ("500", &ana));
    assert_eq!(visit(&state, "/look/well", &ana).await.0, "ana kept");
    let (page, bo) = visit(&state, "/bo/well", &ana).await;
    assert_eq!(page, "bo ");
    assert_eq!(visit(&state, "/look/well", &bo).await.0, "bo ");
    assert_eq!(visit(&state, "/look/well", &ana).await.0, "nobody ");
}

#[tokio::test]
async fn a_logout_applies_even_if_the_response_fails() {
    for deed in ["log out", "log out and note", "renew and empty"] {
        let state = state(&Recorder::default());
        let (_, ana) = visit(&state, "/ana/well", "").await;

        assert_eq!(
            visit(&state, &format!("/{deed}/in a 500"), &ana).await.0,
            "500"
        );

        assert_eq!(
            visit(&state, "/look/well", &ana).await.0,
            "nobody ",
            "{deed}"
        );
    }
}

/// Longer than the response hooks may take.
const SLOW: Duration = Duration::from_secs(11);

/// A store whose method of this name is slow.
#[derive(Debug)]
struct Slow(MemoryStore, &'static str);

impl Slow {
    async fn begin(&self, method: &str) {
        if method == self.1 {
            tokio::time::sleep(SLOW).await;
        }
    }
}

#[async_trait::async_trait]
impl SessionStore for Slow {
    async fn create(&self, record: &mut Record) -> StoreResult<()> {
        self.begin("create").await;
        self.0.create(record).await
    }
    async fn save(&self, record: &Record) -> StoreResult<()> {
        self.0.save(record).await
    }
    async fn load(&self, id: &Id) -> StoreResult<Option<Record>> {
        self.0.load(id).await
    }
    async fn delete(&self, id: &Id) -> StoreResult<()> {
        self.begin("delete").await;
        self.0.delete(id).await
    }
}

/// Asks for a page as ana, who has a note, with a store that is slow in this method. Returns the
/// pages with the fast store once the slow one is done, ana's cookie before, and that after.
async fn visit_slowly(method: &'static str, deed: &str) -> (BoxApplication<Http>, String, String) {
    let (store, recorder) = (MemoryStore::default(), Recorder::default());
    let slow = state_in(Slow(store.clone(), method), &recorder);
    let state = state_in(store, &recorder);
    let (_, ana) = visit(&state, "/ana/well", "").await;
    visit(&state, "/note/well", &ana).await;
    let mut page = ask(&slow, &format!("/{deed}/well"), &ana);
    // Every operation of the page calls the slow method at most twice.
    tokio::time::sleep(4 * SLOW).await;

    let response = page.response().await;
    assert_eq!(response.status(), 503, "{deed}");
    let after = cookie(response).unwrap_or_else(|| ana.clone());
    (state, ana, after)
}

#[tokio::test(start_paused = true)]
async fn a_new_id_that_is_saved_too_late_for_the_response_does_not_end_the_session() {
    for deed in ["renew", "ana", "bo"] {
        let (state, ana, after) = visit_slowly("create", deed).await;

        assert_eq!(after, ana, "{deed}");
        assert_eq!(visit(&state, "/look/well", &ana).await.0, "ana kept");
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_has_the_new_id_before_the_session_ends_under_its_old_one() {
    let (state, ana, after) = visit_slowly("delete", "renew").await;

    assert_ne!(after, ana);
    assert_eq!(visit(&state, "/look/well", &after).await.0, "ana kept");
    assert_eq!(visit(&state, "/look/well", &ana).await.0, "nobody ");
}

#[tokio::test(start_paused = true)]
async fn a_logout_applies_even_if_the_next_session_is_saved_too_late_for_the_response() {
    let (state, ana, after) = visit_slowly("create", "log out and note").await;

    assert_eq!(after, ana);
    assert_eq!(visit(&state, "/look/well", &ana).await.0, "nobody ");
}

/// A store whose `create` never returns.
#[derive(Debug)]
struct Swamp;

#[async_trait::async_trait]
impl SessionStore for Swamp {
    async fn create(&self, _: &mut Record) -> StoreResult<()> {
        std::future::pending().await
    }
    async fn save(&self, _: &Record) -> StoreResult<()> {
        Err(StoreError::Backend("it is never asked".to_owned()))
    }
    async fn load(&self, _: &Id) -> StoreResult<Option<Record>> {
        Ok(None)
    }
    async fn delete(&self, _: &Id) -> StoreResult<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_block_the_response_forever() {
    let channels = Channels::in_memory();
    let note = async |session: Session| session.insert("note", "kept").await;
    let pages = from_service(Router::new().route("/", get(note)))
        .with(Sessions::new(Swamp, &channels))
        .boxed();
    let sockets = Noting::application(&channels)
        .with(Sessions::new(Swamp, &channels))
        .boxed();
    let log = Log::listen();

    let mut page = ask(&pages, "/", "");
    tokio::time::sleep(Duration::from_secs(11)).await;

    assert_eq!(page.status().await, 503);
    let line = log.line("failed to serve a client");
    assert!(
        line.contains("response hooks took longer than 10 s"),
        "{line}"
    );
    let mut socket = WebSocketCommunicator::open(&sockets, asking("/", &[]));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(socket.status().await, 503);
}

/// A consumer that creates a session in `connect`.
struct Noting;

impl WebSocketConsumer for Noting {
    type Input = String;
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut seaway::Handshake) -> Result<Self, seaway::Rejection> {
        let session: Session = handshake.extract().await?;
        session.insert("note", "kept").await?;
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut seaway::Context, _: String) -> Result<()> {
        Ok(())
    }
}
