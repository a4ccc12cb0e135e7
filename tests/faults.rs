//! Tests of faults of Redis, the network and processes, with an account of every message.
//!
//! Each fault has a [`FaultSetup`] of its own. Outages take time, so faults of one group run
//! concurrently: the first test that needs one of them runs the group, and the others wait for it.

mod causes;

use seaway::Channels;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::OnceLock, thread, time::Duration};

use seaway_tests::support::{Redis, Server, Verdict};
use tokio::runtime;

use Fault::*;
use Layer::*;

/// The event of the arena's rooms.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl seaway::Event for Said {}

/// A wire format, as the arena's option `--layer` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Layer {
    PubSub,
    Queue,
}

impl Layer {
    fn name(self) -> &'static str {
        match self {
            Self::PubSub => "pubsub",
            Self::Queue => "queue",
        }
    }
}

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
    HostKilled,
    PrimaryKilled,
    PrimaryReplaced,
    PrimaryOfClusterKilled,
    PrimaryOfClusterReplaced,
    SlotsMoved,
}

/// Faults that run at the same time.
const GROUPS: [&[Fault]; 6] = [
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
    &[HostKilled, PrimaryKilled, PrimaryReplaced],
    &[PrimaryOfClusterKilled, PrimaryOfClusterReplaced, SlotsMoved],
];

