//! Two processes and forty clients on one Redis, for a fault to happen to.

use std::{collections::HashMap, fmt, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    account::{Account, resumed},
    crowd::Crowd,
    proxy::Proxy,
    redis::Redis,
    server::Server,
    wait::{DEADLINE, POLL},
};

/// Every room has as many clients of one process as of the other.
const CLIENTS: u32 = 40;
const ROOMS: u32 = 4;

/// Between two messages of one client: 80 messages a second from all.
const EVERY: Duration = Duration::from_millis(500);

/// How long messages flow before the fault.
const BEFORE: Duration = Duration::from_secs(1);

/// How long they flow after it.
const AFTER: Duration = Duration::from_secs(3);

/// When everybody has to receive again, once Redis is back.
pub const RESUME: Duration = Duration::from_secs(1);

/// After this long without one more delivery, what is missing will not come.
const QUIET: Duration = Duration::from_secs(2);

/// Two arenas, each with a proxy between it and one Redis, and clients in rooms that span both.
#[derive(Debug)]
pub struct Stage {
    /// The Redis of both processes.
    pub redis: Redis,
    /// The network between Redis and each process.
    pub wires: [Proxy; 2],
    /// The processes.
    pub arenas: [Server; 2],
    crowd: Crowd,
    has_metrics: bool,
}

/// What a fault has done.
#[derive(Debug)]
pub struct Verdict {
    /// To each message.
    pub account: Account,
    /// How long after the end of the fault everybody received again, if they did.
    pub resumed: Option<Duration>,
    /// How many clients were connected in the end.
    connected: usize,
    /// The metrics of both processes together; those of a process that was killed are lost with it.
    metrics: Option<HashMap<String, f64>>,
    /// What the processes wrote to stderr.
    errors: String,
}

impl Stage {
    /// Starts everything, with a network that can fail; returns once messages have been flowing for a while.
    pub async fn on(redis: Redis) -> Self {
        Self::start(redis, |redis, wire| redis.url_through(wire.port())).await
    }

    /// As [`on`](Self::on), with processes that connect to Redis directly, so that they see at once when nothing listens
    /// at its port.
    pub async fn directly_on(redis: Redis) -> Self {
        Self::start(redis, |redis, _| redis.url()).await
    }

    async fn start(redis: Redis, url: impl Fn(&Redis, &Proxy) -> String) -> Self {
        let wires = [
            Proxy::before_redis(&redis).await,
            Proxy::before_redis(&redis).await,
        ];
        let arenas = [
            Server::arena_with(&["--redis", &url(&redis, &wires[0])]).await,
            Server::arena_with(&["--redis", &url(&redis, &wires[1])]).await,
        ];
        let mut crowd = Crowd::new(EVERY);
        for number in 0..CLIENTS {
            let process = number / ROOMS % 2;
            crowd.add(arenas[process as usize].port(), number % ROOMS);
        }
        crowd.joined().await;
        crowd.start_sending();
        sleep(BEFORE).await;
        Self {
            redis,
            wires,
            arenas,
            crowd,
            has_metrics: true,
        }
    }

    /// Kills a process (SIGKILL), and starts it again after that time.
    pub async fn kill_process(&mut self, number: usize, pause: Duration) {
        self.has_metrics = false;
        self.arenas[number].kill();
        sleep(pause).await;
        self.arenas[number].start().await;
    }

    /// Both processes' networks do this from now on.
    pub fn set_wires(&self, set: impl Fn(&Proxy)) {
        self.wires.iter().for_each(set);
    }

    /// A client of each process enters a room that was empty.
    pub fn enter_a_new_room(&mut self) {
        for arena in &self.arenas {
            self.crowd.add(arena.port(), ROOMS);
        }
    }

    /// Ends the fault's story: messages flow for a while longer, then all that is under way arrives, and is counted.
    ///
    /// To be called at the moment when the fault is over.
    pub async fn verdict(mut self) -> Verdict {
        let back = self.crowd.now();
        sleep(AFTER).await;
        self.crowd.joined().await;
        self.crowd.stop_sending();
        let account = self.settled(back + RESUME).await;
        let mut metrics = HashMap::new();
        for arena in &self.arenas {
            for (name, value) in arena.metrics().await {
                *metrics.entry(name).or_default() += value;
            }
        }
        let logs = self.crowd.logs();
        Verdict {
            account,
            resumed: resumed(&logs, back),
            connected: logs.iter().filter(|log| log.is_connected()).count(),
            metrics: self.has_metrics.then_some(metrics),
            errors: self.arenas.iter_mut().map(Server::errors).collect(),
        }
    }

