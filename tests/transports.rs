//! Tests of the transports example, in a real browser and beside it.

use seaway_tests::support::{
    Browser, Page, Server,
    page::{DESKTOP, PHONE, Screen},
    raw,
    wait::DEADLINE,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

/// A phone in landscape orientation.
const LYING_PHONE: Screen = (740, 360, true);

const PANES: [&str; 4] = ["poll", "wait", "sse", "ws"];

#[tokio::test]
async fn every_transport_receives_each_message_once_and_both_sides_count_the_same() {
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
    for (screen, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
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
async fn where_websockets_are_blocked_the_client_falls_back_to_events_and_posts() {
    let room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&room.page("/fallback")).await;
    let transport = "document.querySelector('#client').dataset.transport";
    let texts = "[...document.querySelectorAll('#log > li .text')].map((text) => text.textContent)";

    let mut sent = Vec::new();
    for (text, over) in [("one", "websocket"), ("two", "sse"), ("three", "websocket")] {
        page.wait_for_value(transport, &json!(over)).await;
        page.type_text("#composer", text).await;
        page.click("#send").await;
        sent.push(text);
        page.wait_for_value(texts, &json!(sent)).await;
        page.screenshot(&format!("transports-over-{over}")).await;
        page.click("#block").await;
    }
    page.eval("dispatchEvent(new Event('pagehide'))").await;
    say(&page, 1, 150).await;
    page.eval("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        .await;
    page.wait_for("!document.querySelector('#gap').hidden")
        .await;
    page.wait_for_value(&format!("{texts}.at(-1)"), &json!("150"))
        .await;

    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_pane_catches_up_within_the_ring_and_shows_a_gap_beyond_it() {
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
        page.wait_for_value(&last_of(pane), &json!("130")).await;
        // Of the 125 messages sent meanwhile, the last 100 are kept.
        let words = format!("document.querySelector('[data-transport={pane}] .gap').textContent");
        page.wait_for_value(&words, &json!("Some messages are gone: 25 of them."))
            .await;
    }
}

#[tokio::test]
async fn all_panes_reconnect_to_a_killed_server_and_show_that_it_has_restarted() {
    let mut room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&room.page("/")).await;
    for pane in PANES {
        is(&page, pane, "live").await;
    }
    say(&page, 1, 3).await;
    for pane in PANES {
        hears(&page, pane, &["1", "2", "3"]).await;
        agrees(&page, pane).await;
    }
    // Two panes notice the restart only when it is over, and by then the server has more messages
    // than before.
    for pane in ["poll", "ws"] {
        page.click(&format!("[data-transport={pane}] .pause")).await;
        is(&page, pane, "paused").await;
    }

    room.kill();
    for pane in ["wait", "sse"] {
        is(&page, pane, "lost").await;
    }
    room.start().await;
    for number in 4..=8 {
        raw::ask(room.port(), "POST /say", &[], &number.to_string()).await;
    }
    for pane in ["poll", "ws"] {
        page.click(&format!("[data-transport={pane}] .pause")).await;
    }

    let all = ["1", "2", "3", "4", "5", "6", "7", "8"];
    for pane in PANES {
        is(&page, pane, "live").await;
        hears(&page, pane, &all).await;
        let counted = format!(
            "Number(document.querySelector('[data-transport={pane}] .messages').dataset.value)"
        );
        page.wait_for_value(&counted, &json!(all.len())).await;
        let after_gap = format!(
            "document.querySelectorAll('[data-transport={pane}] .log > .after-gap').length"
        );
        assert_eq!(page.eval(&after_gap).await, 1, "{pane}");
        let notice = format!(
            "(({{ hidden, textContent }}) => !hidden && textContent)
                 (document.querySelector('[data-transport={pane}] .gap'))"
        );
        let words = "The server has restarted; some messages may be gone.";
        page.wait_for_value(&notice, &json!(words)).await;
    }

    // The notice disappears after some messages of the new server.
    say(&page, 9, 18).await;
    for pane in PANES {
        page.wait_for_value(&last_of(pane), &json!("18")).await;
        let gap = format!("document.querySelector('[data-transport={pane}] .gap').hidden");
        page.wait_for(&gap).await;
    }
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_log_follows_the_newest_message_on_a_resize_unless_the_reader_has_scrolled_up() {
    let room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.show_on(LYING_PHONE, "light").await;
    page.goto(&room.page("/")).await;
    for number in 1..=30 {
        let text = format!("some words that take two lines or more on a narrow screen {number}");
        raw::ask(room.port(), "POST /say", &[], &text).await;
    }
    for pane in PANES {
        let count =
            format!("document.querySelectorAll('[data-transport={pane}] .log > li').length");
        page.wait_for_value(&count, &json!(30)).await;
    }
    let sse = "document.querySelector('[data-transport=sse] .log')";
    page.eval(&format!("{sse}.scrollTop = 0")).await;
    page.is_drawn().await;

    for screen in [PHONE, LYING_PHONE, PHONE] {
        page.show_on(screen, "light").await;
        page.wait_for(&format!("innerWidth === {}", screen.0)).await;
        // Two sizes within one frame are none to the page.
        page.is_drawn().await;

        for pane in ["poll", "wait", "ws"] {
            let rest = format!(
                "(({{ scrollHeight, scrollTop, clientHeight }}) => scrollHeight - scrollTop - clientHeight < 2)
                     (document.querySelector('[data-transport={pane}] .log'))"
            );
            page.wait_for(&rest).await;
        }
        assert_eq!(page.eval(&format!("{sse}.scrollTop < 50")).await, true);
    }
}

#[tokio::test]
async fn the_controls_are_as_wide_as_the_panes() {
    let room = Server::example("transports").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&room.page("/")).await;

    for width in [1_280, 1_600] {
        page.show_on((width, 900, false), "light").await;
        page.wait_for(&format!("innerWidth === {width}")).await;

        let [controls, panes] = ["controls", "panes"].map(|part| {
            format!("document.querySelector('#{part} > :last-child').getBoundingClientRect().right")
        });
        let apart = format!("Math.abs({controls} - {panes}) < 1");
        assert_eq!(page.eval(&apart).await, true, "{width}");
    }
}

#[tokio::test]
async fn streams_and_websockets_receive_all_in_order_with_concurrent_senders() {
    const SPEAKERS: usize = 32;
    const EACH: usize = 20;
    let room = Server::example("transports").await;
    let port = room.port();
    let mut stream = EventStream::open(port, "client=stream").await;
    let mut socket = room.client("/ws?client=socket&since=0").await;
    let ids_of_stream = tokio::spawn(async move { stream.ids(SPEAKERS * EACH).await });
    let ids_of_socket = tokio::spawn(async move {
        let mut ids = Vec::new();
        while ids.len() < SPEAKERS * EACH {
            ids.push(socket.json("message").await["id"].as_u64());
        }
        ids
    });

    let mut speakers = JoinSet::new();
    for _ in 0..SPEAKERS {
        speakers.spawn(async move {
            for _ in 0..EACH {
                raw::ask(port, "POST /say", &[], "ahoy").await;
            }
        });
    }

    speakers.join_all().await;
    let ids = ids_of_stream.await.unwrap();
    let is_next = |pair: &[u64]| pair[1] == pair[0] + 1;
    assert!(ids.windows(2).all(is_next), "{ids:?}");
    let ids: Vec<_> = ids.into_iter().map(Some).collect();
    assert_eq!(ids_of_socket.await.unwrap(), ids);
}

#[tokio::test]
async fn a_slow_reader_of_a_stream_gets_the_gap() {
    const SAID: usize = 5_000;
    let room = Server::example("transports").await;
    let mut stream = EventStream::open(room.port(), "client=slow").await;

    say_at_once(room.port(), &"🚢".repeat(500), SAID).await;
    // Whatever the reader has missed, it receives the last message.
    raw::ask(room.port(), "POST /say", &[], "the end").await;

    let mut heard = Vec::new();
    let mut is_after_gap = false;
    while heard.last().is_none_or(|(_, text)| text != "the end") {
        let event = stream.next().await;
        match event.name.as_str() {
            "gap" => is_after_gap = true,
            "message" => {
                let id = event.data["id"].as_u64().expect("an id");
                if let Some((last, _)) = heard.last() {
                    assert_eq!(is_after_gap, id != last + 1, "from {last} to {id}");
                }
                is_after_gap = false;
                heard.push((id, event.data["text"].as_str().expect("a text").to_owned()));
            }
            _ => {}
        }
    }
    assert!(heard.len() < SAID, "the reader was not slow enough");
}

#[tokio::test]
async fn every_transport_rejects_a_client_id_that_is_too_long() {
    let room = Server::example("transports").await;
    let query = format!("client={}&since=0", "x".repeat(33));

    for path in ["poll", "wait", "events", "stats"] {
        let answer = raw::ask(room.port(), &format!("GET /{path}?{query}"), &[], "").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    let mut client = room.raw_client().await;
    assert_eq!(client.upgrade(&format!("/ws?{query}"), "").await, 400);
}

#[tokio::test]
async fn a_message_on_a_websocket_is_published_or_rejected_with_a_reason() {
    let room = Server::example("transports").await;
    let mut socket = room.client("/ws?client=a&since=0").await;

    for text in ["   ", &"x".repeat(501)] {
        socket.send(text).await;
        let reason = socket.json("refused").await["reason"].take();
        assert_eq!(reason, "a message has 1 to 500 characters");
    }
    socket.send("ahoy").await;
    assert_eq!(socket.json("message").await["text"], "ahoy");
}

/// An event stream of the room, with a small receive buffer.
struct EventStream(Lines<BufReader<TcpStream>>);

struct HeardEvent {
    name: String,
    data: Value,
}

impl EventStream {
    async fn open(port: u16, query: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let server = ([127, 0, 0, 1], port).into();
        let mut connection = socket.connect(server).await.expect("the server listens");
        // HTTP/1.0 has no chunked coding: the body is the lines themselves.
        let request = format!("GET /events?{query} HTTP/1.0\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self(BufReader::new(connection).lines());
        while !stream.line().await.is_empty() {}
        assert_eq!(stream.next().await.name, "hello");
        stream
    }

    /// Returns the ids of the next messages.
    async fn ids(&mut self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            ids.extend(self.next().await.data["id"].as_u64());
        }
        ids
    }

    /// Returns the next event, whose data is JSON; skips comments.
    async fn next(&mut self) -> HeardEvent {
        let event = timeout(DEADLINE, async {
            let (mut name, mut data) = (String::new(), Value::Null);
            loop {
                let line = self.line().await;
                match line.split_once(": ") {
                    Some(("event", value)) => name = value.to_owned(),
                    Some(("data", value)) => data = serde_json::from_str(value).expect("JSON"),
                    None if line.is_empty() && !data.is_null() => return HeardEvent { name, data },
                    _ => {}
                }
            }
        });
        event.await.expect("an event in time")
    }

    async fn line(&mut self) -> String {
        let line = self.0.next_line().await.expect("a text");
        line.expect("a stream that goes on")
    }
}

/// Sends the same message many times, on one connection and without waiting for responses.
async fn say_at_once(port: u16, text: &str, times: usize) {
    let connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (mut answers, mut requests) = connection.into_split();
    let request = |end: &str| {
        let length = text.len();
        format!("POST /say HTTP/1.1\r\nHost: room\r\nContent-Length: {length}\r\n{end}\r\n{text}")
    };
    let all = request("").repeat(times - 1) + &request("Connection: close\r\n");
    let asking = tokio::spawn(async move {
        requests.write_all(all.as_bytes()).await.unwrap();
    });
    let hearing = timeout(
        DEADLINE,
        tokio::io::copy(&mut answers, &mut tokio::io::sink()),
    )
    .await;
    hearing.expect("all answers in time").unwrap();
    asking.await.unwrap();
}

/// Sends these numbers, one after the other.
async fn say(page: &Page, from: u32, to: u32) {
    let script = format!(
        "(async () => {{ for (let number = {from}; number <= {to}; number++)
             await fetch('/say', {{ method: 'POST', body: String(number) }}); }})()"
    );
    page.eval(&script).await;
}

fn last_of(pane: &str) -> String {
    format!(
        "document.querySelector('[data-transport={pane}] .log > li:last-child .text')?.textContent"
    )
}

async fn is(page: &Page, pane: &str, state: &str) {
    let shown = format!("document.querySelector('[data-transport={pane}]').dataset.state");
    page.wait_for_value(&shown, &json!(state)).await;
}

/// Waits until a pane shows exactly these messages, in this order.
async fn hears(page: &Page, pane: &str, texts: &[&str]) {
    let shown = format!(
        "[...document.querySelectorAll('[data-transport={pane}] .log > li .text')]
             .map((text) => text.textContent)"
    );
    page.wait_for_value(&shown, &json!(texts)).await;
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
