//! Tests of `#[topic("…")]`: the topic is resumed from the position that the client names.

use super::stage;
use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Event, Group, HttpConsumer, Includes, Position, Result,
    Topic, TopicEvent, WebSocketConsumer, consumer,
    routing::PathRouter,
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Event)]
enum LotEvent {
    Placed { cents: u64 },
}

#[derive(Debug, Event)]
enum HallEvent {
    Closing,
}

/// A consumer of one topic, which remembers a number of events that the client sets.
#[derive(WebSocketConsumer)]
struct Bidder {
    #[topic("lot.{room}", history_size = size, history_age = HOUR)]
    lot: Topic<LotEvent>,
    #[query]
    size: usize,
}

#[consumer(forward)]
impl Bidder {
    #[on_message("bid")]
    async fn bid(&mut self, cents: u64) -> Result<()> {
        self.lot.send(&LotEvent::Placed { cents }).await?;
        assert!(self.size > 0);
        Ok(())
    }
}

fn placed(position: &Position, cents: u64) -> Value {
    json!({
        "topic": "lot.7",
        "offset": position.offset(),
        "epoch": position.epoch(),
        "event": {"type": "lot.placed", "cents": cents},
    })
}

fn recovered(position: &Position, all: bool) -> Value {
    json!({
        "topic": "lot.7",
        "recovered": all,
        "offset": position.offset(),
        "epoch": position.epoch(),
    })
}

