//! How each fault is caused.

use super::{
    Fault::{self, *},
    Layer::PubSub,
};
use std::time::Duration;

use seaway_tests::support::{
    Cluster, FaultSetup, Redis, Sentinels, Verdict,
    proxy::{Side, Wire},
};
use tokio::time::sleep;

impl Fault {
    /// Causes this fault, and returns its effects.
    pub(super) async fn happens(self, layer: &str) -> Verdict {
        match self {
            Killed => killed(FaultSetup::directly_on(Redis::new().await, layer).await).await,
            KilledWithAof => killed_with_aof(layer).await,
            KilledTwice => killed_twice(layer).await,
            KilledBehindProxy => killed(FaultSetup::on(Redis::new().await, layer).await).await,
            KilledWhileFrozen => killed_while_frozen(layer).await,
            Stopped => stopped(Duration::from_secs(5), layer).await,
            StoppedForLong => stopped(Duration::from_secs(13), layer).await,
            Stalled => stalled(layer).await,
            Losing => losing(layer).await,
            Reset => reset(layer).await,
            Delayed => delayed(layer).await,
            ClientsKilled => clients_killed(layer).await,
            Flushed => does(&["FLUSHALL"], layer).await,
            OutOfMemory => out_of_memory(layer).await,
            WrongPassword => wrong_password(layer).await,
            ProcessKilled => process_killed(layer).await,
            SubscriberCut => subscriber_cut(layer).await,
            LateSubscription => late_subscription(layer).await,
            HostKilled => host_killed(layer).await,
            PrimaryKilled => primary_killed(layer).await,
            PrimaryReplaced => primary_replaced(layer).await,
            PrimaryOfClusterKilled => primary_of_cluster_killed(layer).await,
            PrimaryOfClusterReplaced => primary_of_cluster_replaced(layer).await,
            SlotsMoved => slots_moved(layer).await,
        }
    }
}

async fn killed(mut setup: FaultSetup) -> Verdict {
    setup.redis.stop();
    sleep(Duration::from_secs(2)).await;
    setup.redis.start().await;
    setup.verdict().await
}

/// Kills a Redis with an AOF, which it loads on restart while it responds `LOADING`.
async fn killed_with_aof(layer: &str) -> Verdict {
    let redis = Redis::with(&["--appendonly", "yes"]).await;
    let fill = "for i = 1, 50000 do redis.call('SET', 'key' .. i, i) end";
    redis.does(&["EVAL", fill, "0"]).await;
    killed(FaultSetup::directly_on(redis, layer).await).await
}

/// Kills Redis a second time while the processes are subscribing, or have just begun to publish.
async fn killed_twice(layer: &str) -> Verdict {
    let mut setup = FaultSetup::directly_on(Redis::new().await, layer).await;
    for _ in 0..2 {
        setup.redis.stop();
        sleep(Duration::from_secs(1)).await;
        setup.redis.start().await;
        sleep(Duration::from_millis(300)).await;
    }
    setup.redis.stop();
    sleep(Duration::from_secs(1)).await;
    setup.redis.start().await;
    setup.verdict().await
}

/// Kills Redis while a process is suspended: the other one reconnects and publishes long before
/// this one notices.
async fn killed_while_frozen(layer: &str) -> Verdict {
    let mut setup = FaultSetup::directly_on(Redis::new().await, layer).await;
    setup.arenas[1].freeze();
    setup.redis.stop();
    sleep(Duration::from_secs(1)).await;
    setup.redis.start().await;
    sleep(Duration::from_secs(3)).await;
    setup.arenas[1].thaw();
    setup.verdict().await
}

async fn stopped(length: Duration, layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.redis.freeze();
    sleep(length).await;
    setup.redis.thaw();
    setup.verdict().await
}

async fn stalled(layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.set_wires(|wire| wire.set(Wire::Stalled));
    sleep(Duration::from_secs(5)).await;
    setup.set_wires(|wire| wire.restore());
    setup.verdict().await
}

async fn losing(layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.set_wires(|wire| wire.set(Wire::Losing));
    sleep(Duration::from_secs(5)).await;
    setup.set_wires(|wire| {
        wire.reset();
        wire.restore();
    });
    setup.verdict().await
}

async fn reset(layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.set_wires(|wire| wire.reset());
    setup.verdict().await
}

async fn delayed(layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.set_wires(|wire| wire.set(Wire::Late(Duration::from_millis(100))));
    sleep(Duration::from_secs(3)).await;
    setup.set_wires(|wire| wire.restore());
    setup.verdict().await
}

