//! Tests of both wire formats in exchange with both channel layers of channels_redis, with every
//! serializer, with and without encryption, and with a prefix.

use futures_util::future::join_all;
use seaway::{
    ChannelName, Channels, ErrorKind, Event, Group,
    channels::{
        Mailbox,
        redis::{RedisConfig, Serializer},
    },
};
use seaway_tests::support::{Python, Redis, Server, wait::DEADLINE};
use serde_json::{Value, json};
use std::{collections::HashSet, time::Duration};
use tokio::time::timeout;

const TEXT: &str = "Grüße aus Århus, 你好 ⚓ \"quoted\"\n";

#[derive(Debug, Event)]
enum Said {
    #[event("room.message")]
    Message { text: String, number: u32 },
}

/// A pair of configurations that must understand each other.
#[derive(Clone, Copy, Debug)]
struct Pair {
    is_queue: bool,
    is_json: bool,
    keys: &'static [&'static str],
    prefix: &'static str,
    has_two_hosts: bool,
    /// The redis-py of Python, if it is not the latest.
    redis_py: Option<&'static str>,
}

const PLAIN: Pair = Pair {
    is_queue: false,
    is_json: false,
    keys: &[],
    prefix: "asgi",
    has_two_hosts: false,
    redis_py: None,
};

/// What is tried with either layer.
const PAIRS: [Pair; 7] = [
    PLAIN,
    Pair {
        has_two_hosts: true,
        ..PLAIN
    },
    Pair {
        is_json: true,
        prefix: "shop",
        ..PLAIN
    },
    Pair {
        keys: &["new secret", "old secret"],
        ..PLAIN
    },
    Pair {
        is_json: true,
        keys: &["secret"],
        prefix: "myapp:",
        has_two_hosts: true,
        ..PLAIN
    },
    Pair {
        redis_py: Some("redis-7.4"),
        ..PLAIN
    },
    Pair {
        is_json: true,
        keys: &["secret"],
        has_two_hosts: true,
        redis_py: Some("redis-7.4"),
        ..PLAIN
    },
];

