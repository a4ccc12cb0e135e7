//! Tests of the wire format `queue`: the memberships that it stores, and the events that wait.

use super::{
    log::Log,
    said::{Said, connect, member, next_is_a_notice, next_text, queue, said},
    subscriptions::rejected,
};
use seaway::{
    ChannelName, Channels, ErrorKind, Group,
    channels::{Envelope, Mailbox, redis::RedisConfig},
};
use seaway_tests::support::{
    Redis, Server,
    wait::{DEADLINE, until},
};
use std::time::Duration;
use tokio::{join, time::timeout};

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
async fn a_long_wait_for_a_job_lets_redis_reply_to_pings() {
    let redis = Redis::new().await;
    let channels = connect(&redis).await;
    let jobs = ChannelName::new("jobs").unwrap();

    let waiting = channels.layer().receive(&jobs, DEADLINE);
    let asked_again = until("a second BZPOPMIN", DEADLINE / 2, async || {
        (calls(&redis, "bzpopmin").await > 1).then_some(())
    });

    tokio::select! {
        () = asked_again => {}
        received = waiting => panic!("it did not wait: {received:?}"),
    }
}

/// Returns how often Redis has run a command.
pub(super) async fn calls(redis: &Redis, command: &str) -> u64 {
    let stats = redis.does(&["INFO", "commandstats"]).await;
    let of_command = format!("cmdstat_{command}:calls=");
    let count = stats
        .lines()
        .find_map(|line| line.strip_prefix(&of_command));
    let count = count.and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test]
async fn an_idle_process_misses_no_event_however_early_these_expire() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url())
        .queue()
        .expiry(Duration::from_secs(1));
    let channels = Channels::redis(config).await.unwrap();
    let (mut mailbox, room) = member(&channels, "room").await;

    let before = calls(&redis, "bzpopmin").await;
    until("replies without an event", DEADLINE, async || {
        (calls(&redis, "bzpopmin").await >= before + 4).then_some(())
    })
    .await;

    room.send(&said("the first")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "the first");
}

#[tokio::test]
async fn an_expiry_may_be_as_long_as_possible() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url())
        .queue()
        .expiry(Duration::MAX)
        .group_expiry(Duration::MAX)
        .symmetric_encryption_keys(["secret"]);
    let channels = Channels::redis(config).await.unwrap();
    let (mut mailbox, room) = member(&channels, "room").await;

    room.send(&said("received")).await.unwrap();

    assert_eq!(next_text(&mut mailbox).await, "received");
}

#[tokio::test]
async fn a_process_leaves_a_group_that_only_redis_believes_it_is_in() {
    let redis = Redis::new().await;
    let (here, there) = (queue(&redis).await, queue(&redis).await);
    let mailbox = here.open().await.unwrap();
    let room = here.group::<Said>("room").unwrap();
    room.add(mailbox.name()).await.unwrap();
    let members = redis.does(&["ZRANGE", "asgi:group:room", "0", "-1"]).await;
    let proxy = members.lines().find(|line| line.contains("room")).unwrap();
    let stale = proxy.replace("room", "hall");
    redis
        .does(&["ZADD", "asgi:group:hall", "9999999999", &stale])
        .await;

    let hall = there.group::<Said>("hall").unwrap();
    hall.send(&said("anybody here?")).await.unwrap();

    until("it has left", DEADLINE, async || {
        (redis.does(&["EXISTS", "asgi:group:hall"]).await == ":0\r\n").then_some(())
    })
    .await;
    assert_eq!(redis.does(&["ZCARD", "asgi:group:room"]).await, ":1\r\n");
}

#[tokio::test]
async fn the_error_of_a_group_whose_key_is_of_another_type_names_the_key() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room").unwrap();
    redis.does(&["SET", "asgi:group:room", "x"]).await;

    let error = room.send(&said("x")).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Layer);
    let error = format!("{error:#}");
    for part in ["asgi:group:room", "delete the key", "WRONGTYPE"] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[tokio::test]
async fn a_join_that_redis_refuses_fails_alone() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut member_of_hall, hall) = member(&channels, "hall").await;
    let mut mailbox = channels.open().await.unwrap();
    let room = channels.group::<Said>("room").unwrap();
    let lobby = channels.group::<Said>("lobby").unwrap();
    redis.does(&["SET", "asgi:group:room", "x"]).await;

    // In one command, of which Redis refuses a part.
    let (refused, joined) = join!(room.add(mailbox.name()), lobby.add(mailbox.name()));

    let error = format!("{:#}", refused.unwrap_err());
    assert!(error.contains("WRONGTYPE"), "{error}");
    joined.unwrap();
    lobby.send(&said("to the lobby")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "to the lobby");
    hall.send(&said("to the hall")).await.unwrap();
    assert_eq!(next_text(&mut member_of_hall).await, "to the hall");
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

