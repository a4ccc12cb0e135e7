//! Tests of a browser's own `EventSource`: it reconnects by itself, sends the last event id, and
//! misses no message that is still kept.

use seaway_tests::support::{Browser, Page, Proxy, Server, raw};
use serde_json::{Value, json};

#[tokio::test]
async fn a_reconnecting_event_source_misses_nothing_within_the_ring_and_gets_a_gap_beyond_it() {
    let room = Server::example("transports").await;
    let wire = Proxy::before(&room).await;
    let browser = Browser::new().await;
    let page = listening(&browser, &wire).await;
    page.eval("source.onmessage = ({ data }) => heard.push(JSON.parse(data).text); 0")
        .await;
    says(&room, 1, 3).await;
    hears(&page, &texts(1, 3)).await;

    cut(&wire, &page).await;
    says(&room, 4, 50).await;
    wire.restore();
    says(&room, 51, 52).await;
    hears(&page, &texts(1, 52)).await;

    cut(&wire, &page).await;
    says(&room, 53, 160).await;
    wire.restore();
    let gap = [texts(1, 52), vec![json!("gap")], texts(61, 160)].concat();
    hears(&page, &gap).await;
}

#[tokio::test]
async fn an_event_source_that_disconnects_before_its_first_message_gets_a_gap_too() {
    let room = Server::example("transports").await;
    let wire = Proxy::before(&room).await;
    let browser = Browser::new().await;
    let page = listening(&browser, &wire).await;

    cut(&wire, &page).await;
    says(&room, 1, 101).await;
    wire.restore();

    hears(&page, &[json!("gap")]).await;
}

/// Opens a page with an open source, which records each gap.
async fn listening(browser: &Browser, wire: &Proxy) -> Page {
    let page = browser.page().await;
    page.goto(&wire.page("/healthz")).await;
    page.eval(
        "(() => {
             window.heard = [];
             window.source = new EventSource('/events?client=source');
             source.addEventListener('gap', () => heard.push('gap'));
             return new Promise((resolve) => source.addEventListener('hello', resolve, { once: true }));
         })()",
    )
    .await;
    page
}

/// Resets the connection, and waits until the browser has noticed.
async fn cut(wire: &Proxy, page: &Page) {
    wire.cut();
    page.wait_for("source.readyState === EventSource.CONNECTING")
        .await;
}

fn texts(from: u32, to: u32) -> Vec<Value> {
    (from..=to)
        .map(|number| json!(number.to_string()))
        .collect()
}

/// Sends these numbers directly to the server, not through the proxy.
async fn says(room: &Server, from: u32, to: u32) {
    for number in from..=to {
        raw::ask(room.port(), "POST /say", &[], &number.to_string()).await;
    }
}

async fn hears(page: &Page, expected: &[Value]) {
    page.wait_for_value("heard", &json!(expected)).await;
}
