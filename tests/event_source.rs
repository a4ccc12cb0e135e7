//! A browser's own `EventSource`: it comes back by itself after a cut, says what it heard last, and misses nothing that is
//! still kept.

use seaway_tests::support::{Browser, Page, Proxy, Server, raw};
use serde_json::{Value, json};

#[tokio::test]
async fn an_event_source_that_is_cut_off_misses_nothing_within_the_ring_and_is_told_of_a_gap_beyond_it()
 {
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
    wire.mend();
    says(&room, 51, 52).await;
    hears(&page, &texts(1, 52)).await;

    cut(&wire, &page).await;
    says(&room, 53, 160).await;
    wire.mend();
    let gap = [texts(1, 52), vec![json!("gap")], texts(61, 160)].concat();
    hears(&page, &gap).await;
}

#[tokio::test]
async fn an_event_source_that_is_cut_off_before_it_heard_anything_is_told_of_a_gap_too() {
    let room = Server::example("transports").await;
    let wire = Proxy::before(&room).await;
    let browser = Browser::new().await;
    let page = listening(&browser, &wire).await;

    cut(&wire, &page).await;
    says(&room, 1, 101).await;
    wire.mend();

    hears(&page, &[json!("gap")]).await;
}

/// A page whose source is open, and which notes each gap.
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

/// Cuts the connection, and waits until the browser has noticed.
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

/// Says these numbers, past the wire.
async fn says(room: &Server, from: u32, to: u32) {
    for number in from..=to {
        raw::ask(room.port(), "POST /say", &[], &number.to_string()).await;
    }
}

async fn hears(page: &Page, expected: &[Value]) {
    page.wait_for_value("heard", &json!(expected)).await;
}
