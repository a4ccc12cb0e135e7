//! Tests that a restricted Redis user with the rules of `docs/deployment.md` may do everything.

use axum::{Router, routing::get};
use http::Request;
use seaway::{
    ApplicationExt, Channels, ErrorKind, Event, NoEvent,
    channels::redis::RedisConfig,
    django::{DjangoAuth, DjangoCache, DjangoDatabase, DjangoSession, DjangoSessions, SecretKeys},
    from_service,
    session::RedisStore,
    testing::{HttpCommunicator, channel_layer, presence, topics},
};
use seaway_tests::support::{
    Database, Django, Redis,
    django::{SECRET_KEY, Version},
    wait::{DEADLINE, until},
};
use serde_json::json;
use std::{collections::BTreeSet, fs, time::Duration};
use tokio::time::timeout;

#[derive(Event)]
enum Said {
    Hello,
}

/// A row of the guide's table: what the rules are for, and the rules.
fn rules(what: &str) -> Vec<String> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deployment.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, table) = guide
        .split_once("| a Redis user for | needs |")
        .expect("the guide has the table");
    let mut rows = table
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with('|'));
    let row = rows.find(|row| row.contains(what));
    let row = row.unwrap_or_else(|| panic!("the table has a row for {what}"));
    // A bar in a cell is escaped.
    let cell = row
        .replace("\\|", "/")
        .split('|')
        .nth(2)
        .unwrap()
        .replace('/', "|");
    let code = cell.split('`').skip(1).step_by(2);
    code.flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect()
}

/// Returns the rules of the guide's line for all rows that need no setting.
fn rules_of_all() -> Vec<String> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deployment.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, line) = guide
        .split_once("ACL SETUSER seaway on >password ")
        .expect("the guide has the line");
    let line = line.lines().next().unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

/// Makes a user that may do only this; returns its URL.
async fn restricted(redis: &Redis, rules: &[Vec<String>]) -> String {
    let mut command = vec!["ACL", "SETUSER", "shop", "reset", "on", ">secret"];
    command.extend(rules.iter().flatten().map(String::as_str));
    redis.does(&command).await;
    format!("redis://shop:secret@127.0.0.1:{}", redis.port())
}

