//! Faults of Redis, of the network and of a process, and what becomes of every message.
//!
//! Each fault happens to a [`Stage`] of its own. Outages take their time, so faults of one group run at once: the first
//! test that asks for one of them runs the group, and the others wait for it.

use std::{collections::HashMap, sync::OnceLock, thread, time::Duration};

use seaway_tests::support::{
    Redis, Stage, Verdict,
    proxy::{Side, Wire},
};
use tokio::{runtime, time::sleep};

use Fault::*;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fault {
    Killed,
    KilledWithAof,
    KilledTwice,
    KilledBehindProxy,
    KilledWhileFrozen,
    Stopped,
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
fn redis_killed_again_as_soon_as_it_is_back_loses_nothing_in_silence() {
    let verdict = KilledTwice.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn redis_restarted_behind_a_proxy_that_still_listens_loses_nothing_in_silence() {
    let verdict = KilledBehindProxy.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn redis_restarted_while_a_process_does_not_run_loses_nothing_in_silence() {
    let verdict = KilledWhileFrozen.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn redis_stopped_for_five_seconds_loses_nothing_and_closes_no_socket() {
    let verdict = Stopped.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn a_network_that_stalls_for_five_seconds_loses_nothing_and_closes_no_socket() {
    let verdict = Stalled.verdict();

    verdict.is_complete();
    verdict.resumed_in_time();
}

#[test]
fn a_network_that_loses_five_seconds_of_bytes_and_resets_loses_nothing_in_silence() {
    let verdict = Losing.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn a_network_that_resets_every_connection_once_loses_nothing_in_silence() {
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
fn client_kill_loses_nothing_in_silence() {
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
fn a_password_that_is_wrong_for_two_seconds_loses_nothing_in_silence() {
    let verdict = WrongPassword.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn a_process_that_is_killed_takes_nothing_from_the_clients_of_the_other() {
    let verdict = ProcessKilled.verdict();

    verdict.is_honest();
    let only_its_own = HashMap::from([(None, 20)]);
    let closed: HashMap<_, _> = verdict.account.closed.clone().into_iter().collect();
    assert_eq!(closed, only_its_own, "{verdict:#}");
}

#[test]
fn a_process_whose_subscriber_is_kept_out_for_three_seconds_tells_its_clients() {
    let verdict = SubscriberCut.verdict();

    verdict.is_honest();
    verdict.resumed_in_time();
}

#[test]
fn three_seconds_of_latency_while_a_room_is_entered_lose_nothing_and_close_no_socket() {
    let verdict = LateSubscription.verdict();

    verdict.is_complete();
}

impl Fault {
    /// What it has done. Runs the faults of its group, unless another test has.
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
        if std::env::var_os("FAULTS_VERBOSE").is_some() {
            println!("{self:?}: {verdict:#}");
        } else {
            println!("{self:?}: {verdict}");
        }
        verdict
    }

    async fn happens(self) -> Verdict {
        match self {
            Killed => killed(Stage::directly_on(Redis::new().await).await).await,
            KilledWithAof => killed_with_aof().await,
            KilledTwice => killed_twice().await,
            KilledBehindProxy => killed(Stage::on(Redis::new().await).await).await,
            KilledWhileFrozen => killed_while_frozen().await,
            Stopped => stopped().await,
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

/// Those that came to their end.
type Verdicts = HashMap<Fault, Verdict>;

/// Lets these faults happen at once, each in a thread of its own.
fn happen(faults: &[Fault]) -> Verdicts {
    thread::scope(|scope| {
        let start = |fault: Fault| (fault, scope.spawn(move || fault.happens_alone()));
        let running: Vec<_> = faults.iter().copied().map(start).collect();
        let ended = running.into_iter().filter_map(|(fault, thread)| {
            // A panic is this fault's own, and its message is shown already.
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

/// Redis has something to load, and says `LOADING` for a moment.
async fn killed_with_aof() -> Verdict {
    let redis = Redis::with(&["--appendonly", "yes"]).await;
    let fill = "for i = 1, 50000 do redis.call('SET', 'key' .. i, i) end";
    redis.does(&["EVAL", fill, "0"]).await;
    killed(Stage::directly_on(redis).await).await
}

/// The second time comes while the processes are subscribing, or have just begun to publish.
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

/// The other process reconnects and publishes long before this one finds out.
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

async fn stopped() -> Verdict {
    let stage = Stage::on(Redis::new().await).await;
    stage.redis.freeze();
    sleep(Duration::from_secs(5)).await;
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

/// Commands first, subscriptions a moment later.
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

/// A command that is none of the layer's business.
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
    stage.arenas[1].kill();
    sleep(Duration::from_secs(2)).await;
    stage.arenas[1].start().await;
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
