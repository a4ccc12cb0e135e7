//! Tests of the small examples, each used as a person would.

use seaway_tests::support::{
    Browser, Page, Proxy, Server, raw,
    wait::{DEADLINE, until},
};
use serde_json::json;

#[tokio::test]
async fn echo_echoes_messages() {
    let echo = Server::example("echo").await;
    let mut client = echo.client("/").await;

    client.echoes("ahoy").await;
}

#[tokio::test]
async fn a_post_to_the_axum_app_reaches_its_websockets_and_layers_apply_to_both() {
    let mut app = Server::example("in-axum").await;
    let mut listener = app.client("/ws/readings").await;
    let json = "Content-Type: application/json";
    let dashboard = "Origin: http://localhost:5173";

    let added = raw::ask(app.port(), "POST /readings", &[json], "21.5").await;

    assert!(added.starts_with("HTTP/1.1 201"), "{added}");
    let heard = listener.json("reading.added").await;
    assert_eq!(heard, json!({ "type": "reading.added", "celsius": 21.5 }));
    let read = raw::ask(app.port(), "GET /readings", &[dashboard], "").await;
    assert!(read.ends_with("[21.5]"), "{read}");
    assert!(
        read.contains("access-control-allow-origin: http://localhost:5173"),
        "{read}"
    );
    let mut guest = app.raw_client().await;
    assert_eq!(
        guest
            .upgrade("/ws/readings", &format!("{dashboard}\r\n"))
            .await,
        101
    );
    let mut stranger = app.raw_client().await;
    let elsewhere = "Origin: https://evil.example\r\n";
    assert_eq!(stranger.upgrade("/ws/readings", elsewhere).await, 403);

    for _ in 0..9 {
        raw::ask(app.port(), "POST /readings", &[json], "21.5").await;
    }
    let zipped = "Accept-Encoding: gzip";
    let read = raw::ask(app.port(), "GET /readings", &[zipped], "").await;
    assert!(read.contains("content-encoding: gzip"), "{read}");
    assert!(!read.contains("21.5"), "{read}");
    for (uri, status) in [("/readings", 201), ("/ws/readings", 101)] {
        until(&format!("a line about {uri}"), DEADLINE, async || {
            let lines = app.errors();
            let (uri, status) = (format!("uri={uri} "), format!("status={status}"));
            let is_there = |line: &str| line.contains(&uri) && line.contains(&status);
            lines.lines().any(is_there).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_customer_is_notified_in_every_tab_and_others_are_not() {
    let shop = Server::example("notifications").await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    for (page, name) in [(&ana, "Ana"), (&bo, "Bo")] {
        page.goto(&shop.page("/")).await;
        come_in(page, name).await;
    }
    let anas_tab = browser.tab_beside(&ana).await;
    anas_tab.goto(&shop.page("/")).await;
    says(&anas_tab, "hello, Ana").await;

    bo.type_text("[name=what]", "<b>oars</b>").await;
    bo.type_text("[name=to]", "Ana").await;
    bo.click("#ship button").await;

    let parcels = "[...document.querySelectorAll('#parcels li')].map((item) => item.textContent)";
    for page in [&ana, &anas_tab] {
        page.wait_for_value(parcels, &json!(["<b>oars</b>, from Bo"]))
            .await;
    }
    says(&bo, "Ana will be notified").await;
    assert_eq!(bo.eval(parcels).await, json!([]));
    let stranger = raw::ask(shop.port(), "POST /ship/Ana", &[], "what=nothing").await;
    assert!(stranger.starts_with("HTTP/1.1 401"), "{stranger}");
}

#[tokio::test]
async fn an_anonymous_page_asks_for_a_login_and_does_not_retry() {
    let shop = Server::example("notifications").await;
    let browser = Browser::new().await;
    let stranger = browser.page().await;
    stranger.goto(&shop.page("/")).await;
    stranger
        .eval(
            "(() => {
                 window.knocks = 0;
                 window.WebSocket = class extends WebSocket {
                     constructor(...where) { knocks++; super(...where); }
                 };
             })()",
        )
        .await;
    says(&stranger, "Log in first.").await;

    stranger.pass_time(60).await;

    assert_eq!(stranger.eval("knocks").await, 0);
    assert_eq!(stranger.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_customer_reconnects_after_a_reset_and_a_restart_but_not_after_the_session_ended() {
    const LOST: &str = "The connection is lost, trying again…";
    let mut shop = Server::example("notifications").await;
    let wire = Proxy::before(&shop).await;
    let browser = Browser::new().await;
    let ana = browser.page().await;
    ana.goto(&wire.page("/")).await;
    come_in(&ana, "Ana").await;

    wire.cut();
    says(&ana, LOST).await;
    wire.restore();
    says(&ana, "hello, Ana").await;

    // Each login changes the session id, which closes the WebSockets of the old session with 4401.
    let tab = browser.tab_beside(&ana).await;
    tab.goto(&wire.page("/")).await;
    come_in(&tab, "Cy").await;
    says(&ana, "Your session has ended. Log in again.").await;

    // It closes with 1001; this server keeps sessions in memory, so a reconnecting client has none.
    shop.terminate();
    says(&tab, LOST).await;
    shop.ended(DEADLINE).await;
    shop.start().await;
    says(&tab, "Log in first.").await;
    come_in(&tab, "Cy").await;
}

/// Logs in with the form, and waits for the WebSocket.
async fn come_in(page: &Page, name: &str) {
    page.type_text("[name=name]", name).await;
    page.click("form button").await;
    says(page, &format!("hello, {name}")).await;
}

async fn says(page: &Page, state: &str) {
    let shown = "document.querySelector('#state').textContent";
    page.wait_for_value(shown, &json!(state)).await;
}
