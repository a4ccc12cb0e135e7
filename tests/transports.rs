//! The transports example in a real browser: one room by four ways, and what each has cost.

use seaway_tests::support::{
    Browser, Page, Server,
    page::{DESK, PHONE},
};
use serde_json::{Value, json};

const PANES: [&str; 4] = ["poll", "wait", "sse", "ws"];

#[tokio::test]
async fn what_is_said_is_heard_once_by_each_way_and_both_sides_count_alike() {
    let room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&room.page("/")).await;
    for pane in PANES {
        is(&page, pane, "live").await;
    }

    for text in ["one", "<b>two</b>", "three"] {
        page.type_text("#composer", text).await;
        page.click("#send").await;
    }

    for pane in PANES {
        hears(&page, pane, &["one", "<b>two</b>", "three"]).await;
        agrees(&page, pane).await;
    }
    for (screen, name) in [(DESK, "desk"), (PHONE, "phone")] {
        for colours in ["light", "dark"] {
            page.show_on(screen, colours).await;
            page.wait_for(&format!("innerWidth === {}", screen.0)).await;
            page.screenshot(&format!("transports-{name}-{colours}"))
                .await;
        }
    }
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pane_that_was_away_catches_up_within_the_ring_and_is_told_of_a_gap_beyond_it() {
    let room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&room.page("/")).await;
    for pane in PANES {
        is(&page, pane, "live").await;
        page.click(&format!("[data-transport={pane}] .pause")).await;
        is(&page, pane, "paused").await;
    }

    say(&page, 1, 5).await;
    for pane in PANES {
        page.click(&format!("[data-transport={pane}] .pause")).await;
        hears(&page, pane, &["1", "2", "3", "4", "5"]).await;
        let gap = format!("document.querySelector('[data-transport={pane}] .gap').hidden");
        assert_eq!(page.eval(&gap).await, true, "{pane}");
        page.click(&format!("[data-transport={pane}] .pause")).await;
        is(&page, pane, "paused").await;
    }

    say(&page, 6, 130).await;
    for pane in PANES {
        page.click(&format!("[data-transport={pane}] .pause")).await;
        let gap = format!("!document.querySelector('[data-transport={pane}] .gap').hidden");
        page.wait_for(&gap).await;
        let last =
            format!("document.querySelector('[data-transport={pane}] .log > [data-id=\"130\"]')");
        page.wait_for(&last).await;
    }
}

/// Says these numbers, one after the other.
async fn say(page: &Page, from: u32, to: u32) {
    let script = format!(
        "(async () => {{ for (let number = {from}; number <= {to}; number++)
             await fetch('/say', {{ method: 'POST', body: String(number) }}); }})()"
    );
    page.eval(&script).await;
}

async fn is(page: &Page, pane: &str, state: &str) {
    let shown = format!("document.querySelector('[data-transport={pane}]').dataset.state");
    page.wait_for_value(&shown, &json!(state)).await;
}

/// Waits until a pane shows exactly these messages, in whatever order it shows them.
async fn hears(page: &Page, pane: &str, texts: &[&str]) {
    let shown = format!(
        "[...document.querySelectorAll('[data-transport={pane}] .log > li')]
             .sort((one, other) => one.dataset.id - other.dataset.id)
             .map((item) => item.textContent)
             .filter((text, place) => text.includes({texts}[place])).length",
        texts = json!(texts),
    );
    page.wait_for_value(&shown, &json!(texts.len())).await;
    let count = format!("document.querySelectorAll('[data-transport={pane}] .log > li').length");
    assert_eq!(page.eval(&count).await, texts.len());
}

/// Waits until the page and the server have counted the same.
async fn agrees(page: &Page, pane: &str) {
    let script = format!(
        "(async () => {{
             const pane = document.querySelector('[data-transport={pane}]');
             const answer = await fetch(`/stats?client=${{pane.dataset.client}}`);
             const stats = await answer.json();
             const shown = (name) => Number(pane.querySelector(`.${{name}}`).dataset.value);
             return ['messages', 'payload', 'heads', 'requests']
                 .map((name) => [name, shown(name), stats[name]])
                 .filter(([, ours, theirs]) => ours !== theirs);
         }})()"
    );
    page.wait_for_value(&script, &Value::Array(Vec::new()))
        .await;
}