/// Checks that Redis refused no command.
async fn nothing_was_refused(redis: &Redis) {
    let log = redis.does(&["ACL", "LOG"]).await;
    assert_eq!(log, "*0\r\n", "Redis refused a command");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_do_what_groups_and_jobs_need() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("groups"), rules("jobs")]).await;

    channel_layer::conforms(async || Channels::redis(url.as_str()).await.unwrap()).await;

    nothing_was_refused(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_do_what_the_queue_layer_needs() {
    let redis = Redis::new().await;
    let url = restricted(
        &redis,
        &[rules("groups"), rules("jobs"), rules("RedisConfig::queue")],
    )
    .await;

    channel_layer::conforms(async || {
        let config = RedisConfig::new(url.as_str()).queue();
        Channels::redis(config).await.unwrap()
    })
    .await;

    nothing_was_refused(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_process_with_queues_depends_on_the_permission_to_end_its_lost_connections() {
    let redis = Redis::new().await;
    for missing in ["-client|kill", "-client|id"] {
        let missing = vec![missing.to_owned()];
        let needs = [
            rules("groups"),
            rules("jobs"),
            rules("RedisConfig::queue"),
            missing.clone(),
        ];
        let url = restricted(&redis, &needs).await;

        let queues = Channels::redis(RedisConfig::new(url.as_str()).queue()).await;
        let queues = queues.unwrap_err().to_string();
        assert!(queues.contains("NOPERM"), "{missing:?}: {queues}");
        let groups = Channels::redis(url.as_str()).await.unwrap();
        groups.health().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_do_what_the_queue_layer_needs_after_a_restart_of_redis() {
    let needs = [rules("groups"), rules("jobs"), rules("RedisConfig::queue")].concat();
    let mut options = vec!["--appendonly", "yes", "--user", "shop", "on", ">secret"];
    options.extend(needs.iter().map(String::as_str));
    let mut redis = Redis::with(&options).await;
    let url = format!("redis://shop:secret@127.0.0.1:{}", redis.port());
    let channels = Channels::redis(RedisConfig::new(url).queue()).await;
    let channels = channels.unwrap();
    let (mut mailbox, room) = (channels.open().await.unwrap(), channels.group("room"));
    let room = room.unwrap();
    room.add(mailbox.name()).await.unwrap();

    redis.stop();
    redis.start().await;

    let received = async { while mailbox.receive().await.is_err() {} };
    let sending = async {
        while room.send(&Said::Hello).await.is_err() {}
        received.await;
    };
    timeout(DEADLINE, sending).await.expect("in time");
    nothing_was_refused(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_do_what_presence_needs() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("groups"), rules("presence")]).await;

    presence::conforms(async || {
        let config = RedisConfig::new(url.as_str()).presence_grace(Duration::from_secs(1));
        Channels::redis(config).await.unwrap()
    })
    .await;

    nothing_was_refused(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_do_what_counting_members_needs() {
    let redis = Redis::new().await;
    let needs = [
        rules("groups"),
        rules("RedisConfig::count_members"),
        rules("presence"),
    ];
    let url = restricted(&redis, &needs).await;
    let config = RedisConfig::new(url.as_str()).count_members();
    let channels = Channels::redis(config).await.unwrap();
    let (room, mailbox) = (channels.group::<NoEvent>("room"), channels.open().await);
    let (room, mailbox) = (room.unwrap(), mailbox.unwrap());

    for members in [1, 0] {
        match members {
            0 => room.discard(mailbox.name()).await.unwrap(),
            _ => room.add(mailbox.name()).await.unwrap(),
        }
        until("the number of members", DEADLINE, async || {
            (channels.members(room.name()).await.unwrap() == members).then_some(())
        })
        .await;
    }

    nothing_was_refused(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_use_another_database() {
    let redis = Redis::new().await;
    let needs = [
        rules("groups"),
        rules("jobs"),
        rules("sessions"),
        rules("another database"),
    ];
    let url = restricted(&redis, &needs).await + "/1";

    channel_layer::conforms(async || Channels::redis(url.as_str()).await.unwrap()).await;
    session_is_stored(&url).await;

    nothing_was_refused(&redis).await;
}

#[tokio::test]
async fn a_restricted_user_may_read_the_sessions_of_django() {
    const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
    let redis = Redis::new().await;
    let name = format!(":1:django.contrib.sessions.cache{KEY}");
    redis.does(&["SET", &name, r#"{"cart": "3 apples"}"#]).await;
    let url = restricted(&redis, &[rules("DjangoCache")]).await;
    let site = Django::start(Version::Newest, Database::Sqlite, &redis, json!({})).await;
    let database = DjangoDatabase::connect(site.database()).await.unwrap();
    let sessions = DjangoSessions::cache(DjangoCache::connect(&url).await.unwrap());
    let auth = DjangoAuth::new(SecretKeys::new(SECRET_KEY), sessions, &database);
    let cart = async |session: DjangoSession| match session.get::<String>("cart").await {
        Ok(cart) => cart.unwrap_or_default(),
        Err(error) => format!("{error:#}"),
    };
    let pages = from_service(Router::new().route("/", get(cart))).with(auth);
    let pages = pages.boxed();
    let page = async || {
        let request = Request::get("/").header("cookie", format!("sessionid={KEY}"));
        let page = HttpCommunicator::request(&pages, request.body("").unwrap()).await;
        String::from_utf8(page.unwrap().into_body().to_vec()).unwrap()
    };

    assert_eq!(page().await, "3 apples");
    nothing_was_refused(&redis).await;
    redis.does(&["ACL", "SETUSER", "shop", "-getrange"]).await;
    let refused = page().await;
    assert!(refused.contains("check the user's ACL"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_user_may_do_what_topics_need() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("groups"), rules("topics")]).await;

    topics::conforms(async || Channels::redis(url.as_str()).await.unwrap()).await;

    nothing_was_refused(&redis).await;
}

#[test]
fn the_line_for_everything_is_the_sum_of_the_rows() {
    let rows = ["groups", "jobs", "presence", "topics", "sessions"].map(rules);
    let mut sum: BTreeSet<String> = rows.concat().into_iter().collect();
    // A part of `~asgi*`.
    assert!(sum.remove("~asgi:presence*"));

    assert_eq!(sum, rules_of_all().into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_line_for_everything_may_do_everything() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules_of_all()]).await;
    let url = url.as_str();

    channel_layer::conforms(async || Channels::redis(url).await.unwrap()).await;
    presence::conforms(async || {
        let config = RedisConfig::new(url).presence_grace(Duration::from_secs(1));
        Channels::redis(config).await.unwrap()
    })
    .await;
    topics::conforms(async || Channels::redis(url).await.unwrap()).await;
    session_is_stored(url).await;

    nothing_was_refused(&redis).await;
}

/// Returns how many events the topic `lot.7` stores.
async fn stored(redis: &Redis) -> String {
    redis.does(&["XLEN", "asgi:topic:lot.7"]).await
}

#[tokio::test]
async fn a_user_without_the_permission_for_info_uses_new_topics() {
    let redis = Redis::new().await;
    let rules = [rules("groups"), rules("topics"), vec!["-info".to_owned()]];
    let url = restricted(&redis, &rules).await;
    let channels = Channels::redis(url.as_str()).await.unwrap();

    for topic in ["lot.7", "lot.8"] {
        let lot = channels.topic::<Said>(topic).unwrap();
        let mut events = lot.listen(None).await.unwrap();
        let position = lot.send(&Said::Hello).await.unwrap();

        assert_eq!(position.offset(), 1);
        for expected in [0, 1] {
            let event = events.next().await.unwrap();
            assert_eq!(event.position().offset(), expected);
        }
    }
}

#[tokio::test]
async fn an_event_that_is_stored_and_not_published_is_unconfirmed() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("groups"), rules("topics")]).await;
    let channels = Channels::redis(url.as_str()).await.unwrap();
    let lot = channels.topic::<Said>("lot.7").unwrap();
    lot.send(&Said::Hello).await.unwrap();

    redis.does(&["ACL", "SETUSER", "shop", "-publish"]).await;
    let refused = lot.send(&Said::Hello).await.unwrap_err();
    let once = lot.send_once("bid", &Said::Hello).await.unwrap_err();
    let again = lot.send_once("bid", &Said::Hello).await.unwrap();

    for error in [refused, once] {
        assert_eq!(error.kind(), ErrorKind::Unconfirmed, "{error}");
        assert!(error.to_string().contains("ACL"), "{error}");
    }
    assert_eq!(again.offset(), 3, "the position of the first one");
    assert_eq!(stored(&redis).await, ":3\r\n");
}

#[tokio::test]
async fn an_event_whose_key_is_refused_is_not_stored() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("groups"), rules("topics")]).await;
    let channels = Channels::redis(url.as_str()).await.unwrap();
    let lot = channels.topic::<Said>("lot.7").unwrap();
    lot.send(&Said::Hello).await.unwrap();

    redis.does(&["ACL", "SETUSER", "shop", "-set"]).await;
    let refused = lot.send_once("bid", &Said::Hello).await.unwrap_err();

    assert_eq!(refused.kind(), ErrorKind::Layer, "{refused}");
    assert_eq!(stored(&redis).await, ":1\r\n");
    assert_eq!(lot.send(&Said::Hello).await.unwrap().offset(), 2);
}

#[tokio::test]
async fn the_error_of_a_user_who_may_not_read_a_topic_says_so() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("groups")]).await;
    let channels = Channels::redis(url.as_str()).await.unwrap();
    let lot = channels.topic::<Said>("lot.7").unwrap();

    let Err(reading) = lot.listen(None).await else {
        panic!("a topic was read without permission")
    };
    let sending = lot.send(&Said::Hello).await.unwrap_err();

    for (error, expected) in [
        (
            reading,
            "Redis refused to read a topic; check the user's ACL: NoPerm",
        ),
        (
            sending,
            "Redis refused to send an event; check the user's ACL: NoPerm",
        ),
    ] {
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{expected} in {error}");
    }
}

#[tokio::test]
async fn a_restricted_user_may_do_what_sessions_need() {
    let redis = Redis::new().await;
    let url = restricted(&redis, &[rules("sessions")]).await;

    session_is_stored(&url).await;

    nothing_was_refused(&redis).await;
}

/// Stores, reads and deletes a session.
async fn session_is_stored(url: &str) {
    use seaway::session::{Record, SessionStore, time};
    let store = RedisStore::connect(url).await.unwrap();
    let expiry_date = time::OffsetDateTime::now_utc() + time::Duration::HOUR;
    let mut record = Record {
        id: Default::default(),
        data: Default::default(),
        expiry_date,
    };

    store.create(&mut record).await.unwrap();
    store.save(&record).await.unwrap();
    assert!(store.load(&record.id).await.unwrap().is_some());
    store.delete(&record.id).await.unwrap();
}
