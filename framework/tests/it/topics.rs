//! Tests of topics: what consumers receive over each transport, and of a layer that loses events.

use crate::metrics::Counters;
use async_trait::async_trait;
use http::Request;
use seaway::{
    ApplicationExt, ChannelName, Channels, Context, Error, ErrorKind, Event, GroupName, Handshake,
    HttpConsumer, HttpContext, HttpHandshake, Json, Missed, Position, Rejection, Reply, Result,
    Shared, SseEvent, Text, Topic, TopicEvent, WebSocketConsumer,
    channels::{
        ChannelLayer, Envelope, LocalChannels, LocalTopics, Mailbox, TopicHistory, TopicPost,
        TopicQuery,
    },
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Debug, Event)]
enum LotEvent {
    Placed { cents: u64 },
}

#[derive(Debug, Event)]
enum ChatEvent {
    Said { text: String },
}

#[derive(Debug, Event)]
enum HallEvent {
    Closing,
}

#[derive(Debug, Event)]
enum DeskEvent {
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
    #[event(include)]
    Chat(TopicEvent<ChatEvent>),
    #[event(include)]
    Hall(HallEvent),
}

/// A consumer of two topics and a group, which passes all events on.
struct Desk;

impl WebSocketConsumer for Desk {
    type Input = Text;
    type Event = DeskEvent;

    async fn connect(handshake: &mut Handshake<DeskEvent>) -> Result<Self, Rejection> {
        let lot = handshake.channels().topic::<LotEvent>("lot.7")?;
        handshake.resume(&lot, handshake.since(&lot)?).await?;
        handshake.join_as::<HallEvent>("hall").await?;
        Ok(Desk)
    }