/// Runs CLIENT KILL for command connections first, and for subscriber connections shortly after.
async fn clients_killed(layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup
        .redis
        .does(&["CLIENT", "KILL", "TYPE", "normal"])
        .await;
    sleep(Duration::from_secs(2)).await;
    setup
        .redis
        .does(&["CLIENT", "KILL", "TYPE", "pubsub"])
        .await;
    setup.verdict().await
}

/// Runs a Redis command that must not affect the layer.
async fn does(command: &[&str], layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.redis.does(command).await;
    setup.verdict().await
}

/// With queues, Redis refuses events and joins meanwhile; clients come back when it has memory
/// again.
async fn out_of_memory(layer: &str) -> Verdict {
    let command = ["CONFIG", "SET", "maxmemory", "1"];
    if layer == PubSub.name() {
        return does(&command, layer).await;
    }
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.redis.does(&command).await;
    sleep(Duration::from_secs(2)).await;
    setup.redis.does(&["CONFIG", "SET", "maxmemory", "0"]).await;
    setup.verdict().await
}

async fn wrong_password(layer: &str) -> Verdict {
    let mut setup = FaultSetup::on(Redis::with_password("first").await, layer).await;
    setup.redis.change_password("second").await;
    for kind in ["normal", "pubsub"] {
        setup.redis.does(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    sleep(Duration::from_secs(2)).await;
    setup.redis.change_password("first").await;
    setup.verdict().await
}

async fn process_killed(layer: &str) -> Verdict {
    let mut setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.kill_process(1, Duration::from_secs(2)).await;
    setup.verdict().await
}

async fn subscriber_cut(layer: &str) -> Verdict {
    let setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.wires[1].set_side(Side::Subscriber, Wire::Cut);
    sleep(Duration::from_secs(3)).await;
    setup.wires[1].restore();
    setup.verdict().await
}

async fn late_subscription(layer: &str) -> Verdict {
    let mut setup = FaultSetup::on(Redis::new().await, layer).await;
    setup.set_wires(|wire| wire.set(Wire::Late(Duration::from_secs(3))));
    sleep(Duration::from_secs(1)).await;
    setup.enter_a_new_room();
    sleep(Duration::from_secs(7)).await;
    setup.set_wires(|wire| wire.restore());
    setup.verdict().await
}

/// Kills one of two independent servers, which have two of the four rooms each.
async fn host_killed(layer: &str) -> Verdict {
    let hosts = [Redis::new().await, Redis::new().await];
    let urls = hosts.each_ref().map(Redis::url);
    let mut setup = FaultSetup::beside(hosts, &urls, layer).await;
    setup.redis[0].stop();
    sleep(Duration::from_secs(2)).await;
    setup.redis[0].start().await;
    setup.verdict().await
}

async fn primary_killed(layer: &str) -> Verdict {
    let sentinels = Sentinels::new().await;
    let url = sentinels.url();
    let mut setup = FaultSetup::beside(sentinels, &[url], layer).await;
    setup.redis.kill_primary().await;
    setup.verdict().await
}

/// Replaces a primary that continues as a replica.
async fn primary_replaced(layer: &str) -> Verdict {
    let sentinels = Sentinels::new().await;
    let url = sentinels.url();
    let mut setup = FaultSetup::beside(sentinels, &[url], layer).await;
    setup.redis.fail_over().await;
    setup.verdict().await
}

async fn primary_of_cluster_killed(layer: &str) -> Verdict {
    let cluster = Cluster::new().await;
    let url = cluster.url();
    let mut setup = FaultSetup::beside(cluster, &[url], layer).await;
    setup.redis.kill_primary(1).await;
    setup.verdict().await
}

/// Replaces all primaries of a Cluster; they continue as replicas.
async fn primary_of_cluster_replaced(layer: &str) -> Verdict {
    let cluster = Cluster::new().await;
    let url = cluster.url();
    let setup = FaultSetup::beside(cluster, &[url], layer).await;
    for number in 0..3 {
        setup.redis.fail_over(number).await;
    }
    setup.verdict().await
}

/// Moves all slots with rooms to another primary. They have no keys with pub/sub.
async fn slots_moved(layer: &str) -> Verdict {
    let cluster = Cluster::new().await;
    let url = cluster.url();
    let setup = FaultSetup::beside(cluster, &[url], layer).await;
    for part in 0..16 {
        let slot = 1024 * part + 512;
        // The slot of a shard is within two of this one.
        for slot in slot - 2..=slot + 2 {
            let owner = usize::from(slot) * 3 / 16384;
            setup.redis.move_slot(slot, (owner + 1) % 3).await;
        }
    }
    setup.verdict().await
}