#[test]
fn redis_killed_and_restarted_loses_nothing_and_closes_no_socket() {
    let verdict = Killed.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn redis_killed_and_restarted_with_its_data_loses_nothing_and_closes_no_socket() {
    let verdict = KilledWithAof.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn redis_killed_again_right_after_its_restart_loses_nothing_silently() {
    let verdict = KilledTwice.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn redis_restarted_behind_a_proxy_that_still_listens_loses_nothing_silently() {
    let verdict = KilledBehindProxy.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn redis_restarted_while_a_process_is_suspended_loses_nothing_silently() {
    let verdict = KilledWhileFrozen.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn redis_suspended_for_five_seconds_loses_nothing_and_closes_no_socket() {
    let verdict = Stopped.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn redis_suspended_for_longer_than_the_send_timeout_loses_nothing_silently() {
    let verdict = StoppedForLong.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_network_that_stalls_for_five_seconds_loses_nothing_and_closes_no_socket() {
    let verdict = Stalled.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_network_that_drops_five_seconds_of_bytes_and_resets_loses_nothing_silently() {
    let verdict = Losing.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_network_that_resets_every_connection_once_loses_nothing_silently() {
    let verdict = Reset.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_network_with_100_ms_of_latency_loses_nothing_and_closes_no_socket() {
    let verdict = Delayed.verdict(PubSub);

    verdict.assert_complete();
}

#[test]
fn client_kill_loses_nothing_silently() {
    let verdict = ClientsKilled.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn flushall_loses_nothing_and_closes_no_socket() {
    let verdict = Flushed.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_redis_at_its_maxmemory_loses_nothing_and_closes_no_socket() {
    let verdict = OutOfMemory.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_password_that_is_wrong_for_two_seconds_loses_nothing_silently() {
    let verdict = WrongPassword.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_killed_process_loses_nothing_for_clients_of_the_other() {
    let verdict = ProcessKilled.verdict(PubSub);

    verdict.assert_honest();
    let only_its_own = HashMap::from([(None, 20)]);
    let closed: HashMap<_, _> = verdict.report.closed.clone().into_iter().collect();
    assert_eq!(closed, only_its_own, "{verdict:#}");
}

#[test]
fn a_process_whose_subscriber_is_disconnected_for_three_seconds_notifies_its_clients() {
    let verdict = SubscriberCut.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn three_seconds_of_latency_during_a_join_lose_nothing_and_close_no_socket() {
    let verdict = LateSubscription.verdict(PubSub);

    verdict.assert_complete();
}

#[test]
fn one_of_two_hosts_killed_and_restarted_loses_nothing_silently() {
    let verdict = HostKilled.verdict(PubSub);

    verdict.assert_complete();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_killed_primary_that_sentinels_replace_loses_nothing_silently() {
    let verdict = PrimaryKilled.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_primary_that_sentinels_replace_on_request_loses_nothing_silently() {
    let verdict = PrimaryReplaced.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_killed_primary_of_a_cluster_loses_nothing_silently() {
    let verdict = PrimaryOfClusterKilled.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_in_time();
}

#[test]
fn a_primary_of_a_cluster_that_is_replaced_on_request_loses_nothing_silently() {
    let verdict = PrimaryOfClusterReplaced.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_within(Duration::from_secs(3));
}

#[test]
fn slots_that_move_to_another_primary_lose_nothing_silently() {
    let verdict = SlotsMoved.verdict(PubSub);

    verdict.assert_honest();
    verdict.assert_resumed_within(Duration::from_secs(3));
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

/// The same faults with the wire format of queues.
mod with_queues {
    use super::{Fault::*, Layer::Queue};
    use std::time::Duration;

    /// A message takes two round trips, and Redis stores it meanwhile: a backlog takes longer.
    const RESUME: Duration = Duration::from_secs(3);

    #[test]
    fn redis_killed_and_restarted_loses_nothing_and_closes_no_socket() {
        let verdict = Killed.verdict(Queue);

        verdict.assert_complete();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn redis_killed_and_restarted_with_its_data_loses_nothing_silently() {
        let verdict = KilledWithAof.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn redis_killed_again_right_after_its_restart_loses_nothing_silently() {
        KilledTwice.verdict(Queue).assert_honest();
    }

    #[test]
    fn redis_restarted_behind_a_proxy_that_still_listens_loses_nothing_silently() {
        let verdict = KilledBehindProxy.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn redis_restarted_while_a_process_is_suspended_loses_nothing_silently() {
        KilledWhileFrozen.verdict(Queue).assert_honest();
    }

    #[test]
    fn redis_suspended_for_five_seconds_loses_nothing_and_closes_no_socket() {
        let verdict = Stopped.verdict(Queue);

        verdict.assert_complete();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn redis_suspended_for_longer_than_the_send_timeout_loses_nothing_silently() {
        StoppedForLong.verdict(Queue).assert_honest();
    }

    #[test]
    fn a_network_that_stalls_for_five_seconds_loses_nothing_and_closes_no_socket() {
        Stalled.verdict(Queue).assert_complete();
    }

    #[test]
    fn a_network_that_drops_five_seconds_of_bytes_and_resets_loses_nothing_silently() {
        let verdict = Losing.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_network_that_resets_every_connection_once_loses_nothing_silently() {
        let verdict = Reset.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_network_with_100_ms_of_latency_loses_nothing_and_closes_no_socket() {
        Delayed.verdict(Queue).assert_complete();
    }

    #[test]
    fn client_kill_loses_nothing_silently() {
        let verdict = ClientsKilled.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn flushall_loses_nothing_silently() {
        Flushed.verdict(Queue).assert_honest();
    }

    #[test]
    fn a_redis_at_its_maxmemory_loses_nothing_silently() {
        OutOfMemory.verdict(Queue).assert_honest();
    }

    #[test]
    fn a_password_that_is_wrong_for_two_seconds_loses_nothing_silently() {
        let verdict = WrongPassword.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_killed_process_loses_nothing_silently_for_clients_of_the_other() {
        ProcessKilled.verdict(Queue).assert_honest();
    }

    #[test]
    fn a_process_whose_reader_is_disconnected_for_three_seconds_notifies_its_clients() {
        let verdict = SubscriberCut.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn three_seconds_of_latency_during_a_join_lose_nothing_and_close_no_socket() {
        LateSubscription.verdict(Queue).assert_complete();
    }

    #[test]
    fn one_of_two_hosts_killed_and_restarted_loses_nothing_silently() {
        let verdict = HostKilled.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_killed_primary_that_sentinels_replace_loses_nothing_silently() {
        let verdict = PrimaryKilled.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_primary_that_sentinels_replace_on_request_loses_nothing_silently() {
        let verdict = PrimaryReplaced.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_killed_primary_of_a_cluster_loses_nothing_silently() {
        let verdict = PrimaryOfClusterKilled.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }

    #[test]
    fn a_primary_of_a_cluster_that_is_replaced_on_request_loses_nothing_silently() {
        let verdict = PrimaryOfClusterReplaced.verdict(Queue);

        verdict.assert_honest();
        verdict.assert_resumed_within(RESUME);
    }
}

impl Fault {
    /// Returns the effects of this fault. Runs the faults of its group, unless another test has.
    fn verdict(self, layer: Layer) -> &'static Verdict {
        type Groups = [OnceLock<Verdicts>; GROUPS.len()];
        static VERDICTS: [Groups; 2] = [const { [const { OnceLock::new() }; GROUPS.len()] }; 2];

        let number = GROUPS.iter().position(|group| group.contains(&self));
        let number = number.expect("every fault is in a group");
        let verdicts =
            VERDICTS[layer as usize][number].get_or_init(|| happen(GROUPS[number], layer));
        let verdict = verdicts.get(&self).expect("each fault of the group ran");
        match verdict {
            Ok(verdict) => verdict,
            Err(panic) => panic!("{self:?} did not finish: {panic}"),
        }
    }

    fn happens_alone(self, layer: Layer) -> Verdict {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let verdict = runtime
            .expect("a runtime")
            .block_on(self.happens(layer.name()));
        println!("{self:?}, {}: {verdict}", layer.name());
        verdict
    }
}

/// The verdict of each fault, or the message of the panic that ended its run.
///
/// The test harness prints a panic only in the output of the test that ran the group.
type Verdicts = HashMap<Fault, Result<Verdict, String>>;

/// Runs these faults concurrently, each in its own thread.
fn happen(faults: &[Fault], layer: Layer) -> Verdicts {
    thread::scope(|scope| {
        let start = |fault: Fault| (fault, scope.spawn(move || fault.happens_alone(layer)));
        let faults = faults.iter().copied();
        // Queues have keys: `CLUSTER SETSLOT NODE` refuses to give away a slot that has some.
        let faults = faults.filter(|fault| (*fault, layer) != (SlotsMoved, Queue));
        let running: Vec<_> = faults.map(start).collect();
        let ended = running.into_iter().map(|(fault, thread)| {
            let verdict = thread.join().map_err(|panic| match panic.downcast_ref() {
                Some(text) => String::clone(text),
                None => panic
                    .downcast_ref()
                    .copied()
                    .unwrap_or("no text")
                    .to_owned(),
            });
            (fault, verdict)
        });
        ended.collect()
    })
}