    /// Resumes the chat, as the client says: with a place or without.
    async fn receive(&mut self, ctx: &mut Context<DeskEvent>, place: Text) -> Result<()> {
        let chat = ctx.channels().topic::<ChatEvent>("chat.3")?;
        if &*place == "leave" {
            return Ok(ctx.leave(chat.group()).await?);
        }
        Ok(ctx.resume(&chat, place.parse().ok()).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<DeskEvent>,
        event: Shared<DeskEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }

    async fn missed(&mut self, ctx: &mut Context<DeskEvent>, _: Missed) -> Result<()> {
        Ok(ctx.send("missed").await?)
    }
}

async fn open(channels: &Channels, path: &str) -> WebSocketCommunicator {
    let app = Desk::application(channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get(path));
    assert_eq!(client.status().await, 101, "{path}");
    client
}

fn lot(channels: &Channels) -> Topic<LotEvent> {
    channels.topic("lot.7").unwrap()
}

async fn place(lot: &Topic<LotEvent>, cents: u64) -> Position {
    lot.send(&LotEvent::Placed { cents }).await.unwrap()
}

fn placed(position: &Position, cents: u64) -> Value {
    json!({
        "topic": "lot.7",
        "offset": position.offset(),
        "epoch": position.epoch(),
        "event": {"type": "lot.placed", "cents": cents},
    })
}

fn recovered(topic: &str, position: &Position, all: bool) -> Value {
    json!({
        "topic": topic,
        "recovered": all,
        "offset": position.offset(),
        "epoch": position.epoch(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_consumer_receives_topics_and_groups_of_several_types() {
    let channels = Channels::in_memory();
    let (lot, chat) = (
        lot(&channels),
        channels.topic::<ChatEvent>("chat.3").unwrap(),
    );
    let first = place(&lot, 1).await;
    let second = place(&lot, 2).await;
    let said = |text: &str| ChatEvent::Said { text: text.into() };
    let before = chat.send(&said("a")).await.unwrap();
    let after = chat.send(&said("b")).await.unwrap();

    let mut client = open(&channels, &format!("/?resume=lot.7:{first}")).await;
    assert_eq!(client.receive_json::<Value>().await, placed(&second, 2));
    let end: Value = client.receive_json().await;
    assert_eq!(end, recovered("lot.7", &second, true));

    client.send(before.to_string()).await;
    let missed: Value = client.receive_json().await;
    assert_eq!(missed["event"]["text"], "b");
    let end: Value = client.receive_json().await;
    assert_eq!(end, recovered("chat.3", &after, true));

    let hall = channels.group::<HallEvent>("hall").unwrap();
    hall.send(&HallEvent::Closing).await.unwrap();
    let closing: Value = client.receive_json().await;
    assert_eq!(closing, json!({"type": "hall.closing"}));

    client.send("leave").await;
    client.receive_nothing().await;
    chat.send(&said("c")).await.unwrap();
    let third = place(&lot, 3).await;
    assert_eq!(client.receive_json::<Value>().await, placed(&third, 3));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_list_of_places_is_refused_with_the_reason() {
    let channels = Channels::in_memory();
    let app = Desk::application(&channels).boxed();
    let many: Vec<_> = (0..101).map(|topic| format!("t{topic}:1:a")).collect();
    let many = many.join(",");
    for list in [
        "lot.7",
        "lot.7:x:a",
        "lot.7:1",
        "lot.7:1:a-b",
        "a%20b:1:a",
        &many,
    ] {
        let request = Request::get(format!("/?resume={list}"));
        let mut client = WebSocketCommunicator::open(&app, request);

        assert_eq!(client.status().await, 400, "{list}");
        assert!(client.reply().await.body().contains("resume"), "{list}");
    }
    let mut client = open(&channels, "/?resume=").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);
}

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
            is_polling: handshake.scope().query("poll").is_some(),
            lot,
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext<Self::Event>) -> Result<Reply> {
        let since = self.since.take();
        if self.is_polling {
            let wait = Duration::from_secs(25);
            let events = ctx.poll_topic(&self.lot, since, wait).await?;
            let events: Vec<_> = events.iter().map(|event| &**event).collect();
            return ctx.reply(Json(events));
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
    let reply = async |mut request: HttpCommunicator| {
        let body = request.receive().await.unwrap();
        serde_json::from_slice::<Vec<Value>>(&body).unwrap()
    };
    let first = place(&lot, 1).await;
    let at = |position: &Position| format!("lot.7:{position}");

    assert_eq!(reply(open("")).await, [recovered("lot.7", &first, true)]);
    let second = place(&lot, 2).await;
    let missed = [placed(&second, 2), recovered("lot.7", &second, true)];
    assert_eq!(reply(open(&at(&first))).await, missed);
    let gap = reply(open("lot.7:9:elsewhere")).await;
    assert_eq!(gap, [recovered("lot.7", &second, false)]);

    let waiting = open(&at(&second));
    tokio::time::sleep(Duration::from_secs(25)).await;
    let nothing = [recovered("lot.7", &second, true)];
    assert_eq!(reply(waiting).await, nothing, "it waits for 25 s");

    let waiting = open(&at(&second));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let third = place(&lot, 3).await;
    let expected = [recovered("lot.7", &second, true), placed(&third, 3)];
    assert_eq!(reply(waiting).await, expected, "or until the next event");
}

/// A layer whose transport loses events, and delivers some in another order.
#[derive(Clone, Default)]
struct Lossy {
    local: LocalChannels,
    topics: LocalTopics,
    /// Has no members: topics deliver to it in place of `local`.
    nowhere: LocalChannels,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    /// What becomes of the next events.
    fates: VecDeque<Fate>,
    held: Vec<Envelope>,
    reads: usize,
    /// The number of events that were read.
    read: usize,
    /// The number of reads that fail.
    failures: usize,
}

enum Fate {
    Lost,
    /// Delivered after the next one.
    Late,
}

#[async_trait]
impl ChannelLayer for Lossy {
    fn local(&self) -> &LocalChannels {
        &self.local
    }

    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("here")
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        self.local.deliver(channel, envelope);
        Ok(())
    }

    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.join(group, channel).map(drop)
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        self.local.deliver_group(group, &envelope);
        Ok(())
    }

    async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position, Error> {
        let envelope = post.envelope().clone();
        let position = self.topics.send(&self.nowhere, topic, post);
        let envelope = envelope.at(&position);
        let mut faults = self.faults.lock().unwrap();
        match faults.fates.pop_front() {
            Some(Fate::Lost) => {}
            Some(Fate::Late) => faults.held.push(envelope),
            None => {
                self.local.deliver_group(topic, &envelope);
                for late in faults.held.drain(..) {
                    self.local.deliver_group(topic, &late);
                }
            }
        }
        Ok(position)
    }

    async fn topic_read(
        &self,
        topic: &GroupName,
        query: TopicQuery,
    ) -> Result<TopicHistory, Error> {
        let mut faults = self.faults.lock().unwrap();
        faults.reads += 1;
        if let Some(left) = faults.failures.checked_sub(1) {
            faults.failures = left;
            return Err(Error::new(ErrorKind::Layer, "the store is down"));
        }
        let history = self.topics.read(topic, &query);
        faults.read += history.events().len();
        Ok(history)
    }
}

impl Lossy {
    fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.faults.lock().unwrap().fates = fates.into_iter().collect();
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_on_an_open_connection_is_read_from_the_history() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut client = open(&channels, "/").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);
    let mut expected = VecDeque::new();
    for (fates, events) in [
        (vec![], 1),
        (vec![Fate::Lost], 2),
        (vec![Fate::Lost, Fate::Lost, Fate::Late], 5),
        (vec![Fate::Late, Fate::Late], 4),
    ] {
        layer.next(fates);
        for _ in 0..events {
            let position = place(&lot, 1).await;
            expected.push_back(placed(&position, 1));
        }
    }

    for event in expected {
        assert_eq!(
            client.receive_json::<Value>().await,
            event,
            "each once, in order"
        );
    }
    client.receive_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_in_an_interruption_is_read_without_a_further_event() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut client = open(&channels, "/").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);

    layer.next([Fate::Lost]);
    let position = place(&lot, 1).await;
    layer.local.interrupted(Duration::from_secs(2));

    assert_eq!(client.receive_text().await, "missed");
    assert_eq!(client.receive_json::<Value>().await, placed(&position, 1));
    client.receive_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_gap_is_reported_in_order() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut client = open(&channels, "/").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);
    let first = place(&lot, 1).await;

