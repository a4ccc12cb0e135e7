//! Tests of topics over whole programs: places over WebSockets, and what a Redis with an older copy
//! of its data means.

use seaway::{Channels, Event, TopicEvent, channels::redis::RedisConfig};
use seaway_tests::support::{
    Client, Redis, ReplyProxy, Server,
    position::{Seen, path, place},
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::TcpStream,
    time::timeout,
};

/// The events of the arena's topics.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl Event for Said {}

async fn seen(client: &mut Client) -> Seen {
    Seen::read(&client.text().await)
}

#[tokio::test]
async fn a_client_that_reconnects_to_another_process_receives_the_missed_events() {
    let redis = Redis::new().await;
    let url = redis.url();
    let arguments = ["--redis", &url, "--history", "5"];
    let (one, two) = (
        Server::arena_with(&arguments).await,
        Server::arena_with(&arguments).await,
    );
    let mut publisher = one.client(&path("lot", None)).await;
    let mut places = Vec::new();
    for number in 1..=8 {
        publisher.send(&number.to_string()).await;
        let Seen::Event(place, text) = seen(&mut publisher).await else {
            panic!("a client that asks for no past is told of none");
        };
        assert_eq!(text, number.to_string());
        places.push(place);
    }
    let last = places[7].clone();
    let event = |number: usize| Seen::Event(places[number - 1].clone(), number.to_string());

    for (since, events, all) in [
        (places[7].clone(), 9..9, true),
        (places[5].clone(), 7..9, true),
        (places[2].clone(), 4..9, true),
        (places[1].clone(), 0..0, false),
        (place(last.offset + 1, &last.epoch), 0..0, false),
        (place(last.offset, "elsewhere"), 0..0, false),
        (place(last.offset, "no-epoch!"), 0..0, false),
    ] {
        let mut client = two.client(&path("lot", Some(&since))).await;
        for number in events {
            assert_eq!(seen(&mut client).await, event(number), "since {since:?}");
        }
        let end = seen(&mut client).await;
        assert_eq!(end, Seen::Recovered(last.clone(), all), "since {since:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_suspended_while_redis_restarted_reads_what_was_published_meanwhile() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let mut arena = Server::arena_with(&["--redis", &redis.url()]).await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let topic = channels.topic::<Said>("topic.lot").unwrap();
    let mut client = arena.client(&path("lot", None)).await;
    client.send("before").await;
    let before = seen(&mut client).await;
    assert!(matches!(&before, Seen::Event(_, text) if text == "before"));

    arena.freeze();
    for _ in 0..2 {
        redis.stop();
        redis.start().await;
        // Published after the first restart, and stored before the second.
        let event = Said {
            text: "meanwhile".to_owned(),
        };
        while topic.send_once("meanwhile", &event).await.is_err() {}
    }
    arena.thaw();

    let next = timeout(DEADLINE, seen(&mut client)).await;
    let next = next.expect("it does not wait for another event");
    assert!(
        matches!(&next, Seen::Event(_, text) if text == "meanwhile"),
        "{next:?}"
    );
}

#[tokio::test]
async fn a_topic_whose_keys_another_program_has_damaged_begins_again_and_tells_of_the_gap() {
    for harm in [
        "redis.call('HSET', KEYS[1], 'e', string.char(255, 254))",
        "redis.call('HSET', KEYS[1], 'e', string.rep('a', 33))",
        "redis.call('HSET', KEYS[1], 'o', '9223372036854775807')",
        "redis.call('HSET', KEYS[1], 'o', 'many')",
        "redis.call('HDEL', KEYS[1], 'o')",
        "redis.call('HDEL', KEYS[1], 't')",
    ] {
        let redis = Redis::new().await;
        let arena = Server::arena_with(&["--redis", &redis.url()]).await;
        let mut client = arena.client(&path("lot", None)).await;
        client.send("before").await;
        let Seen::Event(before, _) = seen(&mut client).await else {
            panic!("it is an event");
        };

        redis
            .does(&["EVAL", harm, "1", "asgi:topic:topic.lot:position"])
            .await;
        client.send("after").await;

        let mut next = seen(&mut client).await;
        if !harm.contains("'t'") {
            let Seen::Recovered(place, false) = next else {
                panic!("{harm}: {next:?}");
            };
            assert_ne!(place.epoch, before.epoch, "{harm}");
            client.send("later").await;
            next = seen(&mut client).await;
        }
        let Seen::Event(place, _) = next else {
            panic!("{harm}: {next:?}");
        };
        assert_eq!(place.offset, 2, "{harm}");
    }
}

#[tokio::test]
async fn members_receive_a_gap_if_another_program_has_lowered_the_number_of_a_topic() {
    for layer in ["pubsub", "queue"] {
        let redis = Redis::new().await;
        let arguments = ["--redis", &redis.url(), "--layer", layer];
        let arena = Server::arena_with(&arguments).await;
        let mut publisher = arena.client(&path("lot", None)).await;
        let mut member = arena.client(&path("lot", None)).await;
        let mut places = Vec::new();
        for number in 1..=10 {
            publisher.send(&number.to_string()).await;
            let Seen::Event(place, _) = seen(&mut publisher).await else {
                panic!("{layer}: it is an event");
            };
            assert!(matches!(seen(&mut member).await, Seen::Event(..)));
            places.push(place);
        }

        redis
            .does(&["HSET", "asgi:topic:topic.lot:position", "o", "2"])
            .await;
        publisher.send("its number was given before").await;

        for client in [&mut publisher, &mut member] {
            let next = seen(client).await;
            let Seen::Recovered(place, false) = next else {
                panic!("{layer}: {next:?}");
            };
            assert_ne!(place.epoch, places[0].epoch, "{layer}");
        }
        publisher.send("later").await;
        for client in [&mut publisher, &mut member] {
            let Seen::Event(place, text) = seen(client).await else {
                panic!("{layer}: it is an event");
            };
            assert_eq!((place.offset, text.as_str()), (1, "later"), "{layer}");
        }
        let mut again = arena.client(&path("lot", Some(&places[1]))).await;
        assert!(
            matches!(seen(&mut again).await, Seen::Recovered(_, false)),
            "{layer}: nothing of the lost epoch"
        );
    }
}

#[tokio::test]
async fn a_topic_whose_last_stream_id_another_program_has_used_stores_further_events() {
    let redis = Redis::new().await;
    let arena = Server::arena_with(&["--redis", &redis.url()]).await;
    let mut client = arena.client(&path("lot", None)).await;
    client.send("before").await;
    let Seen::Event(before, _) = seen(&mut client).await else {
        panic!("it is an event");
    };

    let last_id = format!("{0}-{0}", u64::MAX);
    redis
        .does(&["XADD", "asgi:topic:topic.lot", &last_id, "e", "foreign"])
        .await;

    for (offset, text) in [(2, "after"), (3, "later")] {
        client.send(text).await;
        let event = Seen::Event(place(offset, &before.epoch), text.to_owned());
        assert_eq!(seen(&mut client).await, event);
    }
    let other = Server::arena_with(&["--redis", &redis.url()]).await;
    let mut again = other.client(&path("lot", Some(&before))).await;
    for (offset, text) in [(2, "after"), (3, "later")] {
        let event = Seen::Event(place(offset, &before.epoch), text.to_owned());
        assert_eq!(seen(&mut again).await, event);
    }
}

#[tokio::test]
async fn a_stream_to_which_another_program_has_added_an_id_of_the_future_expires() {
    let redis = Redis::new().await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let lot = channels.topic::<Said>("lot").unwrap();
    let event = Said {
        text: "event".to_owned(),
    };
    lot.send(&event).await.unwrap();

    redis
        .does(&["XADD", "asgi:topic:lot", "5000000000000-0", "e", "foreign"])
        .await;
    for _ in 0..2 {
        redis.does(&["PERSIST", "asgi:topic:lot"]).await;
        lot.send(&event).await.unwrap();

        let expiry = redis.does(&["PTTL", "asgi:topic:lot"]).await;
        assert_ne!(expiry, ":-1\r\n", "it would never be deleted");
    }
}

#[tokio::test]
async fn the_position_of_a_topic_is_stored_for_longer_than_its_events_whatever_their_age() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let redis = Redis::new().await;
    let channels = Channels::redis(RedisConfig::new(redis.url()))
        .await
        .unwrap();
    for days in [1, 30, 365] {
        let lot = channels.topic(format!("lot.{days}")).unwrap();
        let text = "hello".to_owned();
        let lot = lot.history_age(DAY * days);
        lot.send(&Said { text }).await.unwrap();

        let expiry = async |key: &str| {
            let key = format!("asgi:topic:lot.{days}{key}");
            let expiry = redis.does(&["PTTL", &key]).await;
            let expiry = expiry.trim().trim_start_matches(':').parse().unwrap();
            Duration::from_millis(expiry)
        };
        let (events, position) = (expiry("").await, expiry(":position").await);
        assert!(position > events + DAY / 2, "{days} days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_data_is_another_epoch() {
    for has_file in [false, true] {
        let mut redis = Redis::with(&["--save", "3600 1"]).await;
        let channels = Channels::redis(redis.url()).await.unwrap();
        let lot = channels.topic::<Said>("lot").unwrap();
        let said = |text: &str| Said {
            text: text.to_owned(),
        };
        let old = lot.send(&said("saved")).await.unwrap();
        redis.does(&["SAVE"]).await;
        let lost = lot.send(&said("lost")).await.unwrap();

        redis.stop();
        redis.start().await;
        if has_file {
            redis.does(&["CONFIG", "SET", "appendonly", "yes"]).await;
        }
        let new = lot.send(&said("new")).await.unwrap();

        assert_ne!(new.epoch(), old.epoch(), "not even the numbers are certain");
        for since in [old, lost] {
            let mut listener = lot.listen(Some(since)).await.unwrap();
            let next = timeout(DEADLINE, listener.next()).await.expect("in time");
            let end = next.expect("no notice");
            assert!(
                matches!(&*end, seaway::TopicEvent::Recovered { all: false, .. }),
                "{end:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_and_a_read_wait_for_a_redis_that_loads_its_data() {
    let options = [
        &["--appendonly", "yes", "--appendfsync", "always"][..],
        &["--key-load-delay", "200"],
        &["--loading-process-events-interval-bytes", "1024"],
    ];
    let mut redis = Redis::with(&options.concat()).await;
    let fill = "for number = 1, 15000 do redis.call('SET', number, string.rep('x', 50)) end";
    redis.does(&["EVAL", fill, "0"]).await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let topic = channels.topic::<Said>("topic.lot").unwrap();
    let event = Said {
        text: "event".to_owned(),
    };
    let first = topic.send(&event).await.unwrap();

    redis.stop();
    let port = redis.port();
    let loading = async {
        until_loading(port).await;
        let (sent, history) = join!(topic.send(&event), topic.listen(Some(first.clone())));
        let (sent, mut history) = (sent.unwrap(), history.unwrap());
        assert_eq!(sent.epoch(), first.epoch());
        let received = async {
            loop {
                match &*history.next().await.expect("nothing was missed") {
                    TopicEvent::Event { position, .. } => return position.clone(),
                    TopicEvent::Recovered { all, .. } => assert!(all, "a false gap"),
                }
            }
        };
        assert_eq!(timeout(DEADLINE, received).await, Ok(sent));
    };
    join!(redis.start(), loading);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_is_not_sent_again_to_a_queue_although_redis_first_refused_the_attempt() {
    let redis = Redis::with(&["--busy-reply-threshold", "1"]).await;
    let proxy = ReplyProxy::before(&redis).await;
    let config = RedisConfig::new(redis.url_through(proxy.port())).queue();
    let channels = Channels::redis(config).await.unwrap();
    let lot = channels.topic::<Said>("lot").unwrap();
    let mut mailbox = channels.open().await.unwrap();
    lot.group().add(mailbox.name()).await.unwrap();
    let said = |text: &str| Said {
        text: text.to_owned(),
    };
    let first = lot.send_once("bid", &said("first")).await.unwrap();

    let again = said("again");
    let sending = async { lot.send_once("bid", &again).await.unwrap() };
    let busy = async {
        // The second attempt follows the refusal of the first one.
        proxy.next("asgi:topic:lot").await;
        proxy.next("asgi:topic:lot").await;
        redis.does(&["SCRIPT", "KILL"]).await;
    };
    let endless = redis.ask(&["EVAL", "while true do end", "0"]);
    let refused = async {
        redis.until_busy().await;
        join!(sending, busy).0
    };
    let (_, second) = join!(endless, refused);
    lot.send(&said("last")).await.unwrap();

    assert_eq!(second, first);
    for expected in ["first", "last"] {
        let envelope = timeout(DEADLINE, mailbox.receive()).await;
        let envelope = envelope.expect("in time").expect("nothing missed");
        assert_eq!(envelope.decode::<Said>().unwrap().text, expected);
    }
}

#[tokio::test]
async fn a_topic_is_resumed_after_a_restart_of_a_redis_that_is_out_of_memory() {
    let mut redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let topic = channels.topic::<Said>("topic.lot").unwrap();
    let event = Said {
        text: "event".to_owned(),
    };
    let first = topic.send(&event).await.unwrap();
    let second = topic.send(&event).await.unwrap();

    redis.stop();
    redis.start().await;
    redis.does(&["CONFIG", "SET", "maxmemory", "1"]).await;

    for _ in 0..2 {
        let mut events = topic.listen(Some(first.clone())).await.unwrap();
        let missed = events.next().await.unwrap();
        assert!(matches!(&*missed, TopicEvent::Event { position, .. } if *position == second));
        let end = events.next().await.unwrap();
        assert!(matches!(&*end, TopicEvent::Recovered { all: true, .. }));
    }
    topic.send(&event).await.unwrap_err();
    redis.does(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let third = topic.send(&event).await.unwrap();
    assert_eq!((third.offset(), third.epoch()), (3, first.epoch()));
}

/// Waits until the Redis at this port loads its data.
async fn until_loading(port: u16) {
    until("a Redis that loads its data", DEADLINE, async || {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let command = b"INFO persistence\r\nQUIT\r\n";
        socket.write_all(command).await.ok()?;
        let mut text = String::new();
        socket.read_to_string(&mut text).await.ok()?;
        text.contains("\r\nloading:1\r\n").then_some(())
    })
    .await;
}
