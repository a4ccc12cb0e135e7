//! Tests of sessions shared by pages and WebSockets, with every store.

use std::{collections::HashMap, sync::Arc};

use seaway::{
    ApplicationExt, BoxApplication, Channels, Context, Handshake, NoEvent, Rejection, Result,
    Session, WebSocketConsumer, from_service,
    middleware::Sessions,
    protocol::{Http, WebSocket},
    session::{
        Id, MemoryStore, Record, RedisStore, SessionStore,
        time::{self, OffsetDateTime},
    },
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use seaway_tests::support::{
    Redis,
    temp_dir::Scratch,
    wait::{DEADLINE, until},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower_sessions_sqlx_store::{SqliteStore, sqlx::SqlitePool};

use crate::redis_layer::log::Log;

/// Expands to a test for each rule and store.
macro_rules! with_every_store {
    ($($rule:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(super::MemoryStore::default()).await;
            })*
        }
        mod in_sqlite {
            $(#[tokio::test]
            async fn $rule() {
                let (_folder, store) = super::sqlite().await;
                super::$rule(store).await;
            })*
        }
        mod in_redis {
            $(#[tokio::test]
            async fn $rule() {
                let redis = super::Redis::new().await;
                let store = super::RedisStore::connect(&redis.url()).await.unwrap();
                super::$rule(store).await;
            })*
        }
    };
}

with_every_store! {
    a_websocket_reads_what_a_page_writes,
    a_page_reads_what_a_websocket_writes,
    concurrent_writes_of_a_page_survive_a_save_in_a_websocket,
    a_websocket_removes_a_value_and_keeps_the_others,
    a_session_created_in_the_handshake_sets_its_cookie_on_the_101,
    a_session_is_not_restored_after_a_logout,
    a_save_after_a_logout_elsewhere_is_an_error,
    a_logout_while_a_socket_saves_is_not_undone,
    a_session_cannot_be_created_in_an_open_websocket,
    a_request_that_does_not_use_its_session_gets_no_cookie,
}

async fn a_websocket_reads_what_a_page_writes(store: impl SessionStore) {
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;

    let mut socket = site.socket(&cookie);

    assert_eq!(socket.asks("get cart").await, "3");
}

async fn a_page_reads_what_a_websocket_writes(store: impl SessionStore) {
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;
    let mut socket = site.socket(&cookie);

    assert_eq!(socket.asks("set cart 4").await, "ok");
    assert_eq!(
        site.reads(&cookie, "cart").await,
        "3",
        "nothing is saved yet"
    );
    assert_eq!(socket.asks("save").await, "ok");

    assert_eq!(site.reads(&cookie, "cart").await, "4");
}

async fn concurrent_writes_of_a_page_survive_a_save_in_a_websocket(store: impl SessionStore) {
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;
    let mut socket = site.socket(&cookie);
    assert_eq!(socket.asks("set seen 7").await, "ok");
    site.writes(Some(&cookie), "cart", "5").await;
    site.writes(Some(&cookie), "name", "ana").await;

    assert_eq!(socket.asks("save").await, "ok");

    assert_eq!(site.reads(&cookie, "cart").await, "5");
    assert_eq!(site.reads(&cookie, "name").await, "ana");
    assert_eq!(site.reads(&cookie, "seen").await, "7");
    assert_eq!(socket.asks("get cart").await, "3", "what was read before");
    assert_eq!(socket.asks("load").await, "ok");
    assert_eq!(socket.asks("get cart").await, "5");
}

async fn a_websocket_removes_a_value_and_keeps_the_others(store: impl SessionStore) {
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;
    site.writes(Some(&cookie), "name", "ana").await;
    let mut socket = site.socket(&cookie);

    assert_eq!(socket.asks("remove cart").await, "ok");
    assert_eq!(socket.asks("save").await, "ok");

    assert_eq!(site.reads(&cookie, "cart").await, "nothing");
    assert_eq!(site.reads(&cookie, "name").await, "ana");
}

async fn a_session_created_in_the_handshake_sets_its_cookie_on_the_101(store: impl SessionStore) {
    let site = Site::new(store);
    let mut socket = site.visit("/?begin=here", None);

    let response = socket.0.response().await;

    assert_eq!(response.status(), 101);
    let cookie = cookie(response.headers()).expect("a cookie on the 101");
    assert_eq!(site.reads(&cookie, "begun").await, "here");
    assert_eq!(socket.asks("set begun there").await, "ok");
    assert_eq!(socket.asks("save").await, "ok");
    assert_eq!(site.reads(&cookie, "begun").await, "there");
}