    layer.next([Fate::Lost]);
    layer.faults.lock().unwrap().failures = 1;
    place(&lot, 2).await;
    let third = place(&lot, 3).await;
    let fourth = place(&lot, 4).await;

    assert_eq!(client.receive_json::<Value>().await, placed(&first, 1));
    let gap: Value = client.receive_json().await;
    assert_eq!(gap, recovered("lot.7", &first, false));
    assert_eq!(client.receive_json::<Value>().await, placed(&third, 3));
    assert_eq!(client.receive_json::<Value>().await, placed(&fourth, 4));
}

#[tokio::test(start_paused = true)]
async fn events_that_were_read_are_not_received_again_after_a_reading_that_fails() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut listener = lot.listen(None).await.unwrap();
    listener.next().await.unwrap();
    let interrupt = || layer.local.interrupted(Duration::from_secs(2));
    // Two interruptions, between events that wait.
    interrupt();
    place(&lot, 1).await;
    interrupt();
    place(&lot, 2).await;
    place(&lot, 3).await;

    listener.next().await.unwrap_err();
    for offset in 1..=3 {
        let read = listener.next().await.unwrap();
        assert_eq!(read.position().offset(), offset);
    }
    // The history is read from the layer again.
    interrupt();
    layer.faults.lock().unwrap().failures = 1;
    listener.next().await.unwrap_err();
    let gap = listener.next().await.unwrap();
    assert!(matches!(&*gap, TopicEvent::Recovered { all: false, .. }));
    assert_eq!(gap.position().offset(), 3);

    listener.next().await.unwrap_err();
    let next = place(&lot, 4).await;
    assert_eq!(listener.next().await.unwrap().position(), &next);
}

