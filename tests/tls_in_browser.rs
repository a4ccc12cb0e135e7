//! Tests of TLS and HTTP/2 in a real browser.

use seaway_tests::support::{Authority, Browser, Redis, Server, Visitor, wait};

#[tokio::test]
async fn a_browser_opens_its_websocket_on_the_http_2_connection_of_the_page() {
    let redis = Redis::new().await;
    let authority = Authority::new();
    let mut chat = Server::chat_over_tls(&redis, &authority).await;
    let browser = Browser::new().await;

    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::join(&browser, &chat, "Bo").await;
    ana.says("over TLS").await;
    bo.sees(&["over TLS"]).await;

    // An upgrade over HTTP/1.1 would be a GET with 101.
    let log = chat.errors();
    let opened: Vec<_> = log
        .lines()
        .filter(|line| line.contains("responded") && line.contains("path=\"/ws/rooms/harbour\""))
        .collect();
    assert!(opened.len() >= 2, "{log}");
    for line in opened {
        assert!(line.contains("method=CONNECT"), "{line}");
        assert!(line.contains("status=200"), "{line}");
    }

    // The page closes its WebSocket when it is left.
    ana.page.leave().await;
    wait::until("the line of its end", wait::DEADLINE, async || {
        let log = chat.errors();
        let mut lines = log
            .lines()
            .filter(|line| line.contains("a WebSocket ended"));
        lines
            .any(|line| line.contains("path=\"/ws/rooms/harbour\"") && line.contains("code=1000"))
            .then_some(())
    })
    .await;
    bo.had_no_problems();
}