async fn a_session_is_not_restored_after_a_logout(store: impl SessionStore) {
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;
    let mut socket = site.socket(&cookie);
    assert_eq!(socket.asks("set cart 4").await, "ok");

    site.page("/logout", Some(&cookie)).await;

    let close = socket.0.receive_close().await;
    assert_eq!(
        (close.code, close.reason()),
        (4401, "the session has ended")
    );
    assert_eq!(site.reads(&cookie, "cart").await, "nothing");
    let mut again = site.socket(&cookie);
    assert_eq!(again.asks("get cart").await, "nothing");
}

/// Only the store is shared, so the event of the logout does not reach the WebSocket before it
/// saves.
async fn a_save_after_a_logout_elsewhere_is_an_error(store: impl SessionStore) {
    let store: Arc<dyn SessionStore> = Arc::new(store);
    let (here, elsewhere) = (Site::over(store.clone()), Site::over(store));
    let cookie = here.writes(None, "cart", "3").await;
    let mut socket = here.socket(&cookie);
    let mut sulking = here.socket(&cookie);
    assert_eq!(socket.asks("set cart 4").await, "ok");
    assert_eq!(sulking.asks("set cart 5").await, "ok");

    elsewhere.page("/logout", Some(&cookie)).await;

    assert_eq!(socket.asks("try to save").await, "SessionGone");
    sulking.0.send("save").await;
    assert_eq!(sulking.0.receive_close().await.code, 4401);
    assert_eq!(here.reads(&cookie, "cart").await, "nothing");
}

/// The WebSocket has read that the session exists, and the store writes it just after the logout.
async fn a_logout_while_a_socket_saves_is_not_undone(store: impl SessionStore) {
    let store: Arc<dyn SessionStore> = Arc::new(store);
    let slow = Slow {
        store: store.clone(),
        asked: Arc::default(),
        goes_on: Arc::default(),
    };
    let (here, elsewhere) = (Site::over(Arc::new(slow.clone())), Site::over(store));
    let cookie = elsewhere.writes(None, "cart", "3").await;
    let mut socket = here.socket(&cookie);
    assert_eq!(socket.asks("set cart 4").await, "ok");

    socket.0.send("try to save").await;
    slow.asked.notified().await;
    elsewhere.page("/logout", Some(&cookie)).await;
    slow.goes_on.notify_one();

    assert_eq!(socket.0.receive_text().await, "SessionGone");
    assert_eq!(elsewhere.reads(&cookie, "cart").await, "nothing");
}

async fn a_session_cannot_be_created_in_an_open_websocket(store: impl SessionStore) {
    let site = Site::new(store);
    let mut socket = site.visit("/", None);

    assert_eq!(socket.asks("set cart 4").await, "ok");

    assert_eq!(socket.asks("try to save").await, "Session");
}

async fn a_request_that_does_not_use_its_session_gets_no_cookie(store: impl SessionStore) {
    let site = Site::new(store);

    let page = site.page("/still", None).await;

    assert_eq!(page.headers().get("set-cookie"), None);
}

