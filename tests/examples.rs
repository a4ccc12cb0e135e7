//! The small examples, each as a person would try it.

use seaway_tests::support::{Browser, Server, raw};
use serde_json::json;

#[tokio::test]
async fn echo_says_what_it_hears() {
    let echo = Server::example("echo").await;
    let mut client = echo.client("/").await;

    client.echoes("ahoy").await;
}

#[tokio::test]
async fn what_is_posted_to_the_axum_app_reaches_its_sockets_and_its_layers_hold_for_both() {
    let app = Server::example("in-axum").await;
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
}

#[tokio::test]
async fn a_customer_is_told_in_every_tab_and_others_are_not() {
    let shop = Server::example("notifications").await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    let state = "document.querySelector('#state').textContent";
    for (page, name) in [(&ana, "Ana"), (&bo, "Bo")] {
        page.goto(&shop.page("/")).await;
        page.type_text("[name=name]", name).await;
        page.click("form button").await;
        page.wait_for_value(state, &json!(format!("hello, {name}")))
            .await;
    }
    let anas_tab = browser.tab_beside(&ana).await;
    anas_tab.goto(&shop.page("/")).await;
    anas_tab.wait_for_value(state, &json!("hello, Ana")).await;

    bo.type_text("[name=what]", "<b>oars</b>").await;
    bo.type_text("[name=to]", "Ana").await;
    bo.click("#ship button").await;

    let parcels = "[...document.querySelectorAll('#parcels li')].map((item) => item.textContent)";
    for page in [&ana, &anas_tab] {
        page.wait_for_value(parcels, &json!(["<b>oars</b>, from Bo"]))
            .await;
    }
    bo.wait_for_value(state, &json!("Ana will be told")).await;
    assert_eq!(bo.eval(parcels).await, json!([]));
    let stranger = raw::ask(shop.port(), "POST /ship/Ana", &[], "what=nothing").await;
    assert!(stranger.starts_with("HTTP/1.1 401"), "{stranger}");
}
