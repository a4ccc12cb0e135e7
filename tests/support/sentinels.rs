//! A primary with replicas, watched by three Sentinels.

use super::{
    redis::Redis,
    wait::{DEADLINE, until},
};

/// The name of the primary.
const SERVICE: &str = "rooms";

/// A primary with two replicas, and three Sentinels that replace it one second after it stops
/// responding.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl Sentinels {
    /// Starts all, and waits until each Sentinel knows the others and the replicas.
    pub async fn new() -> Self {
        let first = Redis::new().await;
        let port = first.port().to_string();
        let mut servers = vec![first];
        for _ in 0..2 {
            let replica = [
                "--replicaof",
                "127.0.0.1",
                &port,
                "--repl-diskless-sync-delay",
                "0",
            ];
            servers.push(Redis::with(&replica).await);
        }
        let settings = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n\
             sentinel down-after-milliseconds {SERVICE} 1000\n\
             sentinel failover-timeout {SERVICE} 3000\n"
        );
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Redis::sentinel(&settings).await);
        }
        for sentinel in &sentinels {
            until("a Sentinel that knows all others", DEADLINE, async || {
                let checked = sentinel.ask(&["SENTINEL", "CKQUORUM", SERVICE]).await?;
                let replicas = sentinel.ask(&["INFO", "sentinel"]).await?;
                (checked.starts_with("+OK 3 usable") && replicas.contains("slaves=2,sentinels=3"))
                    .then_some(())
            })
            .await;
        }
        Self { servers, sentinels }
    }

    /// Returns the URL with all Sentinels.
    #[must_use]
    pub fn url(&self) -> String {
        let sentinels = self.sentinels.iter().map(Redis::port);
        let sentinels: Vec<_> = sentinels.map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{SERVICE}", sentinels.join(","))
    }

    /// Returns the current primary, as the first Sentinel knows it.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn primary(&mut self) -> &mut Redis {
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        let answer = self.sentinels[0].does(&command).await;
        let is_it = |server: &&mut Redis| answer.contains(&format!("\r\n{}\r\n", server.port()));
        self.servers.iter_mut().find(is_it).expect("one of ours")
    }

    /// Kills the primary (SIGKILL), and waits until another one has replaced it for all Sentinels.
    pub async fn kill_primary(&mut self) {
        let primary = self.primary().await;
        primary.stop();
        let port = primary.port();
        self.until_replaced(port).await;
    }

    /// Makes a replica the primary; the old one continues as a replica.
    pub async fn fail_over(&mut self) {
        let port = self.primary().await.port();
        let command = ["SENTINEL", "FAILOVER", SERVICE];
        // Not while the Sentinels consider the previous one unfinished.
        until("the start of a failover", DEADLINE, async || {
            let answer = self.sentinels[0].ask(&command).await?;
            answer.starts_with("+OK").then_some(())
        })
        .await;
        self.until_replaced(port).await;
    }

    /// Makes a replica the primary, while the old one does not obey the Sentinels: it continues as
    /// a primary, and keeps its clients.
    pub async fn replace_a_primary_that_is_cut_off(&mut self) {
        let forbidden = ["-slaveof", "-replicaof", "-client|kill", "-multi"];
        let command = [&["ACL", "SETUSER", "default"][..], &forbidden].concat();
        self.primary().await.does(&command).await;
        self.fail_over().await;
    }

    async fn until_replaced(&self, old: u16) {
        let command = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE];
        let old = format!("\r\n{old}\r\n");
        for sentinel in &self.sentinels {
            until("another primary", DEADLINE, async || {
                let answer = sentinel.ask(&command).await?;
                (!answer.contains(&old)).then_some(())
            })
            .await;
        }
    }
}