#[tokio::test]
async fn requests_that_need_a_session_get_503_while_the_store_is_down() {
    let mut redis = Redis::new().await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;

    redis.stop();

    let page = site.page("/write/cart/4", None).await;
    assert_eq!(page.status(), 503);
    assert_eq!(page.body(), "Service Unavailable");
    assert_eq!(site.page("/read/cart", Some(&cookie)).await.status(), 503);
    assert_eq!(site.visit("/?begin=here", None).0.status().await, 503);
    assert_eq!(site.page("/still", Some(&cookie)).await.body(), "still");
    redis.start().await;
    until("Redis to be reached again", DEADLINE, async || {
        let page = site.page("/write/cart/5", None).await;
        (page.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_logout_while_redis_is_at_its_maxmemory_ends_the_session() {
    let (log, _listening) = Log::listen();
    let redis = Redis::new().await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;
    let mut socket = site.socket(&cookie);
    assert_eq!(socket.asks("set cart 4").await, "ok");
    redis.does(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let refused = socket.asks("why not save").await;
    let remedy = "it has reached its `maxmemory`; raise it, or delete keys";
    assert!(refused.contains(remedy), "{refused}");

    let page = site.page("/logout", Some(&cookie)).await;

    assert_eq!(page.status(), 200);
    assert_eq!(socket.0.receive_close().await.code, 4401);
    assert_eq!(site.reads(&cookie, "cart").await, "nothing");
    let warnings = log.lines("cannot record that a session has ended");
    assert!(warnings[0].contains(remedy), "{warnings:?}");
}

#[tokio::test]
async fn redis_stores_no_session_that_is_too_deep_to_be_read_again() {
    let redis = Redis::new().await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let mut record = Record {
        id: Id::default(),
        data: HashMap::from([("value".to_owned(), Value::Null)]),
        expiry_date: OffsetDateTime::now_utc() + time::Duration::HOUR,
    };
    store.create(&mut record).await.unwrap();
    let mut deepest = 0;
    let refused = loop {
        let nested = json!([record.data.remove("value")]);
        record.data.insert("value".to_owned(), nested);
        match store.save(&record).await {
            Ok(()) => deepest += 1,
            Err(refused) => break refused,
        }
        let read = store.load(&record.id).await.unwrap().unwrap();
        assert_eq!(read.data, record.data);
    };

    assert!((120..130).contains(&deepest), "{deepest}");
    assert!(
        refused.to_string().contains("nest its values less"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_save_of_values_that_redis_cannot_store_says_what_to_change() {
    let redis = Redis::new().await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let site = Site::new(store);
    let cookie = site.writes(None, "cart", "3").await;
    let cases = [
        ("nest 200", "nest its values less deeply"),
        ("fill 1048577", "store large values elsewhere"),
    ];
    for (command, remedy) in cases {
        let mut socket = site.socket(&cookie);
        assert_eq!(socket.asks(command).await, "ok");

        let error = socket.asks("why not save").await;

        let message = "the session cannot be stored; change its values, as the reason says: ";
        assert!(error.starts_with(message), "{error}");
        assert!(error.contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn the_error_of_a_session_that_a_busy_redis_does_not_load_has_the_reason() {
    let redis = Redis::with(&["--busy-reply-threshold", "1"]).await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();

    let endless = redis.ask(&["EVAL", "while true do end", "0"]);
    let refused = async {
        redis.until_busy().await;
        let error = store.load(&Id::default()).await.unwrap_err();
        redis.does(&["SCRIPT", "KILL"]).await;
        error.to_string()
    };
    let (_, error) = tokio::join!(endless, refused);

    assert!(error.contains("BUSY"), "{error}");
}

async fn sqlite() -> (Scratch, SqliteStore) {
    let folder = Scratch::new("sqlite");
    let url = format!("sqlite://{}/sessions?mode=rwc", folder.path().display());
    let store = SqliteStore::new(SqlitePool::connect(&url).await.expect("a database"));
    store.migrate().await.expect("a table");
    (folder, store)
}

/// A store that two otherwise independent sites share.
#[derive(Debug, Clone)]
struct Shared(Arc<dyn SessionStore>);

/// A store that delays writes until the test allows them.
#[derive(Debug, Clone)]
struct Slow {
    store: Arc<dyn SessionStore>,
    asked: Arc<Notify>,
    goes_on: Arc<Notify>,
}

/// Pages and WebSockets over one store.
struct Site {
    pages: BoxApplication<Http>,
    sockets: BoxApplication<WebSocket>,
}

impl Site {
    fn new(store: impl SessionStore) -> Self {
        Self::over(Arc::new(store))
    }

    fn over(store: Arc<dyn SessionStore>) -> Self {
        let channels = Channels::in_memory();
        let sessions = Sessions::new(Shared(store), &channels);
        Self {
            pages: from_service(pages::router()).with(sessions.clone()).boxed(),
            sockets: Shell::application(&channels).with(sessions).boxed(),
        }
    }

    /// Requests a page that writes a value; returns the session cookie.
    async fn writes(&self, cookie: Option<&str>, key: &str, value: &str) -> String {
        let page = self.page(&format!("/write/{key}/{value}"), cookie).await;
        self::cookie(page.headers()).expect("a cookie with what was written")
    }

    async fn reads(&self, cookie: &str, key: &str) -> String {
        let page = self.page(&format!("/read/{key}"), Some(cookie)).await;
        String::from_utf8(page.into_body().to_vec()).expect("text")
    }

    async fn page(&self, path: &str, cookie: Option<&str>) -> http::Response<bytes::Bytes> {
        let request = request(path, cookie)
            .body(String::new())
            .expect("a request");
        let response = HttpCommunicator::request(&self.pages, request).await;
        response.expect("an answer")
    }

    fn socket(&self, cookie: &str) -> Socket {
        self.visit("/", Some(cookie))
    }

    fn visit(&self, path: &str, cookie: Option<&str>) -> Socket {
        let request = request(path, cookie);
        Socket(WebSocketCommunicator::open(&self.sockets, request))
    }
}

struct Socket(WebSocketCommunicator);

impl Socket {
    async fn asks(&mut self, question: &str) -> String {
        assert_eq!(self.0.status().await, 101);
        self.0.send(question).await;
        self.0.receive_text().await
    }
}

fn request(path: &str, cookie: Option<&str>) -> http::request::Builder {
    let request = http::Request::get(path);
    match cookie {
        Some(cookie) => request.header("cookie", cookie),
        None => request,
    }
}

/// Returns the name and value of the cookie that was set.
fn cookie(headers: &http::HeaderMap) -> Option<String> {
    let line = headers.get("set-cookie")?.to_str().expect("text");
    let (pair, _) = line.split_once(';')?;
    Some(pair.to_owned())
}

/// A consumer that executes commands on its session.
struct Shell {
    session: Session,
}

impl WebSocketConsumer for Shell {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        if let Some(value) = handshake.raw_query("begin") {
            session.insert("begun", value).await?;
        }
        // Reading the session makes the connection depend on it.
        session.get_value("cart").await?;
        Ok(Self { session })
    }

    async fn receive(&mut self, ctx: &mut Context, line: String) -> Result<()> {
        let session = &self.session;
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[..] {
            ["get", key] => read(session, key).await?,
            ["set", key, value] => {
                session.insert(key, value).await?;
                "ok".to_owned()
            }
            ["remove", key] => {
                session.remove_value(key).await?;
                "ok".to_owned()
            }
            ["nest", depth] => {
                let value = (0..depth.parse()?).fold(Value::Null, |value, _| json!([value]));
                session.insert("nested", value).await?;
                "ok".to_owned()
            }
            ["fill", bytes] => {
                session.insert("filled", "a".repeat(bytes.parse()?)).await?;
                "ok".to_owned()
            }
            ["load"] => {
                session.load().await?;
                "ok".to_owned()
            }
            ["save"] => {
                session.save().await?;
                "ok".to_owned()
            }
            ["try", "to", "save"] => match session.save().await {
                Ok(()) => "ok".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            },
            ["why", "not", "save"] => match session.save().await {
                Ok(()) => "ok".to_owned(),
                Err(error) => format!("{error:#}"),
            },
            _ => panic!("no command: {line}"),
        };
        Ok(ctx.send(answer).await?)
    }
}

async fn read(session: &Session, key: &str) -> Result<String> {
    let value: Option<String> = session.get(key).await?;
    Ok(value.unwrap_or_else(|| "nothing".to_owned()))
}

mod pages {
    use super::{Session, read};
    use axum::{Router, extract::Path, routing::get};

    pub(super) fn router() -> Router {
        Router::new()
            .route("/still", get(|| async { "still" }))
            .route("/read/{key}", get(page))
            .route("/write/{key}/{value}", get(write))
            .route("/logout", get(log_out))
    }

    async fn page(session: Session, Path(key): Path<String>) -> seaway::Result<String> {
        read(&session, &key).await
    }

    async fn write(
        session: Session,
        Path((key, value)): Path<(String, String)>,
    ) -> seaway::Result<()> {
        Ok(session.insert(&key, value).await?)
    }

    async fn log_out(session: Session) -> seaway::Result<()> {
        Ok(session.flush().await?)
    }
}

#[async_trait::async_trait]
impl SessionStore for Shared {
    async fn create(
        &self,
        record: &mut seaway::session::Record,
    ) -> seaway::session::session_store::Result<()> {
        self.0.create(record).await
    }

    async fn save(
        &self,
        record: &seaway::session::Record,
    ) -> seaway::session::session_store::Result<()> {
        self.0.save(record).await
    }

    async fn load(
        &self,
        id: &seaway::session::Id,
    ) -> seaway::session::session_store::Result<Option<seaway::session::Record>> {
        self.0.load(id).await
    }

    async fn delete(&self, id: &seaway::session::Id) -> seaway::session::session_store::Result<()> {
        self.0.delete(id).await
    }
}

#[async_trait::async_trait]
impl SessionStore for Slow {
    async fn create(
        &self,
        record: &mut seaway::session::Record,
    ) -> seaway::session::session_store::Result<()> {
        self.store.create(record).await
    }

    async fn save(
        &self,
        record: &seaway::session::Record,
    ) -> seaway::session::session_store::Result<()> {
        self.asked.notify_one();
        self.goes_on.notified().await;
        self.store.save(record).await
    }

    async fn load(
        &self,
        id: &seaway::session::Id,
    ) -> seaway::session::session_store::Result<Option<seaway::session::Record>> {
        self.store.load(id).await
    }

    async fn delete(&self, id: &seaway::session::Id) -> seaway::session::session_store::Result<()> {
        self.store.delete(id).await
    }
}