#[tokio::test(start_paused = true)]
async fn clients_that_come_back_at_once_are_one_read() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let first = place(&lot, 0).await;
    for cents in 1..=20 {
        place(&lot, cents).await;
    }
    let channel = channels.open().await.unwrap();
    lot.group().add(channel.name()).await.unwrap();

    let resumes = (0..1_000).map(|_| lot.listen(Some(first.clone())));
    let mut listeners = futures_util::future::try_join_all(resumes).await.unwrap();
    let last = place(&lot, 21).await;

    assert_eq!(layer.faults.lock().unwrap().reads, 1);
    for listener in &mut listeners {
        for _ in 0..21 {
            listener.next().await.unwrap();
        }
        assert_eq!(listener.next().await.unwrap().position(), &last);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_with_unknown_positions_do_not_have_the_topic_read_again() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let first = place(&lot, 0).await;
    for cents in 1..=20 {
        place(&lot, cents).await;
    }
    let _member = lot.listen(None).await.unwrap();
    let _resumed = lot.listen(Some(first.clone())).await.unwrap();
    let events_read = || layer.faults.lock().unwrap().read;
    assert_eq!(events_read(), 21);

    for unknown in ["5:bad".to_owned(), format!("999:{}", first.epoch())] {
        let unknown: Position = unknown.parse().unwrap();
        for _ in 0..3 {
            // Later than the last query.
            tokio::time::advance(Duration::from_secs(1)).await;
            let before = layer.faults.lock().unwrap().reads;
            let all = (0..10).map(|_| lot.listen(Some(unknown.clone())));
            let listeners = futures_util::future::try_join_all(all).await.unwrap();

            for mut listener in listeners {
                let gap = listener.next().await.unwrap();
                assert!(matches!(&*gap, TopicEvent::Recovered { all: false, .. }));
                assert_eq!(gap.position().offset(), 21);
            }
            let reads = layer.faults.lock().unwrap().reads - before;
            assert_eq!(reads, 1, "{unknown}: one for all that ask at once");
        }
        let before = layer.faults.lock().unwrap().reads;
        let mut honest = lot.listen(Some(first.clone())).await.unwrap();
        assert_eq!(honest.next().await.unwrap().position().offset(), 2);
        assert_eq!(layer.faults.lock().unwrap().reads, before, "{unknown}");
    }
    assert_eq!(events_read(), 21, "only positions");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_or_is_dropped_lets_others_read() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    place(&lot, 1).await;
    layer.faults.lock().unwrap().failures = 1;

    let (one, two) = tokio::join!(lot.listen(None), lot.listen(None));

    assert_eq!(one.unwrap_err().kind(), ErrorKind::Layer);
    drop(two.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_fails_leaves_the_membership_as_it_was() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mailbox = channels.open().await.unwrap();

    for is_member in [false, true] {
        if is_member {
            lot.group().add(mailbox.name()).await.unwrap();
        }
        layer.faults.lock().unwrap().failures = 1;
        lot.resume(mailbox.name(), None).await.unwrap_err();

        assert_eq!(layer.local.members(lot.name()), usize::from(is_member));
    }
}

/// A layer that stores no topics.
struct Plain(LocalChannels);

#[async_trait]
impl ChannelLayer for Plain {
    fn local(&self) -> &LocalChannels {
        &self.0
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.0.open("here")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.0.join(group, channel).map(drop)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.0.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        self.0.deliver_group(group, &envelope);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_without_topics_says_what_to_implement() {
    let channels = Channels::new(Plain(LocalChannels::default()));
    let lot = lot(&channels);

    let sent = lot.send(&LotEvent::Placed { cents: 1 }).await.unwrap_err();
    let resumed = lot.listen(None).await.unwrap_err();

    for error in [sent, resumed] {
        assert_eq!(error.kind(), ErrorKind::Layer);
        assert!(error.to_string().contains("topic_read"), "{error}");
    }
    let app = Desk::application(&channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 503);
}
