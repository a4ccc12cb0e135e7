//! Tests of the Redis layer: conformance, subscriptions, and errors.

use seaway::{
    ChannelName, Channels, ErrorKind, Group, GroupName, TopicEvent,
    channels::{
        Envelope, Mailbox,
        redis::{RedisConfig, Serializer},
    },
    testing::{channel_layer, topics},
};
use seaway_tests::support::{
    Proxy, Redis, Server,
    proxy::{Side, Wire},
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl seaway::Event for Said {}

fn said(text: &str) -> Said {
    Said {
        text: text.to_owned(),
    }
}

async fn queue(redis: &Redis) -> Channels {
    let config = RedisConfig::new(redis.url()).queue();
    Channels::redis(config).await.expect("Redis is there")
}

async fn connect(redis: &Redis) -> Channels {
    Channels::redis(redis.url()).await.expect("Redis is there")
}

async fn member(channels: &Channels, group: &str) -> (Mailbox, Group<Said>) {
    let (mailbox, group) = (channels.open().await, channels.group(group));
    let (mailbox, group) = (mailbox.unwrap(), group.unwrap());
    group.add(mailbox.name()).await.unwrap();
    (mailbox, group)
}

async fn next_is_a_notice(mailbox: &mut Mailbox) {
    let next = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    assert!(next.is_err(), "it may have missed something");
}

async fn next_text(mailbox: &mut Mailbox) -> String {
    let next = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    next.unwrap().decode::<Said>().unwrap().text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_layer_conforms() {
    let redis = Redis::new().await;

    channel_layer::conforms(|| connect(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_layer_conforms() {
    let redis = Redis::new().await;

    channel_layer::conforms(|| queue(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_redis_expire_with_both_formats_on_one_host_and_on_two() {
    const EXPIRY: Duration = Duration::from_secs(2);
    for (is_queue, hosts) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let redis = [Redis::new().await, Redis::new().await];

        channel_layer::jobs_expire(EXPIRY, async || {
            let config = RedisConfig::new(redis[0].url()).expiry(EXPIRY);
            let config = if is_queue { config.queue() } else { config };
            let config = match hosts {
                1 => config,
                _ => config.host(redis[1].url()),
            };
            Channels::redis(config).await.expect("both are there")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_conform_with_both_formats() {
    let redis = Redis::new().await;

    topics::conforms(|| connect(&redis)).await;
    topics::conforms(|| queue(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_conform_with_json_and_with_encryption() {
    let redis = Redis::new().await;
    let config = |prefix: &str| RedisConfig::new(redis.url()).prefix(prefix);

    topics::conforms(async || {
        let config = config("json").serializer(Serializer::Json);
        Channels::redis(config).await.expect("Redis is there")
    })
    .await;
    topics::conforms(async || {
        let config = config("secret").symmetric_encryption_keys(["a secret"]);
        Channels::redis(config).await.expect("Redis is there")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_conform_on_two_hosts() {
    for is_queue in [false, true] {
        let hosts = [Redis::new().await, Redis::new().await];

        channel_layer::conforms(async || {
            let config = RedisConfig::new(hosts[0].url()).host(hosts[1].url());
            let config = if is_queue { config.queue() } else { config };
            Channels::redis(config).await.expect("both are there")
        })
        .await;
    }
}

#[tokio::test]
async fn groups_are_shared_among_hosts() {
    let hosts = [Redis::new().await, Redis::new().await];
    let config = RedisConfig::new(hosts[0].url())
        .host(hosts[1].url())
        .queue();
    let channels = Channels::redis(config).await.unwrap();
    let mailbox = channels.open().await.unwrap();
    for number in 0..20 {
        let group = channels.group::<Said>(&format!("room-{number}")).unwrap();
        group.add(mailbox.name()).await.unwrap();
    }

    // Their CRC-32 decides.
    for (name, expected) in [("room-1", 1), ("room-8", 0)] {
        let key = format!("asgi:group:{name}");
        for (number, redis) in hosts.iter().enumerate() {
            let members = redis.does(&["ZCARD", &key]).await;
            let is_there = members == ":1\r\n";
            assert_eq!(is_there, number == expected, "{name} on {number}");
        }
    }
}

#[tokio::test]
async fn a_group_of_queues_has_one_member_per_process() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room").unwrap();
    let mut mailboxes = Vec::new();

    for _ in 0..20 {
        let mailbox = channels.open().await.unwrap();
        room.add(mailbox.name()).await.unwrap();
        mailboxes.push(mailbox);
    }

    let members = redis.does(&["ZCARD", "asgi:group:room"]).await;
    assert_eq!(members, ":1\r\n");
    let expiry = redis.does(&["TTL", "asgi:group:room"]).await;
    assert!(
        expiry.starts_with(":863") || expiry.starts_with(":86400"),
        "{expiry}"
    );
    drop(mailboxes);
    until("the last one out leaves", DEADLINE, async || {
        let members = redis.ask(&["ZCARD", "asgi:group:room"]).await;
        (members? == ":0\r\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_members_of_a_process_that_has_ended_are_removed() {
    let redis = Redis::new().await;
    let mut arena = Server::arena_with(&["--redis", &redis.url(), "--layer", "queue"]).await;
    let client = arena.client("/ws/room/harbour").await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room.harbour").unwrap();
    let alive = redis.does(&["KEYS", "*$alive"]).await;

    arena.kill();
    drop(client);
    // Its sign of life would last for 30 s.
    for key in alive.lines().filter(|key| key.ends_with("$alive")) {
        redis.does(&["EXPIRE", key, "0"]).await;
    }

    until("nobody is a member", DEADLINE, async || {
        room.send(&said("x")).await.unwrap();
        let members = redis.ask(&["ZCARD", "asgi:group:room.harbour"]).await;
        (members? == ":0\r\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_process_that_redis_has_forgotten_joins_again_and_notifies_its_consumers() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room").unwrap();
    let mut mailbox = channels.open().await.unwrap();
    room.add(mailbox.name()).await.unwrap();

    redis.does(&["FLUSHALL"]).await;

    let missed = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    assert!(missed.is_err(), "it may have missed something");
    room.send(&said("back")).await.unwrap();
    let envelope = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    assert_eq!(envelope.unwrap().decode::<Said>().unwrap().text, "back");
}

/// A join must not create the sign of life by which the process notices that Redis has forgotten
/// it.
#[tokio::test]
async fn a_join_right_after_the_data_was_deleted_does_not_hide_that() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;

    redis.does(&["FLUSHALL"]).await;
    let (newcomer, _) = member(&channels, "another").await;

    next_is_a_notice(&mut mailbox).await;
    room.send(&said("back")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "back");
    drop(newcomer);
}

/// The key may be evicted, or deleted by hand; the sign of life is still there.
#[tokio::test]
async fn a_process_whose_group_redis_has_deleted_joins_again_and_notifies_its_consumers() {
    let redis = Redis::new().await;
    let (here, there) = (queue(&redis).await, queue(&redis).await);
    // The name of the second does not fit into that of a channel.
    for name in ["room".to_owned(), "long".repeat(20)] {
        let (mut mailbox, _) = member(&here, &name).await;
        let (mut other, _) = member(&here, "other").await;

        redis.does(&["DEL", &format!("asgi:group:{name}")]).await;

        next_is_a_notice(&mut mailbox).await;
        next_is_a_notice(&mut other).await;
        let from_there = there.group::<Said>(&name).unwrap();
        from_there.send(&said("back")).await.unwrap();
        assert_eq!(next_text(&mut mailbox).await, "back");
    }
}

#[tokio::test]
async fn an_event_for_a_group_that_redis_has_deleted_waits_until_all_have_joined_again() {
    let redis = Redis::new().await;
    let (here, there) = (queue(&redis).await, queue(&redis).await);
    let (mut mailbox, room) = member(&here, "room").await;
    let (mut other, _) = member(&there, "room").await;

    redis.does(&["DEL", "asgi:group:room"]).await;
    room.send(&said("after")).await.unwrap();

    for mailbox in [&mut mailbox, &mut other] {
        next_is_a_notice(mailbox).await;
        assert_eq!(next_text(mailbox).await, "after");
    }
}

/// As Django does: it reads the members of a group that is still empty, and adds nothing.
#[tokio::test]
async fn an_event_for_a_group_without_members_after_a_restart_is_a_gap() {
    let mut redis = Redis::new().await;
    let mut arena = Server::arena_with(&["--redis", &redis.url(), "--layer", "queue"]).await;
    let client = arena.client("/ws/room/harbour").await;
    // Otherwise its queue may have held an event when Redis ended.
    until("an idle connection", DEADLINE, async || {
        let script = "return redis.call('INFO', 'commandstats'):match('bzpopmin:calls=(%d+)')";
        let calls = redis.ask(&["EVAL", script, "0"]).await?;
        let calls = calls.lines().nth(1)?.trim().parse::<u32>().ok()?;
        (calls >= 4).then_some(())
    })
    .await;

    arena.freeze();
    redis.stop();
    redis.start().await;
    let key = "asgi:group:room.harbour";
    redis.does(&["ZREMRANGEBYSCORE", key, "0", "1"]).await;
    assert_eq!(redis.does(&["ZRANGE", key, "0", "-1"]).await, "*0\r\n");
    arena.thaw();

    assert_eq!(client.closed().await.0, 1012);
}

#[tokio::test]
async fn events_dropped_while_redis_is_at_its_maxmemory_are_reported() {
    /// More than the commands of a process that wait for events, and the capacity of its queue.
    const SENT: usize = 700;
    let redis = Redis::new().await;
    let mut arena = Server::arena_with(&["--redis", &redis.url(), "--layer", "queue"]).await;
    let client = arena.client("/ws/room/harbour").await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room.harbour").unwrap();

    redis.does(&["CONFIG", "SET", "maxmemory", "1"]).await;
    arena.freeze();
    for _ in 0..SENT {
        room.send(&said("x")).await.expect("a group is never full");
    }
    arena.thaw();

    assert_ne!(channels.dropped(), 0, "the test needs a full queue");
    assert_eq!(client.closed().await.0, 1012);
}

/// Data that was saved while events waited: a restart brings them back although they were received.
#[tokio::test]
async fn events_that_a_restart_restores_arrive_neither_twice_nor_after_later_ones() {
    /// So many that some wait in the queue, and none is dropped.
    const WAITING: usize = 500;
    /// More than the events that a process remembers.
    const LATER: usize = 1200;
    let mut redis = Redis::new().await;
    let mut arena = Server::arena_with(&["--redis", &redis.url(), "--layer", "queue"]).await;
    let mut client = arena.client("/ws/room/harbour").await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room.harbour").unwrap();

    arena.freeze();
    for number in 0..WAITING {
        room.send(&said(&number.to_string())).await.unwrap();
    }
    redis.does(&["SAVE"]).await;
    arena.thaw();
    for number in WAITING..WAITING + LATER {
        room.send(&said(&number.to_string())).await.unwrap();
    }
    for number in 0..WAITING + LATER {
        assert_eq!(client.text().await, number.to_string());
    }
    assert_eq!(channels.dropped(), 0);

    redis.stop();
    redis.start().await;
    room.send(&said("end")).await.unwrap();

    match client.next_within(DEADLINE).await.expect("an end") {
        Ok(text) => assert_eq!(text, "end"),
        Err(code) => assert_eq!(code, Some(1012)),
    }
}

#[tokio::test]
async fn a_key_of_another_type_stops_an_event_for_its_own_process_only() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;
    for name in ["aaa", "zzz"] {
        redis
            .does(&["ZADD", "asgi:group:room", "9999999999", name])
            .await;
        redis.does(&["SET", &format!("asgi{name}"), "text"]).await;
    }

    room.send(&said("for the others")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "for the others");
    assert_eq!(channels.dropped(), 2, "each is counted");

    let jobs = ChannelName::new("aaa").unwrap();
    let error = channels.send(&jobs, &said("job")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("asgiaaa"), "{error}");
}

/// The score of the other entry is that of a clock which is 20 s ahead.
#[tokio::test]
async fn an_event_follows_those_that_wait_whatever_the_clocks_of_their_senders_are() {
    let redis = Redis::new().await;
    let channels = connect(&redis).await;
    let jobs = ChannelName::new("jobs").unwrap();
    channels.send(&jobs, &said("first")).await.unwrap();
    let script = "redis.call('ZADD', KEYS[1], redis.call('TIME')[1] + 20, 'ahead')";
    redis.does(&["EVAL", script, "1", "asgijobs"]).await;

    for _ in 0..3 {
        channels.send(&jobs, &said("later")).await.unwrap();
    }

    assert_eq!(redis.does(&["ZRANK", "asgijobs", "ahead"]).await, ":1\r\n");
    let distinct = "local scores = {}
        for i, entry in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')) do
            if i % 2 == 0 then scores[entry] = true end
        end
        local count = 0
        for _ in pairs(scores) do count = count + 1 end
        return count";
    let distinct = redis.does(&["EVAL", distinct, "1", "asgijobs"]).await;
    assert_eq!(distinct, ":5\r\n", "equal scores would have no order");
}

#[tokio::test]
async fn memberships_last_longer_than_their_expiry() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url())
        .queue()
        .group_expiry(Duration::from_secs(3));
    let channels = Channels::redis(config).await.unwrap();
    let room = channels.group::<Said>("room").unwrap();
    let mut mailbox = channels.open().await.unwrap();
    room.add(mailbox.name()).await.unwrap();
    let joined = redis
        .does(&["ZRANGE", "asgi:group:room", "0", "-1", "WITHSCORES"])
        .await;

    until("it is renewed", DEADLINE, async || {
        let members = redis
            .ask(&["ZRANGE", "asgi:group:room", "0", "-1", "WITHSCORES"])
            .await?;
        (members != joined).then_some(())
    })
    .await;

    room.send(&said("still here")).await.unwrap();
    let envelope = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    assert!(envelope.is_ok(), "nothing was missed");
}

#[tokio::test]
async fn a_full_queue_of_a_process_that_has_ended_delays_its_senders_once() {
    let redis = Redis::new().await;
    let mut arena = Server::arena_with(&["--redis", &redis.url(), "--layer", "queue"]).await;
    let client = arena.client("/ws/room/harbour").await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room.harbour").unwrap();

    arena.kill();
    drop(client);
    let start = tokio::time::Instant::now();
    for _ in 0..300 {
        room.send(&said("x")).await.expect("a group is never full");
    }

    assert!(
        start.elapsed() < Duration::from_secs(6),
        "{:?}",
        start.elapsed()
    );
    assert!(
        channels.dropped() >= 200,
        "each is counted: {}",
        channels.dropped()
    );
}

#[tokio::test]
async fn a_job_that_has_waited_longer_than_its_expiry_is_not_taken() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).expiry(Duration::from_secs(5));
    let channels = Channels::redis(config).await.unwrap();
    let jobs = ChannelName::new("jobs").unwrap();
    // As a sender of long ago has left it.
    let old = "twelve bytes\u{81}";
    redis.does(&["ZADD", "asgijobs", "1000", old]).await;
    channels
        .layer()
        .send(&jobs, Envelope::encode(&said("new")).unwrap())
        .await
        .unwrap();
    redis.does(&["ZADD", "asgijobs", "1000", old]).await;

    let job = channels.layer().receive(&jobs, DEADLINE).await.unwrap();

    let job = job.expect("a job").decode::<Said>().unwrap();
    assert_eq!(job.text, "new");
}

#[tokio::test]
async fn a_process_subscribes_once_per_group_and_once_for_all_its_channels() {
    let redis = Redis::new().await;
    let channels = connect(&redis).await;
    let room = channels.group::<Said>("room").unwrap();
    let mut mailboxes = Vec::new();

    for _ in 0..20 {
        let mailbox = channels.open().await.unwrap();
        room.add(mailbox.name()).await.unwrap();
        mailboxes.push(mailbox);
    }

    let groups = redis.ask(&["PUBSUB", "NUMSUB", "asgi__group__room"]).await;
    assert!(
        groups.unwrap().ends_with(":1\r\n"),
        "one per process and group"
    );
    let patterns = redis.ask(&["PUBSUB", "NUMPAT"]).await;
    assert_eq!(patterns.unwrap(), ":1\r\n");

    drop(mailboxes);
    until("the last one out unsubscribes", DEADLINE, async || {
        let groups = redis.ask(&["PUBSUB", "NUMSUB", "asgi__group__room"]).await;
        groups.unwrap().ends_with(":0\r\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn members_that_join_and_leave_continuously_receive_all_events_after_their_join() {
    let redis = Redis::new().await;
    let (here, there) = (connect(&redis).await, connect(&redis).await);
    let (room, from_there) = (
        here.group::<Said>("room").unwrap(),
        there.group::<Said>("room").unwrap(),
    );

    for round in 0..200 {
        let mut mailbox = here.open().await.unwrap();
        room.add(mailbox.name()).await.unwrap();
        from_there.send(&said(&round.to_string())).await.unwrap();
        let envelope = timeout(DEADLINE, mailbox.receive())
            .await
            .expect("an event in time")
            .expect("nothing missed");
        assert_eq!(envelope.decode::<Said>().unwrap().text, round.to_string());
    }
}

#[tokio::test]
async fn two_prefixes_on_one_redis_exchange_no_events() {
    let redis = Redis::new().await;
    let shop = RedisConfig::new(redis.url()).prefix("shop");
    let shop = Channels::redis(shop).await.unwrap();
    let chat = connect(&redis).await;
    let mut mailbox = shop.open().await.unwrap();
    let group = shop.group::<Said>("room").unwrap();
    group.add(mailbox.name()).await.unwrap();

    let other = chat.group::<Said>("room").unwrap();
    other.send(&said("not for you")).await.unwrap();
    group.send(&said("for you")).await.unwrap();

    let envelope = timeout(DEADLINE, mailbox.receive())
        .await
        .expect("an event in time")
        .expect("nothing missed");
    assert_eq!(envelope.decode::<Said>().unwrap().text, "for you");
}

#[tokio::test]
async fn sends_and_joins_wait_for_redis_and_then_fail_with_address_and_reason() {
    let mut redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).send_timeout(Duration::from_millis(300));
    let channels = Channels::redis(config).await.unwrap();
    let room = channels.group::<Said>("room").unwrap();
    let mailbox = channels.open().await.unwrap();

    redis.stop();
    let address = format!("127.0.0.1:{}", redis.port());
    let unreachable = async {
        loop {
            // The first send may still use a connection that is about to break.
            match room.send(&said("x")).await {
                Err(error) if error.to_string().contains(&address) => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let error = timeout(DEADLINE, unreachable)
        .await
        .expect("an error that says so");

    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("connection refused"), "{error}");
    let error = room.add(mailbox.name()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Layer);
}

#[tokio::test]
async fn a_sender_whose_own_connection_breaks_gets_an_error_at_once() {
    for is_queue in [false, true] {
        for refuses in [false, true] {
            let redis = Redis::new().await;
            let proxy = Proxy::before_redis(&redis).await;
            let config = RedisConfig::new(redis.url_through(proxy.port()));
            let config = if is_queue { config.queue() } else { config };
            sender_gets_the_error_of_its_broken_connection(config, &redis, proxy, refuses).await;
        }
    }
}

/// Breaks the connection on which events are sent during a send; `refuses`: nothing listens at the
/// address for a moment then, as after the end of Redis.
async fn sender_gets_the_error_of_its_broken_connection(
    config: RedisConfig,
    redis: &Redis,
    mut proxy: Proxy,
    refuses: bool,
) {
    let channels = Channels::redis(config).await.unwrap();
    let (_mailbox, group) = member(&channels, "room").await;
    let blocked = async || {
        let clients = redis.does(&["INFO", "clients"]).await;
        let line = clients
            .lines()
            .find_map(|line| line.strip_prefix("blocked_clients:"));
        line.and_then(|count| count.parse::<u32>().ok())
    };
    group.send(&said("before")).await.unwrap();
    let readers = blocked().await;
    redis.does(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
    let sending = tokio::spawn(async move { group.send(&said("during")).await });
    until("a send that Redis holds back", DEADLINE, async || {
        (blocked().await > readers).then_some(())
    })
    .await;

    if refuses {
        proxy.refuse().await;
    }
    proxy.set_side(Side::Publisher, Wire::Cut);
    until("a broken connection", DEADLINE, async || {
        let why = channels.health().err()?.to_string();
        (!refuses || why.contains("refused")).then_some(())
    })
    .await;
    proxy.restore();
    if refuses {
        proxy.accept().await;
    }

    let told = timeout(Duration::from_secs(3), sending).await;
    let error = told.expect("long before the time-out of a send");
    assert_eq!(error.unwrap().unwrap_err().kind(), ErrorKind::Unconfirmed);
}

#[tokio::test]
async fn joining_again_during_an_outage_does_not_end_the_membership() {
    let mut redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).send_timeout(Duration::from_millis(300));
    let channels = Channels::redis(config).await.unwrap();
    let room = channels.group::<Said>("room").unwrap();
    let mut mailbox = channels.open().await.unwrap();
    room.add(mailbox.name()).await.unwrap();

    redis.stop();
    until("a join that fails", DEADLINE, async || {
        room.add(mailbox.name()).await.is_err().then_some(())
    })
    .await;
    redis.start().await;
    until("a send that is taken", DEADLINE, async || {
        room.send(&said("back")).await.is_ok().then_some(())
    })
    .await;

    let envelope = timeout(DEADLINE, mailbox.receive())
        .await
        .expect("an event in time")
        .expect("nothing missed");
    assert_eq!(envelope.decode::<Said>().unwrap().text, "back");
}

#[tokio::test]
async fn an_invalid_url_or_prefix_is_an_error() {
    let error = Channels::redis("http://127.0.0.1").await.unwrap_err();
    assert!(
        error.to_string().contains("redis://127.0.0.1:6379"),
        "{error}"
    );

    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).prefix("no spaces");
    let error = Channels::redis(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
}

async fn counted(channels: &Channels, members: u64) {
    let room = GroupName::new("room").unwrap();
    until(&format!("{members} members"), DEADLINE, async || {
        (channels.members(&room).await.unwrap() == members).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_counted_over_all_processes_with_both_formats() {
    for format in ["pubsub", "queue"] {
        let redis = Redis::new().await;
        let connect = async || {
            let config = RedisConfig::new(redis.url()).count_members();
            let config = config.presence_lease(Duration::from_secs(1));
            let config = match format {
                "queue" => config.queue(),
                _ => config,
            };
            Channels::redis(config).await.unwrap()
        };
        let (here, there, outside) = (connect().await, connect().await, connect().await);
        counted(&outside, 0).await;

        let (one, _) = member(&here, "room").await;
        let (_two, room) = member(&here, "room").await;
        let (_three, _) = member(&there, "room").await;
        let (_elsewhere, _) = member(&there, "another").await;
        for channels in [&here, &there, &outside] {
            counted(channels, 3).await;
        }
        room.discard(one.name()).await.unwrap();
        counted(&outside, 2).await;
        drop(one);
        redis.does(&["FLUSHALL"]).await;
        counted(&outside, 2).await;
        // It ends without a word, as if it was killed.
        drop(there);
        counted(&outside, 1).await;

        drop((here, room));
        counted(&outside, 0).await;
    }
}

#[tokio::test]
async fn members_that_are_not_to_be_counted_are_an_error_that_says_how() {
    let redis = Redis::new().await;
    let room = GroupName::new("room").unwrap();

    let error = connect(&redis).await.members(&room).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("count_members"), "{error}");
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_to_its_sender() {
    let redis = Redis::new().await;
    let config = || RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let jobs = ChannelName::new("jobs").unwrap();
    let large = said(&"x".repeat(512 * 1024));
    // An encrypted one is a third larger.
    let fits = said(&"x".repeat(380 * 1024));

    for config in [
        config(),
        config().queue().prefix("queue"),
        config().serializer(Serializer::Json).prefix("json"),
        config()
            .symmetric_encryption_keys(["a secret"])
            .prefix("secret"),
    ] {
        let channels = Channels::redis(config).await.unwrap();
        let (mut mailbox, room) = member(&channels, "room").await;
        let lot = channels.topic::<Said>("lot").unwrap();

        for outcome in [
            room.send(&large).await,
            channels.send(mailbox.name(), &large).await,
            channels.send(&jobs, &large).await,
            lot.send(&large).await.map(drop),
        ] {
            let error = outcome.expect_err("it is too large");
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:#}");
        }
        room.send(&fits).await.unwrap();
        lot.send(&fits).await.unwrap();
        assert_eq!(next_text(&mut mailbox).await, fits.text);
    }
}

#[tokio::test]
async fn scripts_are_sent_by_their_hash_and_again_once_redis_has_forgotten_them() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;
    let lot = channels.topic::<Said>("lot").unwrap();

    for _ in 0..2 {
        redis.does(&["SCRIPT", "FLUSH"]).await;
        for number in 0..10 {
            room.send(&said(&number.to_string())).await.unwrap();
            assert_eq!(next_text(&mut mailbox).await, number.to_string());
            lot.send(&said("later")).await.unwrap();
        }
    }

    let calls = redis.does(&["INFO", "commandstats"]).await;
    let calls = |command: &str| {
        let rest = calls.split_once(&format!("cmdstat_{command}:calls="));
        let digits = rest.and_then(|(_, rest)| rest.split(',').next());
        digits.and_then(|digits| digits.parse::<u32>().ok())
    };
    assert_eq!(calls("eval"), Some(4), "each script, after each flush");
    assert_eq!(calls("evalsha"), Some(40));
}

#[tokio::test]
async fn a_receiver_is_notified_of_an_event_of_another_program_that_is_too_large() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let channels = Channels::redis(config).await.unwrap();
    let (mut mailbox, room) = member(&channels, "room").await;
    let other = connect(&redis).await.group::<Said>("room").unwrap();

    other.send(&said(&"x".repeat(1024 * 1024))).await.unwrap();

    next_is_a_notice(&mut mailbox).await;
    room.send(&said("hello")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "hello");
}

#[tokio::test]
async fn a_history_that_is_too_large_is_reported_as_a_gap() {
    let redis = Redis::new().await;
    let config = || RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let sender = Channels::redis(config()).await.unwrap();
    let lot = sender.topic::<Said>("lot").unwrap();
    let first = lot.send(&said("first")).await.unwrap();
    for _ in 0..20 {
        lot.send(&said(&"x".repeat(100 * 1024))).await.unwrap();
    }
    let late = lot.send(&said("late")).await.unwrap();
    lot.send(&said("last")).await.unwrap();

    // A process that has received none of them.
    let reader = Channels::redis(config()).await.unwrap();
    let before = connections(&redis).await;
    for (since, expected) in [(first, false), (late, true)] {
        let lot = reader.topic::<Said>("lot").unwrap();
        let mut listener = lot.listen(Some(since)).await.unwrap();
        let recovered = async {
            loop {
                let event = listener.next().await.expect("no notice");
                if let TopicEvent::Recovered { all, .. } = &*event {
                    return *all;
                }
            }
        };
        let all = timeout(DEADLINE, recovered).await.expect("in time");
        assert_eq!(all, expected);
    }
    reader.health().unwrap();
    assert_eq!(connections(&redis).await, before + 1, "none was made again");
}

/// Returns how many connections Redis has accepted, with the one that asks.
async fn connections(redis: &Redis) -> u64 {
    let stats = redis.does(&["INFO", "stats"]).await;
    let count = |line: &str| {
        line.strip_prefix("total_connections_received:")?
            .parse()
            .ok()
    };
    stats.lines().find_map(count).expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_topic_that_is_stored_but_not_sent_is_unconfirmed() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let topic = channels.topic::<Said>("lot").unwrap();
    // The members of the group cannot be read.
    redis.does(&["SET", "asgi:group:lot", "text"]).await;

    let error = topic.send(&said("ahoy")).await.expect_err("not sent");

    assert_eq!(error.kind(), ErrorKind::Unconfirmed, "{error:#}");
    let stored = redis.does(&["XLEN", "asgi:topic:lot"]).await;
    assert_eq!(stored.trim(), ":1");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_recover_from_a_reconnect_while_a_script_blocks_redis() {
    for is_queue in [false, true] {
        let redis = Redis::new().await;
        let proxy = Proxy::before_redis(&redis).await;
        let config = RedisConfig::new(format!("redis://127.0.0.1:{}", proxy.port()));
        let config = if is_queue { config.queue() } else { config };
        let channels = Channels::redis(config).await.expect("Redis is there");
        let (mut mailbox, room) = member(&channels, "room.busy").await;
        redis
            .does(&["CONFIG", "SET", "busy-reply-threshold", "10"])
            .await;

        let script = redis.ask(&["EVAL", "while true do end", "0"]);
        let fault = async {
            until("a busy Redis", DEADLINE, async || {
                let reply = redis.ask(&["GET", "key"]).await?;
                reply.starts_with("-BUSY").then_some(())
            })
            .await;
            proxy.reset();
            unhealthy(&channels, &["BUSY", "INFO"]).await;
            redis.does(&["SCRIPT", "KILL"]).await;
        };
        tokio::join!(script, fault);

        receives_again(&room, &mut mailbox).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_queues_recovers_once_its_user_may_call_info() {
    let redis = Redis::new().await;
    redis
        .does(&[
            "ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all",
        ])
        .await;
    let url = format!("redis://shop:secret@127.0.0.1:{}", redis.port());
    let config = RedisConfig::new(url).queue();
    let channels = Channels::redis(config).await.expect("Redis is there");
    let (mut mailbox, room) = member(&channels, "room.info").await;

    redis.does(&["ACL", "SETUSER", "shop", "-info"]).await;
    redis.does(&["CLIENT", "KILL", "USER", "shop"]).await;
    unhealthy(&channels, &["INFO"]).await;
    redis.does(&["ACL", "SETUSER", "shop", "+info"]).await;

    receives_again(&room, &mut mailbox).await;
}

/// Waits until the layer reports a failure with one of these words.
async fn unhealthy(channels: &Channels, words: &[&str]) {
    until("a failure", DEADLINE, async || {
        let error = channels.health().err()?.to_string();
        words.iter().any(|word| error.contains(word)).then_some(())
    })
    .await;
}

/// Waits until an event can be sent, and is received after the notice of a gap.
async fn receives_again(room: &Group<Said>, mailbox: &mut Mailbox) {
    until("a send", DEADLINE, async || {
        room.send(&said("again")).await.ok()
    })
    .await;
    next_is_a_notice(mailbox).await;
    assert_eq!(next_text(mailbox).await, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_a_limit_is_one_that_redis_accepts() {
    let redis = Redis::new().await;
    let channels = connect(&redis).await;
    let lot = channels.topic::<Said>("lot.7").unwrap();
    let lot = lot.history_size(usize::MAX).history_age(Duration::MAX);

    let position = lot.send(&said("sold")).await.expect("it is stored");

    assert_eq!(position.offset(), 1);
}
