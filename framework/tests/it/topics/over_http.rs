//! Topics over server-sent events and long polling.

use super::{LotEvent, lot, place, placed, recovered};
use crate::metrics::Counters;
use http::Request;
use seaway::{
    ApplicationExt, Channels, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, Json,
    Position, Rejection, Result, SseEvent, Topic, TopicEvent, testing::HttpCommunicator,
};
use serde_json::Value;
use std::time::Duration;

/// Streams a topic, or answers long polling.
struct Stream {
    lot: Topic<LotEvent>,
    since: Option<Position>,
    is_polling: bool,
}

impl HttpConsumer for Stream {
    type Event = TopicEvent<LotEvent>;

    async fn connect(handshake: &mut HttpHandshake<Self::Event>) -> Result<Self, Rejection> {
        let lot = lot(handshake.channels());
        Ok(Stream {
            since: handshake.since(&lot)?,
            is_polling: handshake.raw_query("poll").is_some(),
            lot,
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext<Self::Event>) -> Result<HttpResponse> {
        let since = self.since.take();
        if self.is_polling {
            let wait = Duration::from_secs(25);
            let events = ctx.poll_topic(&self.lot, since, wait).await?;
            let events: Vec<_> = events.iter().map(|event| &**event).collect();
            return ctx.response(Json(events));
        }
        ctx.resume(&self.lot, since).await?;
        let events = ctx.sse().await?;
        while let Some(event) = ctx.next_event().await? {
            events.send(SseEvent::topic(&event)?).await?;
        }
        Ok(events.end())
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_source_that_reconnects_resumes_by_its_last_event_id() {
    let channels = Channels::in_memory();
    let app = Stream::application(&channels).boxed();
    let lot = lot(&channels);
    let first = place(&lot, 1).await;
    let second = place(&lot, 2).await;
    let list = format!("chat.3:9:abc,lot.7:{first}");
    for id in [first.to_string(), list] {
        let request = Request::get("/").header("last-event-id", id);
        let mut stream = HttpCommunicator::open(&app, request.body("").unwrap());

        let event = stream.receive_event().await;
        assert_eq!(event.json::<Value>(), placed(&second, 2));
        assert_eq!(event.id, second.to_string());
        let end = stream.receive_event().await.json::<Value>();
        assert_eq!(end, recovered("lot.7", &second, true));
    }
    for id in ["17", "chat.3:9:abc", "99:elsewhere", "caf\u{e9}"] {
        let request = Request::get("/").header("last-event-id", id.as_bytes());
        let mut stream = HttpCommunicator::open(&app, request.body("").unwrap());

        let end = stream.receive_event().await.json::<Value>();
        assert_eq!(end, recovered("lot.7", &second, false), "{id}");
    }
}

#[tokio::test]
async fn resumes_are_counted_by_outcome() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let channels = Channels::in_memory();
    let app = Stream::application(&channels).boxed();
    let first = place(&lot(&channels), 1).await;

    for id in [first.to_string(), "99:elsewhere".to_owned()] {
        let request = Request::get("/").header("last-event-id", id);
        let mut stream = HttpCommunicator::open(&app, request.body("").unwrap());
        stream.receive_event().await;
    }

    for outcome in ["all", "gap"] {
        let count = counters.get(&format!("seaway_topic_resumes_total outcome={outcome}"));
        assert_eq!(count, 1, "{outcome}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_polling_returns_what_was_missed_or_waits_for_the_next_event() {
    let channels = Channels::in_memory();
    let app = Stream::application(&channels).boxed();
    let lot = lot(&channels);
    let open = |since: &str| {
        let path = format!("/?poll&resume={since}");
        HttpCommunicator::open(&app, Request::get(path).body("").unwrap())
    };
    let events = async |mut request: HttpCommunicator| {
        let body = request.receive().await.unwrap();
        serde_json::from_slice::<Vec<Value>>(&body).unwrap()
    };
    let first = place(&lot, 1).await;
    let at = |position: &Position| format!("lot.7:{position}");

    assert_eq!(events(open("")).await, [recovered("lot.7", &first, true)]);
    let second = place(&lot, 2).await;
    let missed = [placed(&second, 2), recovered("lot.7", &second, true)];
    assert_eq!(events(open(&at(&first))).await, missed);
    let gap = events(open("lot.7:9:elsewhere")).await;
    assert_eq!(gap, [recovered("lot.7", &second, false)]);

    let waiting = open(&at(&second));
    tokio::time::sleep(Duration::from_secs(25)).await;
    let nothing = [recovered("lot.7", &second, true)];
    assert_eq!(events(waiting).await, nothing, "it waits for 25 s");

    let waiting = open(&at(&second));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let third = place(&lot, 3).await;
    let expected = [recovered("lot.7", &second, true), placed(&third, 3)];
    assert_eq!(events(waiting).await, expected, "or until the next event");
}
