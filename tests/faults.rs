//! Tests of faults of Redis, the network and processes, with an account of every message.
//!
//! Each fault has a [`Stage`] of its own. Outages take time, so faults of one group run
//! concurrently: the first test that needs one of them runs the group, and the others wait for it.

use seaway::Channels;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::OnceLock, thread, time::Duration};

use seaway_tests::support::{
    Redis, Server, Stage, Verdict,
    proxy::{Side, Wire},
};
use tokio::{runtime, time::sleep};

use Fault::*;

/// The event of the arena's rooms.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl seaway::Event for Said {}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    Killed,
    KilledWithAof,
    KilledTwice,
    KilledBehindProxy,
    KilledWhileFrozen,
    Stopped,
    StoppedForLong,
    Stalled,
    Losing,
    Reset,
    Delayed,
    ClientsKilled,
    Flushed,
    OutOfMemory,
    WrongPassword,
    ProcessKilled,
    SubscriberCut,
    LateSubscription,
}

/// Faults that run at the same time.
const GROUPS: [&[Fault]; 4] = [
    &[Killed, KilledWithAof, KilledTwice, Flushed],
    &[
        KilledBehindProxy,
        KilledWhileFrozen,
        ProcessKilled,
        OutOfMemory,
    ],
    &[Stopped, Stalled, Losing, Reset, Delayed],
    &[
        ClientsKilled,
        WrongPassword,
        SubscriberCut,
        LateSubscription,
        StoppedForLong,
    ],
];

