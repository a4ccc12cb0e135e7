//! A Redis Cluster: three primaries with a replica each.

use super::{
    port::free_port,
    redis::Redis,
    wait::{DEADLINE, until},
};

/// The number of primaries; as many replicas follow them.
const PRIMARIES: usize = 3;

/// A Cluster whose nodes count as failed one second after they stop responding.
#[derive(Debug)]
pub struct Cluster {
    /// The first primaries, then the replica of each.
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts all nodes, and waits until they form a Cluster.
    pub async fn new() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..2 * PRIMARIES {
            let bus = free_port().to_string();
            let options = [
                &["--cluster-enabled", "yes", "--cluster-port", &bus][..],
                &["--cluster-node-timeout", "1000"],
                &["--cluster-require-full-coverage", "no"],
                &["--cluster-replica-validity-factor", "0"],
                &["--repl-diskless-sync-delay", "0"],
            ];
            nodes.push((Redis::with(&options.concat()).await, bus));
        }
        for (number, (node, _)) in nodes.iter().enumerate() {
            let epoch = (number + 1).to_string();
            node.does(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
            if number < PRIMARIES {
                let [first, last] = [number, number + 1].map(|part| part * 16384 / PRIMARIES);
                let (first, last) = (first.to_string(), (last - 1).to_string());
                node.does(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
                    .await;
            }
        }
        for (node, bus) in &nodes[1..] {
            let port = node.port().to_string();
            let (first, _) = &nodes[0];
            first
                .does(&["CLUSTER", "MEET", "127.0.0.1", &port, bus])
                .await;
        }
        let nodes: Vec<_> = nodes.into_iter().map(|(node, _)| node).collect();
        for replica in PRIMARIES..2 * PRIMARIES {
            let id = nodes[replica - PRIMARIES].does(&["CLUSTER", "MYID"]).await;
            let id = id.lines().nth(1).expect("an id").to_owned();
            until("a replica that knows its primary", DEADLINE, async || {
                let done = nodes[replica].ask(&["CLUSTER", "REPLICATE", &id]).await?;
                done.starts_with("+OK").then_some(())
            })
            .await;
        }
        let cluster = Self { nodes };
        for node in &cluster.nodes {
            until("a node that knows all others", DEADLINE, async || {
                let info = node.ask(&["CLUSTER", "INFO"]).await?;
                let is_ok = info.contains("cluster_state:ok")
                    && info.contains("cluster_slots_ok:16384")
                    && info.contains("cluster_known_nodes:6");
                is_ok.then_some(())
            })
            .await;
        }
        for replica in &cluster.nodes[PRIMARIES..] {
            until("a replica that follows", DEADLINE, async || {
                let role = replica.ask(&["ROLE"]).await?;
                role.contains("connected").then_some(())
            })
            .await;
        }
        cluster
    }

    /// Returns the URL with two of the nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let nodes = [1, 2].map(|node| format!("127.0.0.1:{}", self.nodes[node].port()));
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// Returns a primary or replica by its number.
    #[must_use]
    pub fn node(&self, number: usize) -> &Redis {
        &self.nodes[number]
    }

    /// Returns the replica of a primary.
    #[must_use]
    pub fn replica(&self, number: usize) -> &Redis {
        &self.nodes[number + PRIMARIES]
    }

    /// Kills a primary (SIGKILL).
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].stop();
    }

    /// Kills a primary (SIGKILL), and waits until its replica has replaced it.
    pub async fn kill_primary(&mut self, number: usize) {
        self.kill(number);
        self.until_promoted(number).await;
    }

    /// Kills a primary and its replica: nobody has its slots.
    pub fn kill_both(&mut self, number: usize) {
        self.nodes[number + PRIMARIES].stop();
        self.nodes[number].stop();
    }

    /// Starts a node again.
    pub async fn start(&mut self, number: usize) {
        self.nodes[number].start().await;
    }

    /// Makes the replica of a primary the primary; the old one continues as its replica.
    pub async fn fail_over(&self, number: usize) {
        let replica = self.replica(number);
        replica.does(&["CLUSTER", "FAILOVER"]).await;
        self.until_promoted(number).await;
    }

    /// Waits until the replica of a primary has replaced it.
    pub async fn until_promoted(&self, number: usize) {
        let replica = self.replica(number);
        until("the promotion of a replica", DEADLINE, async || {
            let role = replica.ask(&["ROLE"]).await?;
            role.contains("master").then_some(())
        })
        .await;
    }

    /// Ends all sharded subscriptions, as Redis does when it assigns a slot, even to the primary that
    /// has it.
    pub async fn end_subscriptions(&self) {
        for number in 0..PRIMARIES {
            let primary = &self.nodes[number];
            let id = primary.does(&["CLUSTER", "MYID"]).await;
            let id = id.lines().nth(1).expect("an id").to_owned();
            for part in 0..16 {
                let slot = 1024 * part + 512;
                if slot * PRIMARIES / 16384 != number {
                    continue;
                }
                // The slot of a shard is within two of this one.
                for slot in slot - 2..=slot + 2 {
                    let slot = slot.to_string();
                    primary
                        .does(&["CLUSTER", "SETSLOT", &slot, "NODE", &id])
                        .await;
                }
            }
        }
    }

    /// Moves a slot that has no keys from one primary to another.
    pub async fn move_slot(&self, slot: u16, to: usize) {
        let slot = slot.to_string();
        let id = self.nodes[to].does(&["CLUSTER", "MYID"]).await;
        let id = id.lines().nth(1).expect("an id").to_owned();
        let nodes = [&self.nodes[to]];
        let others = self.nodes[..PRIMARIES].iter();
        for node in nodes.into_iter().chain(others) {
            node.does(&["CLUSTER", "SETSLOT", &slot, "NODE", &id]).await;
        }
    }
}