#[tokio::test(flavor = "multi_thread")]
async fn the_pubsub_layer_and_that_of_python_exchange_everything() {
    join_all(PAIRS.map(exchange)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_layer_and_the_core_layer_of_python_exchange_everything() {
    let pairs = PAIRS.map(|pair| Pair {
        is_queue: true,
        ..pair
    });
    join_all(pairs.map(exchange)).await;
}

#[tokio::test]
async fn python_is_refused_by_a_full_queue_and_so_is_seaway() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).channel_capacity("small.*", 2);
    let channels = Channels::redis(config).await.unwrap();
    let core = json!({ "layer": "core", "channel_capacity": { "small.*": 2 } });
    let mut python = Python::start("exchange.py", &redis, &["none", &core.to_string()]);
    let jobs = ChannelName::new("small.jobs").unwrap();

    for number in 0..2 {
        channels.send(&jobs, &said(number)).await.unwrap();
    }
    let error = channels.send(&jobs, &said(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelFull);
    python.send(&json!({ "do": "send", "channel": "small.jobs", "message": { "type": "x" } }));
    assert_eq!(python.next().await, json!({ "error": "ChannelFull" }));

    let job = take(&channels, &jobs).await;
    assert_eq!(number(&job), 0);
    channels.send(&jobs, &said(3)).await.unwrap();
}

#[tokio::test]
async fn events_with_another_key_are_skipped_and_those_of_an_older_one_are_not() {
    for is_queue in [false, true] {
        let redis = Redis::new().await;
        let pair = |keys| Pair {
            is_queue,
            keys,
            ..PLAIN
        };
        let channels = pair(&["new", "old"]).seaway(&redis).await;
        let (mut mailbox, room) = joined(&channels).await;

        for (keys, number) in [(&["other"][..], 1), (&[], 2), (&["old"], 3)] {
            let mut python = pair(keys).python(&redis);
            python.send(&group_send(number));
            // It has exited the exchange once it has answered.
            python.send(&json!({ "do": "open" }));
            python.next().await;
        }

        assert_eq!(number(&receive(&mut mailbox).await), 3, "{is_queue}");
        drop(room);
    }
}

/// A full queue drops what Python sends, and Python tells nobody.
#[tokio::test]
async fn a_process_whose_queue_was_full_notifies_its_clients() {
    /// More than the commands of a process that wait for events, and the capacity of its queue.
    const SENT: usize = 1000;
    let redis = Redis::new().await;
    let mut arena = Server::arena_with(&["--redis", &redis.url(), "--layer", "queue"]).await;
    let mut client = arena.client("/ws/room/harbour").await;
    let core = json!({ "layer": "core" }).to_string();
    let mut python = Python::start("exchange.py", &redis, &["none", &core]);

    arena.freeze();
    let event = json!({ "type": "room.message", "text": TEXT });
    for _ in 0..SENT {
        python.send(&json!({ "do": "group_send", "group": "room.harbour", "message": event }));
    }
    python.send(&json!({ "do": "open" }));
    python.next().await;
    arena.thaw();

    let mut received = 0;
    let closed = loop {
        match client.next_within(DEADLINE).await {
            Some(Ok(_)) => received += 1,
            Some(Err(code)) => break code,
            None => panic!("{received} of {SENT}, and nobody was told"),
        }
    };
    assert_eq!(closed, Some(1012), "after {received}");
}

/// Exchanges everything between Seaway and Python.
async fn exchange(pair: Pair) {
    let redis = Redis::new().await;
    let second = match pair.has_two_hosts {
        true => Some(Redis::new().await),
        false => None,
    };
    let channels = pair.seaway_on(&redis, second.as_ref()).await;
    let mut python = pair.python_on(&redis, second.as_ref());
    python.send(&json!({ "do": "open" }));
    let theirs = text(&python.next().await["opened"]);
    let (mut mailbox, room) = joined(&channels).await;
    python.send(&json!({ "do": "join", "group": "room", "channel": theirs }));
    assert_eq!(python.next().await, json!({ "joined": "room" }));

    let mut other = channels.open().await.unwrap();
    room.add(other.name()).await.unwrap();
    membership(&mut python, &mut mailbox, &mut other, &room, &theirs).await;
    drop(other);
    directly(&mut python, &channels).await;
    a_thousand_each_way(&mut python, &mut mailbox, &room).await;
    if pair.is_queue {
        jobs(&mut python, &channels).await;
    }
    println!("{pair:?}: exchanged");
}

/// The `other` mailbox stays in the room, and tells when an event has reached this process.
async fn membership(
    python: &mut Python,
    mailbox: &mut Mailbox,
    other: &mut Mailbox,
    room: &Group<Said>,
    theirs: &str,
) {
    room.send(&said(1)).await.unwrap();
    assert_eq!(python.next().await["message"], message(1));
    assert_eq!(number(&receive(mailbox).await), 1);

    python.send(&group_send(2));
    assert_eq!(python.next().await["message"], message(2));
    assert_eq!(number(&receive(mailbox).await), 2);

    python.send(&json!({ "do": "leave", "group": "room", "channel": theirs }));
    assert_eq!(python.next().await, json!({ "left": "room" }));
    room.send(&said(3)).await.unwrap();
    python.send(&json!({ "do": "join", "group": "room", "channel": theirs }));
    assert_eq!(python.next().await, json!({ "joined": "room" }));
    room.send_except(&said(4), mailbox.name()).await.unwrap();
    let fourth = python.next().await;
    assert_eq!(
        fourth["message"]["number"], 4,
        "it had left before the third"
    );
    assert_eq!(number(&receive(mailbox).await), 3);

    room.discard(mailbox.name()).await.unwrap();
    python.send(&group_send(5));
    assert_eq!(python.next().await["message"], message(5));
    while number(&receive(other).await) != 5 {}
    room.add(mailbox.name()).await.unwrap();
    python.send(&group_send(6));
    assert_eq!(python.next().await["message"], message(6));
    assert_eq!(
        number(&receive(mailbox).await),
        6,
        "it had left before the fifth"
    );
}

/// Sends a thousand events to channels of either side, to each in turn: a doubled event would take
/// the place of the next one.
async fn directly(python: &mut Python, channels: &Channels) {
    /// So many that each of two hosts has some.
    const CHANNELS: u32 = 16;
    const EACH: u32 = 1000;
    let (mut here, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..CHANNELS {
        here.push(channels.open().await.unwrap());
        python.send(&json!({ "do": "open" }));
        let opened = text(&python.next().await["opened"]);
        theirs.push(ChannelName::new(opened).unwrap());
    }
    for number in (0..EACH).step_by(CHANNELS as usize) {
        for (number, channel) in (number..).zip(&theirs) {
            channels.send(channel, &said(number)).await.unwrap();
            let expected = json!({ "channel": channel, "message": message(number) });
            assert_eq!(python.next().await, expected);
        }
        for (number, mailbox) in (number..).zip(&mut here) {
            let name = mailbox.name().as_str();
            python.send(&json!({ "do": "send", "channel": name, "message": message(number) }));
            assert_eq!(self::number(&receive(mailbox).await), number);
        }
    }
}

/// Both send at the same time; each has what both have sent, once, in order.
async fn a_thousand_each_way(python: &mut Python, mailbox: &mut Mailbox, room: &Group<Said>) {
    const EACH: u32 = 1000;
    /// Less than the capacity of Python's queue: it drops what does not fit.
    const WINDOW: u32 = 20;
    for number in 0..EACH {
        // As Python has one queue for both, its own events take half of it.
        python.send(&group_send(EACH + number));
        room.send(&said(number)).await.unwrap();
        if number % WINDOW == WINDOW - 1 {
            let (mut of_python, mut here) = (Vec::new(), Vec::new());
            for _ in 0..2 * WINDOW {
                of_python.push(python.next().await["message"]["number"].as_u64().unwrap());
                here.push(u64::from(self::number(&receive(mailbox).await)));
            }
            let first = u64::from(number + 1 - WINDOW);
            for numbers in [of_python, here] {
                for sender in [0, u64::from(EACH)] {
                    let sent: Vec<_> = (0..u64::from(WINDOW)).map(|n| sender + first + n).collect();
                    let range = sender..sender + u64::from(EACH);
                    let received = numbers.iter().copied().filter(|n| range.contains(n));
                    assert_eq!(received.collect::<Vec<_>>(), sent);
                }
            }
        }
    }
}

/// Jobs go both ways; two workers of different kinds share a channel.
async fn jobs(python: &mut Python, channels: &Channels) {
    let jobs = ChannelName::new("jobs").unwrap();
    python.send(&json!({ "do": "send", "channel": "jobs", "message": message(1) }));
    assert_eq!(number(&take(channels, &jobs).await), 1);

    python.send(&json!({ "do": "listen", "channel": "replies" }));
    let replies = ChannelName::new("replies").unwrap();
    channels.send(&replies, &said(2)).await.unwrap();
    assert_eq!(python.next().await["message"], message(2));

    const SHARED: u32 = 60;
    for number in 0..SHARED {
        channels.send(&jobs, &said(number)).await.unwrap();
    }
    python.send(&json!({ "do": "listen", "channel": "jobs" }));
    let mut taken = Vec::new();
    while taken.len() < SHARED as usize {
        let here = channels.layer().receive(&jobs, Duration::from_secs(1));
        tokio::select! {
            biased;
            job = here => taken.extend(job.unwrap().map(|job| number(&job.decode::<Said>().unwrap()))),
            theirs = python.next() => taken.push(theirs["message"]["number"].as_u64().unwrap() as u32),
        }
    }
    let distinct: HashSet<_> = taken.iter().collect();
    assert_eq!(
        distinct.len(),
        SHARED as usize,
        "each job was taken once: {taken:?}"
    );
}

impl Pair {
    async fn seaway(self, redis: &Redis) -> Channels {
        self.seaway_on(redis, None).await
    }

    async fn seaway_on(self, redis: &Redis, second: Option<&Redis>) -> Channels {
        let config = RedisConfig::new(redis.url())
            .prefix(self.prefix)
            .symmetric_encryption_keys(self.keys);
        let config = match self.is_json {
            true => config.serializer(Serializer::Json),
            false => config,
        };
        let config = match self.is_queue {
            true => config.queue(),
            false => config,
        };
        let config = second
            .into_iter()
            .fold(config, |config, redis| config.host(redis.url()));
        Channels::redis(config).await.expect("Redis is there")
    }

    fn python(self, redis: &Redis) -> Python {
        self.python_on(redis, None)
    }

    fn python_on(self, redis: &Redis, second: Option<&Redis>) -> Python {
        let layer = if self.is_queue { "core" } else { "pubsub" };
        let format = if self.is_json { "json" } else { "msgpack" };
        let mut config =
            json!({ "layer": layer, "serializer_format": format, "prefix": self.prefix });
        if let Some(second) = second {
            config["more_hosts"] = json!([second.url()]);
        }
        if !self.keys.is_empty() {
            config["symmetric_encryption_keys"] = json!(self.keys);
        }
        let config = config.to_string();
        Python::start_with("exchange.py", redis, &["none", &config], self.redis_py)
    }
}

fn said(number: u32) -> Said {
    let text = TEXT.to_owned();
    Said::Message { text, number }
}

fn message(number: u32) -> Value {
    json!({ "type": "room.message", "text": TEXT, "number": number })
}

fn group_send(number: u32) -> Value {
    json!({ "do": "group_send", "group": "room", "message": message(number) })
}

fn number(said: &Said) -> u32 {
    let Said::Message { text, number } = said;
    assert_eq!(text, TEXT);
    *number
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

async fn joined(channels: &Channels) -> (Mailbox, Group<Said>) {
    let mailbox = channels.open().await.unwrap();
    let room = channels.group("room").unwrap();
    room.add(mailbox.name()).await.unwrap();
    (mailbox, room)
}

async fn receive(mailbox: &mut Mailbox) -> Said {
    let envelope = timeout(DEADLINE, mailbox.receive()).await;
    let envelope = envelope.expect("an event").expect("nothing was missed");
    decoded(&envelope)
}

async fn take(channels: &Channels, jobs: &ChannelName) -> Said {
    let job = channels.layer().receive(jobs, DEADLINE).await;
    decoded(&job.unwrap().expect("a job"))
}

fn decoded(envelope: &seaway::channels::Envelope) -> Said {
    let said = envelope.clone().decode::<Said>().unwrap();
    let Said::Message { text, number } = &*said;
    Said::Message {
        text: text.clone(),
        number: *number,
    }
}
