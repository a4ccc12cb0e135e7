//! The program and the page of the tutorial's last part, in a browser.

use seaway::{Channels, serve};
use seaway_tests::support::{Browser, Page};
use serde_json::json;
use std::{fs, path::Path};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// The program of the page, with its tests. Its `main` is not called.
#[allow(dead_code)]
mod program {
    pub(super) fn application(
        channels: &Channels,
        page: String,
        client: String,
    ) -> ProtocolTypeRouter {
        app(channels, Files { page, client })
    }

    include!("../docs/tutorial/room/main.rs");
}

const PEOPLE: &str = "document.querySelector('#people').textContent";
const SAID: &str = "[...document.querySelectorAll('#said li')].map((item) => item.textContent)";
const STATUS: &str = "document.querySelector('#status').textContent";

#[tokio::test]
async fn the_page_shows_who_is_here_and_receives_what_it_has_missed() {
    let channels = Channels::in_memory();
    let (mut first, second) = (Process::new(&channels).await, Process::new(&channels).await);
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    ana.goto(&first.address("ana")).await;
    bo.goto(&second.address("bo")).await;
    for page in [&ana, &bo] {
        page.wait_for_value(PEOPLE, &json!("ana, bo")).await;
    }
    say(&bo, "ahoy").await;
    ana.wait_for_value(SAID, &json!(["bo: ahoy"])).await;

    first.stop().await;
    ana.wait_for(&format!("{STATUS}.startsWith('Not connected')"))
        .await;
    bo.wait_for_value(PEOPLE, &json!("bo")).await;
    say(&bo, "the pilot is aboard").await;
    say(&ana, "where were we?").await;
    first.start().await;

    let all = json!(["bo: ahoy", "bo: the pilot is aboard", "ana: where were we?"]);
    for page in [&ana, &bo] {
        page.wait_for_value(SAID, &all).await;
        page.wait_for_value(PEOPLE, &json!("ana, bo")).await;
    }
    ana.wait_for_value(STATUS, &json!("")).await;
    ana.screenshot("tutorial-who-is-here").await;
}

#[test]
fn the_page_of_the_tutorial_has_this_program() {
    let tutorial = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial");
    let text = fs::read_to_string(tutorial.join("5-who-is-here.md")).expect("the tutorial");
    let program = fs::read_to_string(tutorial.join("room/main.rs")).expect("the program");
    assert!(
        text.contains(&program),
        "room/main.rs has another program than the page shows"
    );
}

async fn say(page: &Page, text: &str) {
    page.type_text("#text", text).await;
    page.click("#form button").await;
}

/// A server of the room, which can be stopped and started again on its port.
struct Process {
    channels: Channels,
    port: u16,
    serving: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Process {
    async fn new(channels: &Channels) -> Self {
        let mut process = Self {
            channels: channels.clone(),
            port: 0,
            serving: None,
        };
        process.start().await;
        process
    }

    async fn start(&mut self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let read = |path| fs::read_to_string(root.join(path)).expect("a file of the tutorial");
        let text = read("docs/tutorial/5-who-is-here.md");
        let page = text
            .split("```html\n")
            .nth(1)
            .and_then(|page| page.split("```").next());
        let page = page.expect("a page").to_owned();
        let app = program::application(&self.channels, page, read("clients/js/dist/seaway.js"));
        let listener = TcpListener::bind(("127.0.0.1", self.port))
            .await
            .expect("the port is free");
        self.port = listener.local_addr().expect("it listens").port();
        let (stop, stopped) = oneshot::channel();
        let stopped = async { _ = stopped.await };
        let serving = tokio::spawn(async {
            serve(listener, app)
                .stop_on(stopped)
                .await
                .expect("it serves");
        });
        self.serving = Some((stop, serving));
    }

    async fn stop(&mut self) {
        let (stop, serving) = self.serving.take().expect("it runs");
        _ = stop.send(());
        serving.await.expect("it stops");
    }

    fn address(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/?name={name}", self.port)
    }
}
