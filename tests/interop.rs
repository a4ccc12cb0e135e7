//! Tests of interoperation with Django Channels' pub/sub layer on one Redis.

use seaway::{Channels, Group, channels::Mailbox};
use seaway_tests::support::{Python, Redis, Server, wait::DEADLINE};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;

const TEXT: &str = "Grüße aus Århus, 你好 ⚓";

#[tokio::test]
async fn events_of_python_reach_a_seaway_consumer() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 1).await;

    let mut python = Python::start("group_send.py", &redis, &["room.harbour"]);
    python.send(&json!({ "type": "room.message", "text": TEXT }));

    assert_eq!(client.text().await, TEXT);
}

#[tokio::test]
async fn events_of_a_seaway_group_reach_a_python_channel() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut python = Python::start("group_listen.py", &redis, &["room.harbour"]);
    assert_eq!(python.next().await, json!({ "listening": "room.harbour" }));
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 2).await;

    client.send(TEXT).await;

    assert_eq!(
        python.next().await,
        json!({ "type": "room.message", "text": TEXT })
    );
    assert_eq!(client.text().await, TEXT);
}

#[tokio::test]
async fn a_channels_consumer_and_a_seaway_consumer_share_a_room() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut python = Python::start("consumer.py", &redis, &["room.harbour"]);
    assert_eq!(python.next().await, json!({ "connected": true }));
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 2).await;

    client.send(TEXT).await;
    assert_eq!(python.next().await, json!({ "received": TEXT }));
    assert_eq!(client.text().await, TEXT);

    python.send(&json!({ "send": "and back" }));
    assert_eq!(python.next().await, json!({ "received": "and back" }));
    assert_eq!(client.text().await, "and back");
}

#[tokio::test]
async fn an_unknown_event_of_python_is_skipped() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 1).await;

    let mut python = Python::start("group_send.py", &redis, &["room.harbour"]);
    for event in [
        json!({ "type": "room.unheard_of", "text": "?" }),
        json!({ "type": "room.message" }),
        json!({ "type": "room.message", "text": 7 }),
        json!({ "no type": "at all" }),
        json!({ "type": "room.message", "text": "known", "and": ["more", { "than": null }] }),
    ] {
        python.send(&event);
    }

    assert_eq!(client.text().await, "known");
    client.echoes("still served").await;
}

#[tokio::test]
async fn an_event_of_seaway_to_all_but_one_reaches_all_other_members_and_all_of_python() {
    let redis = Redis::new().await;
    let mut python = Python::start("group_listen.py", &redis, &["room.harbour"]);
    assert_eq!(python.next().await, json!({ "listening": "room.harbour" }));
    let (mut ana, mut bo, mut cy) = crew(&redis).await;

    let but_ana = ana.mailbox.name().clone();
    let event = Said::new("not for Ana");
    ana.room.send_except(&event, &but_ana).await.unwrap();
    ana.room.send(&Said::new("for all")).await.unwrap();

    assert_eq!(
        python.next().await,
        json!({ "type": "room.message", "text": "not for Ana", "__seaway_except__": but_ana.as_str() })
    );
    assert_eq!(
        python.next().await,
        json!({ "type": "room.message", "text": "for all" })
    );
    for member in [&mut bo, &mut cy] {
        assert_eq!(member.next().await, "not for Ana");
        assert_eq!(member.next().await, "for all");
    }
    assert_eq!(ana.next().await, "for all");
}

#[tokio::test]
async fn a_channels_consumer_receives_an_event_of_seaway_to_all_but_one() {
    let redis = Redis::new().await;
    let mut python = Python::start("consumer.py", &redis, &["room.harbour"]);
    assert_eq!(python.next().await, json!({ "connected": true }));
    let (mut ana, mut bo, _) = crew(&redis).await;

    let but_ana = ana.mailbox.name().clone();
    let event = Said::new(TEXT);
    ana.room.send_except(&event, &but_ana).await.unwrap();

    assert_eq!(python.next().await, json!({ "received": TEXT }));
    assert_eq!(bo.next().await, TEXT);
    python.send(&json!({ "send": "and back" }));
    assert_eq!(python.next().await, json!({ "received": "and back" }));
    assert_eq!(ana.next().await, "and back");
}

