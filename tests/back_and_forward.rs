//! Tests of pages that are left in the same tab, and shown again by the browser's Back button: they
//! hold no socket in between.
//!
//! A browser may keep such a page in its back/forward cache. Some browsers even keep one that
//! forbids it (the chat: `no-store`).

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, response::Html, routing::get};
use seaway::{
    ApplicationExt, Channels, Close, Context, Error, Handshake, NoEvent, Rejection, Result,
    WebSocketConsumer, from_service,
    middleware::Provide,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use seaway_tests::support::{
    Browser, Page, Redis, Server, Visitor, raw,
    wait::{DEADLINE, until},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

#[tokio::test]
async fn the_tutorials_pages_disconnect_when_left_and_reconnect_after_back() {
    for part in ["1-a-chat-room.md", "3-sessions-and-login.md"] {
        let server = TestServer::with(page_of(part)).await;
        let browser = Browser::new().await;
        let ana = browser.page().await;
        ana.goto(&server.address("/?name=ana")).await;
        server.holds(1).await;
        ana.eval("window.isKept = true").await;

        ana.goto(&server.address("/elsewhere")).await;
        server.holds(0).await;
        ana.go_back().await;

        ana.wait_for("window.isKept").await;
        server.holds(1).await;
        let said = "[...document.querySelectorAll('#said li')].map((item) => item.textContent)";
        let twice = json!(["ana has joined.", "ana has joined."]);
        ana.wait_for_value(said, &twice).await;
    }
}

#[tokio::test]
async fn a_customer_gets_notifications_again_after_back() {
    let shop = Server::example("notifications").await;
    let browser = Browser::new().await;
    let ana = browser.page().await;
    ana.goto(&shop.page("/")).await;
    ana.type_text("[name=name]", "Ana").await;
    ana.click("form button").await;
    let state = "document.querySelector('#state').textContent";
    ana.wait_for_value(state, &json!("hello, Ana")).await;
    ana.eval("window.isKept = true").await;

    ana.goto(&shop.page("/me")).await;
    ana.go_back().await;

    ana.wait_for("window.isKept").await;
    ana.wait_for_value(state, &json!("hello, Ana")).await;
    ana.type_text("[name=what]", "oars").await;
    ana.type_text("[name=to]", "Ana").await;
    ana.click("#ship button").await;
    let parcels = "[...document.querySelectorAll('#parcels li')].map((item) => item.textContent)";
    ana.wait_for_value(parcels, &json!(["oars, from Ana"]))
        .await;
    assert_eq!(ana.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn every_transport_reconnects_after_back_unless_it_was_paused() {
    let room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&room.page("/")).await;
    are(&page, ["live", "live", "live", "live"]).await;
    page.click("[data-transport=wait] .pause").await;
    page.eval("window.isKept = true").await;

    page.goto(&room.page("/healthz")).await;
    raw::ask(room.port(), "POST /say", &[], "while away").await;
    page.go_back().await;

    page.wait_for("window.isKept").await;
    are(&page, ["live", "paused", "live", "live"]).await;
    let heard = "[...document.querySelectorAll('[data-transport]')]
         .map((pane) => pane.querySelector('.messages').dataset.value)";
    page.wait_for_value(heard, &json!(["1", "0", "1", "1"]))
        .await;
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_user_who_leaves_a_rooms_page_is_not_listed_there_until_back() {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;
    let browser = Browser::new().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::join(&browser, &chat, "Bo").await;
    bo.sees_people(&["Ana", "Bo"]).await;

    ana.page.is_hidden().await;
    bo.sees_people(&["Bo"]).await;
    bo.says("are you there?").await;
    bo.sees(&["are you there?"]).await;
    ana.page.is_shown().await;

    ana.is("connected").await;
    ana.sees(&["are you there?"]).await;
    bo.sees_people(&["Ana", "Bo"]).await;
    ana.had_no_problems();
}

/// Waits until the panes are in these states.
async fn are(page: &Page, states: [&str; 4]) {
    let shown =
        "[...document.querySelectorAll('[data-transport]')].map((pane) => pane.dataset.state)";
    page.wait_for_value(shown, &json!(states)).await;
}

/// Returns the page in a part of the tutorial: the one with the room.
fn page_of(part: &str) -> String {
    let tutorial = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial");
    let text = fs::read_to_string(tutorial.join(part)).expect("the tutorial");
    let blocks = text.split("```html\n").skip(1);
    let mut pages = blocks.filter_map(|block| block.split("```").next());
    let page = pages.find(|page| page.contains("new WebSocket"));
    page.expect("a page with a socket").to_owned()
}

/// A server of the tutorial's page, which counts open sockets.
struct TestServer {
    port: u16,
    sockets: Arc<AtomicUsize>,
    serving: JoinHandle<Result<(), Error>>,
}

impl TestServer {
    async fn with(page: String) -> Self {
        let sockets = Arc::new(AtomicUsize::new(0));
        let pages = Router::new()
            .route("/", get(Html(page)))
            .route("/elsewhere", get(Html("<title>Elsewhere</title>")));
        let rooms = PathRouter::new()
            .route(
                "/ws/chat/{room}",
                Member::application(&Channels::in_memory()),
            )
            .with(Provide(sockets.clone()));
        let app = ProtocolTypeRouter::new()
            .http(from_service(pages))
            .websocket(rooms);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("it listens").port();
        let serving = tokio::spawn(async { serve(listener, app).await });
        Self {
            port,
            sockets,
            serving,
        }
    }

    fn address(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Waits until this many sockets are open.
    async fn holds(&self, expected: usize) {
        until(&format!("{expected} sockets"), DEADLINE, async || {
            (self.sockets.load(Ordering::SeqCst) == expected).then_some(())
        })
        .await;
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct Member {
    sockets: Arc<AtomicUsize>,
}

impl WebSocketConsumer for Member {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let sockets = handshake.state::<Arc<AtomicUsize>>()?.clone();
        sockets.fetch_add(1, Ordering::SeqCst);
        Ok(Self { sockets })
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(r#"{"type":"chat.joined","name":"ana"}"#).await?)
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }

    async fn disconnect(self, _: Close) {
        self.sockets.fetch_sub(1, Ordering::SeqCst);
    }
}