#[tokio::test]
async fn a_process_that_redis_forgot_while_it_reconnected_notifies_its_consumers() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;
    redis.until_waited_for().await;
    let heartbeat = redis.does(&["KEYS", "*$alive"]).await;
    let heartbeat = heartbeat.lines().nth(2).expect("a key");

    redis.does(&["DEL", heartbeat]).await;
    // Not that of the connection that reads the queue, which is blocked.
    let clients = redis.does(&["CLIENT", "LIST", "TYPE", "normal"]).await;
    let unblocked = clients.lines().filter(|line| line.contains(" flags=N "));
    for client in unblocked {
        let (_, id) = client.split_once("id=").expect("an id");
        let (id, _) = id.split_once(' ').expect("further fields");
        redis.ask(&["CLIENT", "KILL", "ID", id]).await;
    }

    next_is_a_notice(&mut mailbox).await;
    receives_again(&room, &mut mailbox).await;
}

#[tokio::test]
async fn a_restart_in_which_nothing_was_sent_notifies_nobody() {
    let mut redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;

    // On a busy machine, the process cannot exclude that it did not notice a run of Redis.
    for _ in 0..5 {
        until_idle(&redis).await;
        redis.stop();
        redis.start().await;
        until("the membership", DEADLINE, async || {
            let is_member = redis.does(&["EXISTS", "asgi:group:room"]).await == ":1\r\n";
            (is_member && channels.health().is_ok()).then_some(())
        })
        .await;
        room.send(&said("back")).await.unwrap();
        let next = timeout(DEADLINE, mailbox.receive()).await.unwrap();
        if next.is_ok() {
            return;
        }
        assert_eq!(next_text(&mut mailbox).await, "back");
    }
    panic!("a notice of a gap after each of five restarts");
}

/// Waits until the process that reads a queue has received a reply long after it sent the commands
/// that wait now.
async fn until_idle(redis: &Redis) {
    until("a third read of the queue", DEADLINE, async || {
        let stats = redis.does(&["INFO", "commandstats"]).await;
        let line = |line: &str| {
            let calls = line.strip_prefix("cmdstat_bzpopmin:calls=")?;
            calls.split(',').next()?.parse::<u32>().ok()
        };
        stats.lines().find_map(line).filter(|calls| *calls >= 3)
    })
    .await;
}

#[tokio::test]
async fn a_process_waits_for_the_data_that_redis_loads() {
    let (log, _listening) = Log::listen();
    // 3,000 keys take 1.5 s.
    let slow = [
        &["--key-load-delay", "500"][..],
        &["--loading-process-events-interval-bytes", "1024"],
    ];
    let mut redis = Redis::with(&slow.concat()).await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;
    let script = "for key = 1, 3000 do redis.call('SET', key, key) end";
    redis.does(&["EVAL", script, "0"]).await;
    redis.does(&["SAVE"]).await;

    redis.stop();
    redis.start().await;

    receives_again(&room, &mut mailbox).await;
    let refused = log.lines("cannot subscribe; retrying");
    assert!(refused.is_empty(), "{refused:?}");
}

/// Sends events until one is received: a notice may precede it.
pub(super) async fn receives_again(room: &Group<Said>, mailbox: &mut Mailbox) {
    until("an event", DEADLINE, async || {
        room.send(&said("back")).await.ok()?;
        let received = timeout(DEADLINE, mailbox.receive()).await.unwrap();
        received.is_ok().then_some(())
    })
    .await;
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

/// Redis at its `maxmemory` refuses even to add a member that it has.
#[tokio::test]
async fn a_membership_that_redis_refuses_to_renew_remains_and_is_renewed_later() {
    let (log, _listening) = Log::listen();
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url())
        .queue()
        .group_expiry(Duration::from_secs(12));
    let channels = Channels::redis(config).await.unwrap();
    let (mut mailbox, room) = member(&channels, "room").await;
    let scored = &["ZRANGE", "asgi:group:room", "0", "-1", "WITHSCORES"];
    let joined = redis.does(scored).await;

    redis.does(&["CONFIG", "SET", "maxmemory", "1"]).await;
    until("a refused renewal", DEADLINE, async || {
        (rejected(&redis, "zadd").await > 0).then_some(())
    })
    .await;
    let mut other = channels.open().await.unwrap();
    room.add(other.name()).await.expect("the group exists");
    room.send(&said("full")).await.unwrap();
    for member in [&mut mailbox, &mut other] {
        assert_eq!(next_text(member).await, "full");
    }
    redis.does(&["CONFIG", "SET", "maxmemory", "0"]).await;

    until("it is renewed", DEADLINE, async || {
        (redis.does(scored).await != joined).then_some(())
    })
    .await;
    room.send(&said("still here")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "still here");
    let refused = log.lines("cannot renew a membership before it expires; retrying");
    assert!(refused[0].contains("maxmemory"), "{refused:?}");
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
async fn a_job_of_another_key_is_lost_with_an_error_that_names_its_channel() {
    let redis = Redis::new().await;
    let keyed = async |key: &str| {
        let config = RedisConfig::new(redis.url()).symmetric_encryption_keys([key]);
        Channels::redis(config).await.unwrap()
    };
    let (old, new) = (keyed("old").await, keyed("new").await);
    let jobs = ChannelName::new("images").unwrap();
    let (log, _listening) = Log::listen();

    new.send(&jobs, &said("lost")).await.unwrap();
    let job = old.layer().receive(&jobs, Duration::ZERO).await.unwrap();
    assert!(job.is_none());

    let lines = log.lines("lost a job that could not be decoded");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["ERROR", "channel=images", "encrypt"] {
        assert!(lines[0].contains(part), "{part} in {lines:?}");
    }
}
