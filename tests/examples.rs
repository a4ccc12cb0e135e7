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
async fn an_anonymous_page_asks_for_a_log_in_and_does_not_retry() {
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
    wire.mend();
    says(&ana, "hello, Ana").await;

    // Each log-in changes the session id, which closes the WebSockets of the old session with 4401.
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

#[tokio::test]
async fn bidders_outbid_each_other_until_the_lot_ends() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let (ana, bo, cy) = (
        browser.page().await,
        browser.page().await,
        browser.page().await,
    );
    for (page, name) in [(&ana, "ana"), (&bo, "bo"), (&cy, "cy")] {
        page.goto(&auction.page("/")).await;
        signs_in(page, name).await;
    }

    opens(&ana, "a <b>brass</b> compass", 8).await;
    for (page, watchers) in [(&bo, ""), (&cy, ", with 1 more")] {
        page.wait_for("document.querySelector('li .watch')").await;
        page.click("li .watch").await;
        says(
            page,
            &format!("You watch a <b>brass</b> compass{watchers}."),
        )
        .await;
    }
    bids(&bo, "5").await;
    says(&bo, "Your bid of 5.00 is the highest.").await;
    page_shows(&cy, "price", "5.00 by bo").await;
    bids(&cy, "7.50").await;
    says(&bo, "cy has outbid you.").await;
    page_shows(&bo, "price", "7.50 by cy").await;

    let visitor = browser.page().await;
    visitor.goto(&auction.page("/")).await;
    for page in [&ana, &bo, &cy, &visitor] {
        page_shows(page, "time", "ended").await;
    }
    for (page, name) in [(&bo, "bo"), (&cy, "cy"), (&visitor, "visitor")] {
        assert_eq!(page.problems(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_removed_bidder_is_logged_out_and_cannot_log_in_again() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    for (page, name) in [(&ana, "ana"), (&bo, "bo")] {
        page.goto(&auction.page("/")).await;
        signs_in(page, name).await;
    }
    opens(&ana, "compass", 600).await;
    for page in [&ana, &bo] {
        page.wait_for("document.querySelector('li .watch')").await;
        page.click("li .watch").await;
        page.wait_for("!document.querySelector('li .bid').hidden")
            .await;
    }
    bids(&bo, "5").await;
    page_shows(&ana, "price", "5.00 by bo").await;

    ana.click("li .remove").await;

    says(&bo, "You are logged out.").await;
    bo.wait_for("!document.querySelector('#login').hidden")
        .await;
    types_password(&bo, "bo", "bo's password").await;
    says(&bo, "This is not the password.").await;
}

#[tokio::test]
async fn a_request_to_the_auction_is_answered_under_its_id() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let ana = browser.page().await;
    ana.goto(&auction.page("/")).await;
    signs_in(&ana, "ana").await;
    opens(&ana, "compass", 600).await;
    ana.eval(
        "(() => {
             window.heard = [];
             window.bidder = new WebSocket('/');
             bidder.onmessage = ({ data }) => heard.push(JSON.parse(data));
             return new Promise((resolve) => bidder.onopen = () => resolve(0));
         })()",
    )
    .await;

    for (request, reply) in [
        (
            json!({ "type": "bid", "id": "a", "lot": 1, "cents": 0 }),
            json!({ "type": "reply", "id": "a", "error": { "too_low": { "cents": 0 } } }),
        ),
        (
            json!({ "type": "bid", "id": 7, "lot": 2, "cents": 100 }),
            json!({ "type": "reply", "id": 7, "error": "no_such_lot" }),
        ),
    ] {
        ana.eval(&format!("bidder.send(JSON.stringify({request}))"))
            .await;
        ana.wait_for_value("heard.at(-1)", &reply).await;
    }
    ana.eval("bidder.send('{\"type\":\"bid\",\"id\":8}')").await;
    ana.wait_for("heard.at(-1).id === 8").await;
    let fault = ana.eval("heard.at(-1).fault.kind").await;
    assert_eq!(fault, "malformed");
    let stranger = raw::ask(auction.port(), "POST /remove/ana", &[], "").await;
    assert!(stranger.starts_with("HTTP/1.1 401"), "{stranger}");
}

/// Signs up at the auction, and waits for the WebSocket.
async fn signs_in(page: &Page, name: &str) {
    types_password(page, name, &format!("{name}'s password")).await;
    says(page, "Watch a lot to bid.").await;
}

async fn types_password(page: &Page, name: &str, password: &str) {
    page.wait_for("!document.querySelector('#login').hidden")
        .await;
    page.type_text("[name=name]", name).await;
    page.type_text("[name=password]", password).await;
    page.click("#login button").await;
}

/// Opens a lot, as the auctioneer, and waits until the page shows it.
async fn opens(page: &Page, title: &str, seconds: u32) {
    page.type_text("[name=title]", title).await;
    page.type_text("[name=seconds]", &seconds.to_string()).await;
    page.click("#open button").await;
    page_shows(page, "title", title).await;
}

async fn bids(page: &Page, amount: &str) {
    page.type_text("li .bid input", amount).await;
    page.click("li .bid button").await;
}

/// Waits until this part of the only lot has this text.
async fn page_shows(page: &Page, part: &str, text: &str) {
    let shown = format!("document.querySelector('li .{part}')?.textContent");
    page.wait_for_value(&shown, &json!(text)).await;
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
