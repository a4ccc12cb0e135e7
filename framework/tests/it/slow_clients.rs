//! Tests of clients that read slowly or not at all: each policy, over real connections.

use crate::{
    metrics::Counters,
    support::{
        Client, PATIENCE, Recorder, Server, connect, connect_with_little_room, echo, eventually,
        next_text,
    },
};
use futures_util::{SinkExt, StreamExt};
use seaway::{
    ApplicationExt, Channels, Close, Context, Event, Group, Handshake, Rejection, Result, Shared,
    WebSocketConsumer,
    middleware::Provide,
    protocol::{Sender, Sent, SlowClient, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{interval, timeout};
use tokio_tungstenite::tungstenite::Message;

#[derive(Event)]
enum FeedEvent {
    Price { number: u32, padding: String },
}

/// A member of the group `feed`, which sends the events to its client.
struct Feed {
    _group: Group<FeedEvent>,
    recorder: Recorder,
    senders: Senders,
    handled: Handled,
}

/// The number of events that the members have handled.
type Handled = Arc<AtomicU32>;

/// The senders of all clients, in the order in which they connected.
type Senders = Arc<Mutex<Vec<Sender>>>;

impl WebSocketConsumer for Feed {
    type Input = String;
    type Event = FeedEvent;

    async fn connect(handshake: &mut Handshake<FeedEvent>) -> Result<Self, Rejection> {
        Ok(Self {
            _group: handshake.join("feed").await?,
            recorder: handshake.state::<Recorder>()?.clone(),
            senders: handshake.state::<Senders>()?.clone(),
            handled: handshake.state::<Handled>()?.clone(),
        })
    }

    async fn opened(&mut self, ctx: &mut Context<FeedEvent>) -> Result<()> {
        self.senders.lock().unwrap().push(ctx.sender());
        Ok(())
    }

    async fn receive(&mut self, _: &mut Context<FeedEvent>, _: String) -> Result<()> {
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<FeedEvent>,
        event: Shared<FeedEvent>,
    ) -> Result<()> {
        let sent = ctx.send(event.json()?).await;
        self.handled.fetch_add(1, Relaxed);
        Ok(sent?)
    }

    async fn disconnect(self, close: Close) {
        self.recorder
            .record(format!("{} {}", close.code, close.reason()));
    }
}

/// A server with one client that does not read, and one that does.
struct Room {
    _server: Server,
    channels: Channels,
    recorder: Recorder,
    senders: Senders,
    handled: Handled,
    stalled: Client,
    reading: Client,
}

/// How many events are sent: 8 MB, more than the sockets hold.
const EVENTS: u32 = 2000;

impl Room {
    async fn open(config: WebSocketConfig) -> Self {
        let (channels, recorder, senders) = (
            Channels::in_memory(),
            Recorder::default(),
            Senders::default(),
        );
        let handled = Handled::default();
        let feed = Feed::application(&channels)
            .with(Provide(recorder.clone()))
            .with(Provide(senders.clone()))
            .with(Provide(handled.clone()))
            .with(config);
        let router = PathRouter::new().route("/", feed);
        let server = Server::start(ProtocolTypeRouter::new().websocket(router)).await;
        let stalled = connect_with_little_room(server.address).await;
        let has = |count| (senders.lock().unwrap().len() == count).then_some(());
        eventually(|| has(1)).await;
        let reading = connect(server.address, "/").await;
        eventually(|| has(2)).await;
        Self {
            _server: server,
            channels,
            recorder,
            senders,
            handled,
            stalled,
            reading,
        }
    }

    /// Sends all events, and asserts that the client that reads receives each of them, in order.
    async fn send_events(&mut self) {
        let group = self.channels.group("feed").unwrap();
        let padding = "x".repeat(4000);
        for number in 0..EVENTS {
            let event = FeedEvent::Price {
                number,
                padding: padding.clone(),
            };
            group.send(&event).await.unwrap();
            assert_eq!(number_of(&next_text(&mut self.reading).await), number);
        }
    }

    /// Returns how many messages to the client that does not read were dropped, once both members
    /// have handled all events.
    async fn dropped(&self) -> u64 {
        eventually(|| (self.handled.load(Relaxed) == 2 * EVENTS).then_some(())).await;
        self.senders.lock().unwrap()[0].dropped()
    }

    /// Reads what was queued for the client that did not read; returns the numbers of the events.
    async fn read_stalled(&mut self, until: impl Fn(&[u32]) -> bool) -> Vec<u32> {
        let mut numbers = Vec::new();
        while !until(&numbers) {
            match timeout(PATIENCE, self.stalled.next()).await.unwrap() {
                Some(Ok(Message::Text(text))) => numbers.push(number_of(&text)),
                other => panic!("{other:?} after {} events", numbers.len()),
            }
        }
        numbers
    }
}

/// Returns the counters of dropped messages, by reason, that are not 0.
fn drops(counters: &Counters) -> Vec<(&'static str, u64)> {
    let reasons = [
        "oldest",
        "newest",
        "volatile",
        "replaced",
        "closed",
        "disconnected",
    ];
    let count = |reason| {
        counters.get(&format!(
            "seaway_websocket_messages_dropped_total reason={reason}"
        ))
    };
    let counts = reasons.map(|reason| (reason, count(reason)));
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn number_of(text: &str) -> u32 {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    value["number"].as_u64().unwrap() as u32
}

#[tokio::test]
async fn the_oldest_messages_of_a_client_that_does_not_read_are_dropped() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let config = WebSocketConfig::new().slow_client(SlowClient::DropOldest);
    let mut room = Room::open(config).await;

    room.send_events().await;

    let dropped = room.dropped().await;
    assert_eq!(drops(&counters), [("oldest", dropped)]);
    let last = |numbers: &[u32]| numbers.last() == Some(&(EVENTS - 1));
    let numbers = room.read_stalled(last).await;
    assert_eq!(numbers.len() as u64 + dropped, u64::from(EVENTS));
    assert!(dropped > 0 && numbers.is_sorted());
}

#[tokio::test]
async fn the_newest_messages_for_a_client_that_does_not_read_are_dropped() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let config = WebSocketConfig::new().slow_client(SlowClient::DropNewest);
    let mut room = Room::open(config).await;

    room.send_events().await;

    let dropped = room.dropped().await;
    assert_eq!(drops(&counters), [("newest", dropped)]);
    let kept = (u64::from(EVENTS) - dropped) as usize;
    let numbers = room.read_stalled(|numbers| numbers.len() == kept).await;
    assert!(kept < EVENTS as usize);
    assert_eq!(numbers, (0..kept as u32).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    for policy in [
        SlowClient::Close,
        SlowClient::Wait(Duration::from_millis(50)),
    ] {
        let counters = Counters::default();
        let _counting = metrics::set_default_local_recorder(&counters);
        let config = WebSocketConfig::new()
            .slow_client(policy)
            .close_timeout(Duration::from_millis(100));
        let mut room = Room::open(config).await;

        room.send_events().await;

        let closed = room.recorder.wait_for(1).await;
        assert_eq!(closed, ["1013 the client reads too slowly"], "{policy:?}");
        let sender = room.senders.lock().unwrap()[0].clone();
        assert!(sender.send("too late").await.is_err());
        let drops = drops(&counters);
        assert!(matches!(drops[..], [("closed", 1..)]), "{drops:?}");
        assert_eq!(sender.dropped(), 0, "none at the bounds");
    }
}

#[tokio::test]
async fn only_the_newest_of_a_key_waits_and_volatile_messages_give_way() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let config = WebSocketConfig::new().send_messages(2);
    let room = Room::open(config).await;
    let sender = room.senders.lock().unwrap()[0].clone();
    // Fill the sockets, until the queue is full and a newer volatile message replaces an older one.
    let filler = "x".repeat(20_000);
    loop {
        assert_eq!(sender.send_volatile(filler.clone()).unwrap(), Sent::Queued);
        if sender.dropped() > 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    while sender.send_latest("price", "1").unwrap() != Sent::Replaced {}
    let before = sender.dropped();

    assert_eq!(sender.send_latest("price", "2").unwrap(), Sent::Replaced);
    // The filler, which is volatile too, gives way.
    assert_eq!(sender.send_volatile("cursor").unwrap(), Sent::Queued);

    assert_eq!(sender.dropped() - before, 2);
    let drops = drops(&counters);
    let [("volatile", volatile), ("replaced", replaced)] = drops[..] else {
        panic!("{drops:?}");
    };
    assert_eq!(volatile + replaced, sender.dropped());
}

#[tokio::test]
async fn messages_that_are_queued_when_their_client_leaves_are_counted() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let room = Room::open(WebSocketConfig::new().send_messages(2)).await;
    let sender = room.senders.lock().unwrap()[0].clone();
    let filler = "x".repeat(20_000);
    // The kernel may accept some after the first that it did not.
    let (mut replaced, mut in_a_row) = (0, 0);
    while in_a_row < 20 {
        let is_replaced = sender.send_latest("filler", filler.clone()).unwrap() == Sent::Replaced;
        replaced += u64::from(is_replaced);
        in_a_row = if is_replaced { in_a_row + 1 } else { 0 };
        tokio::task::yield_now().await;
    }

    drop(room.stalled);
    room.recorder.wait_for(1).await;

    let expected = [("replaced", replaced), ("disconnected", 1)];
    assert_eq!(drops(&counters), expected);
    assert_eq!(sender.dropped(), replaced, "at the bounds");
}

/// Sends its client as many messages as it asks for.
struct Burst;

impl WebSocketConsumer for Burst {
    type Input = String;
    type Event = FeedEvent;

    async fn connect(handshake: &mut Handshake<FeedEvent>) -> Result<Self, Rejection> {
        handshake.join("feed").await?;
        Ok(Self)
    }

    async fn receive(&mut self, ctx: &mut Context<FeedEvent>, count: String) -> Result<()> {
        for number in 0..count.parse()? {
            ctx.send(format!("{number:0100}")).await?;
        }
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<FeedEvent>,
        event: Shared<FeedEvent>,
    ) -> Result<()> {
        let FeedEvent::Price { number, .. } = &*event;
        _ = ctx.send_volatile(format!("{number:0100}"))?;
        Ok(())
    }
}

/// All messages of a burst are queued before the connection's task is idle.
#[tokio::test]
async fn no_policy_concerns_a_client_that_reads_although_a_burst_is_larger_than_the_queue() {
    for policy in [
        SlowClient::Close,
        SlowClient::DropOldest,
        SlowClient::DropNewest,
        SlowClient::Wait(PATIENCE),
    ] {
        for config in [
            WebSocketConfig::new().send_messages(16),
            WebSocketConfig::new().send_buffer(2048),
        ] {
            let channels = Channels::in_memory();
            let burst = Burst::application(&channels).with(config.slow_client(policy));
            let router = PathRouter::new().route("/", burst);
            let server = Server::start(ProtocolTypeRouter::new().websocket(router)).await;
            let mut client = connect(server.address, "/").await;

            client.send(Message::text("300")).await.unwrap();
            for number in 0..300 {
                assert_eq!(next_text(&mut client).await, format!("{number:0100}"));
            }
            let feed = channels.group::<FeedEvent>("feed").unwrap();
            for number in 0..300 {
                let padding = String::new();
                feed.send(&FeedEvent::Price { number, padding })
                    .await
                    .unwrap();
            }
            for number in 0..300 {
                assert_eq!(next_text(&mut client).await, format!("{number:0100}"));
            }
        }
    }
}

/// The connection's task has nothing to do meanwhile: the client reads nothing, and nothing is due.
#[tokio::test]
async fn a_client_that_another_task_closes_while_it_does_not_read_is_disconnected() {
    for policy in [
        SlowClient::Close,
        SlowClient::Wait(Duration::from_millis(50)),
    ] {
        let config = WebSocketConfig::new()
            .slow_client(policy)
            .no_heartbeat()
            .close_timeout(Duration::from_millis(100));
        let room = Room::open(config).await;
        let sender = room.senders.lock().unwrap()[0].clone();

        while sender.send("x".repeat(4000)).await.is_ok() {
            tokio::task::yield_now().await;
        }

        let closed = room.recorder.wait_for(1).await;
        assert_eq!(closed, ["1013 the client reads too slowly"], "{policy:?}");
    }
}

/// Sends faster than it reads; returns the code with which it was closed.
async fn slow_reader(client: Client) -> u16 {
    let (mut sending, mut receiving) = client.split();
    let flood = tokio::spawn(async move {
        let mut pause = interval(Duration::from_millis(2));
        while sending.send(Message::text("x".repeat(3000))).await.is_ok() {
            pause.tick().await;
        }
    });
    let mut pause = interval(Duration::from_millis(4));
    let reading = async {
        loop {
            pause.tick().await;
            match receiving.next().await {
                Some(Ok(Message::Close(close))) => return close.unwrap().code.into(),
                Some(Ok(_)) => {}
                end => panic!("no close: {end:?}"),
            }
        }
    };
    let code = timeout(PATIENCE, reading).await.expect("a close");
    flood.abort();
    code
}

#[tokio::test]
async fn a_client_that_still_sends_at_the_maximum_age_receives_the_close() {
    let limits = WebSocketConfig::new().max_age(Duration::from_millis(300));
    let app = ProtocolTypeRouter::new().websocket(echo().with(limits));
    let server = Server::start(app).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(tokio::spawn(slow_reader(
            connect(server.address, "/").await,
        )));
    }

    for client in clients {
        assert_eq!(client.await.unwrap(), Close::AWAY);
    }
}