    /// The account, once nothing more arrives.
    async fn settled(&self, recovered: Duration) -> Account {
        let start = Instant::now();
        let (mut account, mut since) = (Account::default(), start);
        loop {
            let now = Account::of(&self.crowd.logs(), recovered);
            if now.missing() == 0 {
                return now;
            }
            if now != account {
                (account, since) = (now, Instant::now());
            }
            if since.elapsed() > QUIET || start.elapsed() > DEADLINE {
                return account;
            }
            sleep(POLL * 10).await;
        }
    }
}

impl Verdict {
    /// # Panics
    /// When a loss was silent, or something came twice, out of order or from nowhere, or a client is deaf; or when the
    /// metrics say otherwise.
    pub fn is_honest(&self) {
        assert!(self.account.is_honest(), "{self:#}");
        if self.metrics.is_none() {
            return;
        }
        let Account {
            messages,
            received,
            closed,
            ..
        } = &self.account;
        let sent = self.published("sent");
        let not_sent = self.published("failed") + self.published("unconfirmed");
        let closed = |code| closed.get(&Some(code)).copied().unwrap_or(0);
        // A connection may end, for another reason, between a count and what the client would have seen of it.
        for (what, holds) in [
            (
                "every message was counted once at most",
                sent + not_sent <= *messages,
            ),
            (
                "every failed send has closed a socket",
                closed(1013) <= not_sent,
            ),
            (
                "every delivery was counted",
                *received <= self.metric("seaway_events_delivered_total"),
            ),
            ("every notice was counted", closed(1012) <= self.missed()),
            (
                "every socket is counted",
                self.connected == self.metric("seaway_websockets_open"),
            ),
        ] {
            assert!(holds, "not so in the metrics: {what}; {self:#}");
        }
    }

    /// # Panics
    /// When it is not honest, or anything is missing, or a socket was closed; or when the metrics say otherwise.
    pub fn is_complete(&self) {
        self.is_honest();
        assert!(self.account.is_complete(), "{self:#}");
        for (name, expected) in [
            (
                r#"seaway_events_published_total{outcome="sent"}"#,
                self.account.messages,
            ),
            (r#"seaway_events_published_total{outcome="failed"}"#, 0),
            (r#"seaway_events_published_total{outcome="unconfirmed"}"#, 0),
            ("seaway_events_delivered_total", self.account.received),
            (r#"seaway_events_dropped_total{reason="mailbox_full"}"#, 0),
            (r#"seaway_events_dropped_total{reason="undecodable"}"#, 0),
            (r#"seaway_missed_total{reason="interrupted"}"#, 0),
            (r#"seaway_missed_total{reason="overflowed"}"#, 0),
            (
                r#"seaway_websocket_handshakes_total{status="101"}"#,
                self.connected,
            ),
        ] {
            assert_eq!(self.metric(name), expected, "{name}; {self:#}");
        }
    }

    /// The sum of a counter over both processes.
    #[must_use]
    pub fn metric(&self, name: &str) -> usize {
        let value = self.metrics.as_ref().and_then(|all| all.get(name));
        value.map_or(0, |value| *value as usize)
    }

    fn published(&self, outcome: &str) -> usize {
        self.metric(&format!(
            "seaway_events_published_total{{outcome=\"{outcome}\"}}"
        ))
    }

    fn missed(&self) -> usize {
        self.metric(r#"seaway_missed_total{reason="interrupted"}"#)
            + self.metric(r#"seaway_missed_total{reason="overflowed"}"#)
    }

    /// # Panics
    /// When somebody did not receive again in time.
    pub fn resumed_in_time(&self) {
        let is_in_time = self.resumed.is_some_and(|resumed| resumed <= RESUME);
        assert!(is_in_time, "{self:#}");
    }
}

/// `{:#}` adds what the processes wrote.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resumed {
            Some(resumed) => write!(f, "resumed after {resumed:.2?}; ")?,
            None => f.write_str("did not resume; ")?,
        }
        write!(f, "{}", self.account)?;
        if f.alternate() {
            let mut metrics: Vec<_> = self.metrics.iter().flatten().collect();
            metrics.sort_by_key(|(name, _)| *name);
            for (name, value) in metrics {
                write!(f, "\n  {name} {value}")?;
            }
            write!(f, "\n--- the processes said:\n{}---", self.errors)?;
        }
        Ok(())
    }
}