#[tokio::test]
async fn an_event_of_python_to_all_but_one_reaches_all_other_members_with_any_key_order() {
    let redis = Redis::new().await;
    let (mut ana, mut bo, mut cy) = crew(&redis).await;
    let but_bo = bo.mailbox.name().clone();

    let mut python = Python::start("group_send.py", &redis, &["room.harbour"]);
    // Python preserves the order of keys.
    for event in [
        format!(r#"{{"__seaway_except__": "{but_bo}", "type": "room.message", "text": "first"}}"#),
        format!(r#"{{"type": "room.message", "text": "last", "__seaway_except__": "{but_bo}"}}"#),
        r#"{"type": "room.message", "text": "for all"}"#.to_owned(),
    ] {
        python.tell_line(&event);
    }

    for member in [&mut ana, &mut cy] {
        assert_eq!(member.next().await, "first");
        assert_eq!(member.next().await, "last");
        assert_eq!(member.next().await, "for all");
    }
    assert_eq!(bo.next().await, "for all");
}

#[tokio::test]
async fn concurrent_events_of_python_and_seaway_are_ordered_per_sender() {
    const EACH: usize = 200;
    let redis = Redis::new().await;
    let mut listener = Python::start("group_listen.py", &redis, &["room.harbour"]);
    assert_eq!(
        listener.next().await,
        json!({ "listening": "room.harbour" })
    );
    let (ana, mut bo, mut cy) = crew(&redis).await;
    let mut sender = Python::start("group_send.py", &redis, &["room.harbour"]);

    let but_cy = cy.mailbox.name().clone();
    for number in 0..EACH {
        sender.send(&json!({ "type": "room.message", "text": format!("python {number}") }));
        let event = Said::new(&format!("seaway {number}"));
        let sent = match number % 2 {
            0 => ana.room.send(&event).await,
            _ => ana.room.send_except(&event, &but_cy).await,
        };
        sent.unwrap();
    }

    let (mut bos, mut cys, mut pythons) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2 * EACH {
        bos.push(bo.next().await);
        pythons.push(listener.next().await["text"].as_str().unwrap().to_owned());
    }
    for _ in 0..EACH + EACH / 2 {
        cys.push(cy.next().await);
    }
    let numbers = |heard: &[String], who: &str| -> Vec<usize> {
        let of_whom = heard.iter().filter_map(|text| text.strip_prefix(who));
        of_whom
            .map(|number| number.trim().parse().unwrap())
            .collect()
    };
    let all: Vec<_> = (0..EACH).collect();
    for heard in [&bos, &pythons] {
        assert_eq!(numbers(heard, "python"), all);
        assert_eq!(numbers(heard, "seaway"), all);
    }
    assert_eq!(numbers(&cys, "python"), all);
    let even: Vec<_> = (0..EACH).step_by(2).collect();
    assert_eq!(numbers(&cys, "seaway"), even);
}

/// The event of the arena's rooms.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl seaway::Event for Said {}

impl Said {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }
}

/// A member of the room, without a WebSocket.
struct Member {
    mailbox: Mailbox,
    room: Group<Said>,
}

impl Member {
    async fn join(channels: &Channels) -> Self {
        let mailbox = channels.open().await.unwrap();
        let room = channels.group("room.harbour").unwrap();
        room.add(mailbox.name()).await.unwrap();
        Self { mailbox, room }
    }

    async fn next(&mut self) -> String {
        let envelope = timeout(DEADLINE, self.mailbox.receive()).await;
        let envelope = envelope.expect("an event").expect("nothing was missed");
        envelope.decode::<Said>().unwrap().text.clone()
    }
}

/// Joins Ana and Bo in one process, and Cy in another.
async fn crew(redis: &Redis) -> (Member, Member, Member) {
    let here = Channels::redis(redis.url()).await.expect("Redis is there");
    let there = Channels::redis(redis.url()).await.expect("Redis is there");
    (
        Member::join(&here).await,
        Member::join(&here).await,
        Member::join(&there).await,
    )
}