fn position(message: &Value) -> Position {
    let epoch = message["epoch"].as_str().unwrap();
    Position::new(message["offset"].as_u64().unwrap(), epoch).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_resumed_from_the_position_that_the_client_names() {
    let app = stage::<Bidder>();
    let open = |query: &str| {
        let path = format!("/ws/7?size=2{query}");
        WebSocketCommunicator::open(&app, Request::get(path))
    };
    let mut ana = open("");
    let start: Value = ana.receive_json().await;
    assert_eq!(
        (&start["offset"], &start["recovered"]),
        (&json!(0), &json!(true))
    );
    let mut at = vec![position(&start)];
    for cents in 1..=3 {
        ana.send_json(&json!({"type": "bid", "cents": cents})).await;
        let event: Value = ana.receive_json().await;
        at.push(position(&event));
        assert_eq!(event, placed(&at[at.len() - 1], cents));
    }

    let mut within = open(&format!("&resume=chat.1:9:abc,lot.7:{}", at[1]));
    for expected in [
        placed(&at[2], 2),
        placed(&at[3], 3),
        recovered(&at[3], true),
    ] {
        assert_eq!(within.receive_json::<Value>().await, expected);
    }
    let mut beyond = open(&format!("&resume=lot.7:{}", at[0]));
    assert_eq!(
        beyond.receive_json::<Value>().await,
        recovered(&at[3], false)
    );

    assert_eq!(open("&resume=lot.7").status().await, 400);
}

#[derive(Debug, Event)]
enum DeskEvent {
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
    #[event(include)]
    Hall(HallEvent),
}

/// A consumer of a topic and a group.
#[derive(WebSocketConsumer)]
#[consumer(event = DeskEvent)]
struct Desk {
    #[group("hall")]
    hall: Group<HallEvent>,
    #[topic("lot.7")]
    lot: Topic<LotEvent>,
}

#[consumer(event = DeskEvent, forward)]
impl Desk {
    async fn receive(&mut self, cents: String) -> Result<()> {
        self.lot
            .send(&LotEvent::Placed {
                cents: cents.parse()?,
            })
            .await?;
        Ok(self.hall.send(&HallEvent::Closing).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_may_be_beside_a_group_of_other_events() {
    let app = stage::<Desk>();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/ws/hall"));
    assert_eq!(ana.receive_json::<Value>().await["recovered"], true);

    ana.send("5").await;

    assert_eq!(ana.receive_json::<Value>().await["event"]["cents"], 5);
    assert_eq!(ana.receive_json::<Value>().await["type"], "hall.closing");
}

/// A consumer with a method for the events of its topic.
#[derive(WebSocketConsumer)]
#[consumer(event = DeskEvent)]
struct Teller {
    #[topic("lot.7")]
    lot: Topic<LotEvent>,
}

#[consumer(event = DeskEvent)]
impl Teller {
    async fn receive(&mut self, cents: String) -> Result<()> {
        let cents = cents.parse()?;
        self.lot.send(&LotEvent::Placed { cents }).await?;
        Ok(())
    }

    #[on(Lot)]
    async fn lot(
        &mut self,
        ctx: &mut Context<DeskEvent>,
        event: &TopicEvent<LotEvent>,
    ) -> Result<()> {
        if let TopicEvent::Event { event, .. } = event {
            let LotEvent::Placed { cents } = event;
            ctx.send(format!("{cents} cents")).await?;
        }
        Ok(())
    }

    #[on(Hall)]
    fn hall(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn an_on_method_may_take_the_events_of_an_included_topic() {
    let app = stage::<Teller>();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/ws/hall"));
    assert_eq!(ana.status().await, 101);

    ana.send("5").await;

    assert_eq!(ana.receive_text().await, "5 cents");
}

#[derive(Debug, Event)]
enum ChatEvent {
    Said { text: String },
}

#[derive(Debug, Event)]
enum TwoTopicsEvent {
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
    #[event(include)]
    Chat(TopicEvent<ChatEvent>),
}

/// A consumer of two topics with different events.
#[derive(WebSocketConsumer)]
#[consumer(event = TwoTopicsEvent)]
struct TwoTopics {
    #[topic("lot.7")]
    _lot: Topic<LotEvent>,
    #[topic("chat.3")]
    _chat: Topic<ChatEvent>,
}

#[consumer(event = TwoTopicsEvent)]
impl TwoTopics {
    #[on(Lot)]
    async fn lot(
        &mut self,
        ctx: &mut Context<TwoTopicsEvent>,
        event: &TopicEvent<LotEvent>,
    ) -> Result<()> {
        Ok(ctx.send(format!("lot: {}", event.topic())).await?)
    }

    #[on(Chat)]
    async fn chat(
        &mut self,
        ctx: &mut Context<TwoTopicsEvent>,
        event: &TopicEvent<ChatEvent>,
    ) -> Result<()> {
        Ok(ctx.send(format!("chat: {}", event.topic())).await?)
    }
}

#[tokio::test(start_paused = true)]
async fn the_gap_of_a_topic_reaches_the_method_for_its_events() {
    let app = stage::<TwoTopics>();
    let path = "/ws/7?resume=lot.7:5:elsewhere,chat.3:5:elsewhere";
    let mut ana = WebSocketCommunicator::open(&app, Request::get(path));

    assert_eq!(ana.receive_text().await, "lot: lot.7");
    assert_eq!(ana.receive_text().await, "chat: chat.3");
}

/// A stream of a topic.
#[derive(HttpConsumer)]
struct Feed {
    #[topic("lot.{lot}")]
    _lot: Topic<LotEvent>,
}

#[consumer(sse, forward)]
impl Feed {}

#[tokio::test(start_paused = true)]
async fn a_forwarded_stream_has_positions_as_ids_and_resumes_by_the_last_one() {
    let channels = Channels::in_memory();
    let app = PathRouter::new()
        .route("/{lot}", Feed::application(&channels))
        .boxed();
    let lot: Topic<LotEvent> = channels.topic("lot.7").unwrap();
    let first = lot.send(&LotEvent::Placed { cents: 1 }).await.unwrap();
    let open =
        |request: http::request::Builder| HttpCommunicator::open(&app, request.body("").unwrap());
    let mut stream = open(Request::get("/7"));
    let start = stream.receive_event().await;
    assert_eq!(start.json::<Value>(), recovered(&first, true));

    let second = lot.send(&LotEvent::Placed { cents: 2 }).await.unwrap();
    let event = stream.receive_event().await;
    assert_eq!(
        (&event.id, event.json::<Value>()),
        (&second.to_string(), placed(&second, 2))
    );

    let mut again = open(Request::get("/7").header("last-event-id", &start.id));
    assert_eq!(
        again.receive_event().await.json::<Value>(),
        placed(&second, 2)
    );
    assert_eq!(
        again.receive_event().await.json::<Value>(),
        recovered(&second, true)
    );
}

/// A stream of a topic and a group.
#[derive(HttpConsumer)]
#[consumer(event = DeskEvent)]
struct DeskFeed {
    #[topic("lot.7")]
    _lot: Topic<LotEvent>,
    #[group("hall")]
    _hall: Group<HallEvent>,
}

#[consumer(sse, forward, event = DeskEvent)]
impl DeskFeed {}

#[tokio::test(start_paused = true)]
async fn a_forwarded_stream_of_a_topic_and_a_group_has_positions_as_ids_too() {
    let channels = Channels::in_memory();
    let app = DeskFeed::application(&channels).boxed();
    let lot: Topic<LotEvent> = channels.topic("lot.7").unwrap();
    let hall: Group<HallEvent> = channels.group("hall").unwrap();
    let open =
        |request: http::request::Builder| HttpCommunicator::open(&app, request.body("").unwrap());
    let mut stream = open(Request::get("/"));
    let start = stream.receive_event().await;

    let first = lot.send(&LotEvent::Placed { cents: 1 }).await.unwrap();
    assert_eq!(stream.receive_event().await.id, first.to_string());
    hall.send(&HallEvent::Closing).await.unwrap();
    let closing = stream.receive_event().await;
    assert_eq!(closing.json::<Value>()["type"], "hall.closing");

    let mut again = open(Request::get("/").header("last-event-id", &start.id));
    let missed = again.receive_event().await;
    assert_eq!(missed.json::<Value>(), placed(&first, 1));
}

/// A narrower view of a lot.
#[derive(Event)]
#[event(prefix = "lot")]
enum PlacedEvent {
    Placed {},
}

/// Written by hand; it decodes the events of lots as another type.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ByHand {
    Lot(TopicEvent<PlacedEvent>),
}

impl Event for ByHand {
    fn topic_position(&self) -> Option<&Position> {
        let Self::Lot(event) = self;
        event.topic_position()
    }
}

impl Includes<TopicEvent<LotEvent>> for ByHand {}

#[derive(HttpConsumer)]
#[consumer(event = ByHand)]
struct ViewFeed {
    #[topic("lot.7")]
    _lot: Topic<LotEvent>,
}

#[consumer(sse, forward, event = ByHand)]
impl ViewFeed {}

#[tokio::test(start_paused = true)]
async fn an_event_type_that_is_written_by_hand_includes_a_topic_as_another_type() {
    let channels = Channels::in_memory();
    let app = ViewFeed::application(&channels).boxed();
    let mut stream = HttpCommunicator::open(&app, Request::get("/").body("").unwrap());

    let start = stream.receive_event().await;
    let at: Position = start.id.parse().unwrap();
    assert_eq!(start.json::<Value>(), recovered(&at, true));

    let lot: Topic<LotEvent> = channels.topic("lot.7").unwrap();
    let first = lot.send(&LotEvent::Placed { cents: 1 }).await.unwrap();
    assert_eq!(stream.receive_event().await.id, first.to_string());
}
