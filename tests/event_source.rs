//! A browser's own `EventSource`: it comes back by itself, says what it heard last, and misses nothing.

use std::time::Duration;

use seaway::{
    Answer, Channels, HttpConsumer, HttpContext, HttpHandshake, NoEvent, Reject, Result, SseEvent,
    from_service,
    protocol::Http,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use seaway_tests::support::Browser;
use serde_json::json;

/// As many events as there are.
const LAST: u32 = 9;

/// Tells two events of a row, and hangs up.
struct Few {
    heard: u32,
}

impl HttpConsumer for Few {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Reject> {
        let heard = handshake.last_event_id().and_then(|id| id.parse().ok());
        Ok(Self {
            heard: heard.unwrap_or(0),
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Answer> {
        let events = ctx.sse().await?;
        events
            .send(SseEvent::new().retry(Duration::from_millis(20)))
            .await?;
        for number in (self.heard + 1..=LAST).take(2) {
            let event = SseEvent::text(number.to_string()).id(number.to_string());
            events.send(event).await?;
        }
        Ok(events.end())
    }
}

#[tokio::test]
async fn an_event_source_that_is_hung_up_on_comes_back_and_misses_nothing() {
    let page = axum::Router::new().route("/", axum::routing::get(async || "a page"));
    let pages = PathRouter::<Http>::new()
        .route("/", from_service(page))
        .route("/events", Few::application(&Channels::in_memory()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { serve(listener, ProtocolTypeRouter::new().http(pages)).await });
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&format!("http://{address}/")).await;

    page.eval(
        "(() => {
             window.heard = [];
             const source = new EventSource('/events');
             source.onmessage = ({ data }) => heard.push(Number(data));
         })()",
    )
    .await;

    let all: Vec<u32> = (1..=LAST).collect();
    page.wait_for_value("heard", &json!(all)).await;
}