#[test]
fn redis_killed_and_restarted_loses_nothing_and_closes_no_socket() {
    let verdict = Killed.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn redis_killed_and_restarted_with_its_data_loses_nothing_and_closes_no_socket() {
    let verdict = KilledWithAof.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn redis_killed_again_right_after_its_restart_loses_nothing_silently() {
    let verdict = KilledTwice.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn redis_restarted_behind_a_proxy_that_still_listens_loses_nothing_silently() {
    let verdict = KilledBehindProxy.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn redis_restarted_while_a_process_is_suspended_loses_nothing_silently() {
    let verdict = KilledWhileFrozen.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn redis_suspended_for_five_seconds_loses_nothing_and_closes_no_socket() {
    let verdict = Stopped.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn redis_suspended_for_longer_than_the_send_timeout_loses_nothing_silently() {
    let verdict = StoppedForLong.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn a_network_that_stalls_for_five_seconds_loses_nothing_and_closes_no_socket() {
    let verdict = Stalled.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn a_network_that_drops_five_seconds_of_bytes_and_resets_loses_nothing_silently() {
    let verdict = Losing.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn a_network_that_resets_every_connection_once_loses_nothing_silently() {
    let verdict = Reset.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn a_network_with_100_ms_of_latency_loses_nothing_and_closes_no_socket() {
    let verdict = Delayed.verdict();

    verdict.is_complete();
}

#[test]
fn client_kill_loses_nothing_silently() {
    let verdict = ClientsKilled.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn flushall_loses_nothing_and_closes_no_socket() {
    let verdict = Flushed.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn a_redis_at_its_maxmemory_loses_nothing_and_closes_no_socket() {
    let verdict = OutOfMemory.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn a_password_that_is_wrong_for_two_seconds_loses_nothing_silently() {
    let verdict = WrongPassword.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn a_killed_process_loses_nothing_for_clients_of_the_other() {
    let verdict = ProcessKilled.verdict();

    verdict.is_honest();
    let only_its_own = HashMap::from([(None, 20)]);
    let closed: HashMap<_, _> = verdict.account.closed.clone().into_iter().collect();
    assert_eq!(closed, only_its_own, "{verdict:#}");
}

#[test]
fn a_process_whose_subscriber_is_disconnected_for_three_seconds_notifies_its_clients() {
    let verdict = SubscriberCut.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn three_seconds_of_latency_during_a_join_lose_nothing_and_close_no_socket() {
    let verdict = LateSubscription.verdict();

    verdict.is_complete();
}

/// A suspended process has a backlog in Redis, which is lost when Redis is killed.
#[tokio::test]
async fn the_backlog_of_a_killed_redis_is_not_lost_silently() {
    /// More than the kernels buffer for a connection, less than Redis buffers for a subscriber.
    const EVENTS: usize = 1000;
    let mut redis = Redis::new().await;
    let mut arena = Server::arena_on(&redis).await;
    let mut client = arena.client("/ws/room/harbour").await;
    let channels = Channels::redis(redis.url()).await.expect("Redis is there");
    let room = channels.group::<Said>("room.harbour").unwrap();
    let text = "x".repeat(16 * 1024);

    arena.freeze();
    for _ in 0..EVENTS {
        let said = Said { text: text.clone() };
        room.send(&said).await.expect("Redis takes it");
    }
    redis.stop();
    arena.thaw();
    redis.start().await;

    let (mut received, mut closed) = (0, None);
    while received < EVENTS && closed.is_none() {
        match client.next_within(Duration::from_secs(3)).await {
            Some(Ok(_)) => received += 1,
            Some(Err(code)) => closed = Some(code),
            None => break,
        }
    }
    println!("{received} of {EVENTS}; closed {closed:?}");
    let is_told = closed.is_some();
    assert!(
        received == EVENTS || is_told,
        "{received} of {EVENTS}, and nobody was told"
    );
}

impl Fault {
    /// Returns the effects of this fault. Runs the faults of its group, unless another test has.
    fn verdict(self) -> &'static Verdict {
        static VERDICTS: [OnceLock<Verdicts>; GROUPS.len()] =
            [const { OnceLock::new() }; GROUPS.len()];

        let number = GROUPS.iter().position(|group| group.contains(&self));
        let number = number.expect("every fault is in a group");
        let verdicts = VERDICTS[number].get_or_init(|| happen(GROUPS[number]));
        let verdict = verdicts.get(&self);
        verdict.unwrap_or_else(|| panic!("{self:?} did not come to its end; the panic is above"))
    }

    fn happens_alone(self) -> Verdict {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let verdict = runtime.expect("a runtime").block_on(self.happens());
        println!("{self:?}: {verdict}");
        verdict
    }

    async fn happens(self) -> Verdict {
        match self {
            Killed => killed(Stage::directly_on(Redis::new().await).await).await,
            KilledWithAof => killed_with_aof().await,
            KilledTwice => killed_twice().await,
            KilledBehindProxy => killed(Stage::on(Redis::new().await).await).await,
            KilledWhileFrozen => killed_while_frozen().await,
            Stopped => stopped(Duration::from_secs(5)).await,
            StoppedForLong => stopped(Duration::from_secs(13)).await,
            Stalled => stalled().await,
            Losing => losing().await,
            Reset => reset().await,
            Delayed => delayed().await,
            ClientsKilled => clients_killed().await,
            Flushed => does(&["FLUSHALL"]).await,
            OutOfMemory => does(&["CONFIG", "SET", "maxmemory", "1"]).await,
            WrongPassword => wrong_password().await,
            ProcessKilled => process_killed().await,
            SubscriberCut => subscriber_cut().await,
            LateSubscription => late_subscription().await,
        }
    }
}

/// The verdicts of the faults whose run finished.
type Verdicts = HashMap<Fault, Verdict>;

/// Runs these faults concurrently, each in its own thread.
fn happen(faults: &[Fault]) -> Verdicts {
    thread::scope(|scope| {
        let start = |fault: Fault| (fault, scope.spawn(move || fault.happens_alone()));
        let running: Vec<_> = faults.iter().copied().map(start).collect();
        let ended = running.into_iter().filter_map(|(fault, thread)| {
            // A panic concerns this fault alone, and its message is printed already.
            Some((fault, thread.join().ok()?))
        });
        ended.collect()
    })
}

async fn killed(mut stage: Stage) -> Verdict {
    stage.redis.stop();
    sleep(Duration::from_secs(2)).await;
    stage.redis.start().await;
    stage.verdict().await
}

/// Kills a Redis with an AOF, which it loads on restart while it responds `LOADING`.
async fn killed_with_aof() -> Verdict {
    let redis = Redis::with(&["--appendonly", "yes"]).await;
    let fill = "for i = 1, 50000 do redis.call('SET', 'key' .. i, i) end";
    redis.does(&["EVAL", fill, "0"]).await;
    killed(Stage::directly_on(redis).await).await
}

/// Kills Redis a second time while the processes are subscribing, or have just begun to publish.
async fn killed_twice() -> Verdict {
    let mut stage = Stage::directly_on(Redis::new().await).await;
    for _ in 0..2 {
        stage.redis.stop();
        sleep(Duration::from_secs(1)).await;
        stage.redis.start().await;
        sleep(Duration::from_millis(300)).await;
    }
    stage.redis.stop();
    sleep(Duration::from_secs(1)).await;
    stage.redis.start().await;
    stage.verdict().await
}

/// Kills Redis while a process is suspended: the other one reconnects and publishes long before
/// this one notices.
async fn killed_while_frozen() -> Verdict {
    let mut stage = Stage::directly_on(Redis::new().await).await;
    stage.arenas[1].freeze();
    stage.redis.stop();
    sleep(Duration::from_secs(1)).await;
    stage.redis.start().await;
    sleep(Duration::from_secs(3)).await;
    stage.arenas[1].thaw();
    stage.verdict().await
}

async fn stopped(length: Duration) -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.redis.freeze();
    sleep(length).await;
    stage.redis.thaw();
    stage.verdict().await
}

async fn stalled() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.set_wires(|wire| wire.set(Wire::Stalled));
    sleep(Duration::from_secs(5)).await;
    stage.set_wires(|wire| wire.mend());
    stage.verdict().await
}

async fn losing() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.set_wires(|wire| wire.set(Wire::Losing));
    sleep(Duration::from_secs(5)).await;
    stage.set_wires(|wire| {
        wire.reset();
        wire.mend();
    });
    stage.verdict().await
}

async fn reset() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.set_wires(|wire| wire.reset());
    stage.verdict().await
}

async fn delayed() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.set_wires(|wire| wire.set(Wire::Late(Duration::from_millis(100))));
    sleep(Duration::from_secs(3)).await;
    stage.set_wires(|wire| wire.mend());
    stage.verdict().await
}

/// Runs CLIENT KILL for command connections first, and for subscriber connections shortly after.
async fn clients_killed() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage
        .redis
        .does(&["CLIENT", "KILL", "TYPE", "normal"])
        .await;
    sleep(Duration::from_secs(2)).await;
    stage
        .redis
        .does(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await;
    stage.verdict().await
}

/// Runs a Redis command that must not affect the layer.
async fn does(command: &[&str]) -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.redis.does(command).await;
    stage.verdict().await
}

async fn wrong_password() -> Verdict {
    let mut stage = Stage::on(Redis::with_password("first").await).await;
    stage.redis.change_password("second").await;
    for kind in ["normal", "pubsub"] {
        stage.redis.does(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    sleep(Duration::from_secs(2)).await;
    stage.redis.change_password("first").await;
    stage.verdict().await
}

async fn process_killed() -> Verdict {
    let mut stage = Stage::on(Redis::new().await).await;
    stage.kill_process(1, Duration::from_secs(2)).await;
    stage.verdict().await
}

async fn subscriber_cut() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.wires[1].set_side(Side::Subscriber, Wire::Cut);
    sleep(Duration::from_secs(3)).await;
    stage.wires[1].mend();
    stage.verdict().await
}

async fn late_subscription() -> Verdict {
    let mut stage = Stage::on(Redis::new().await).await;
    stage.set_wires(|wire| wire.set(Wire::Late(Duration::from_secs(3))));
    sleep(Duration::from_secs(1)).await;
    stage.enter_a_new_room();
    sleep(Duration::from_secs(7)).await;
    stage.set_wires(|wire| wire.mend());
    stage.verdict().await
}
