//! Two processes and forty clients on one Redis, for the test of a fault.

use std::{collections::HashMap, fmt, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    clients::RoomClients,
    delivery_report::{DeliveryReport, resumed},
    proxy::Proxy,
    redis::Redis,
    server::Server,
    wait::{DEADLINE, POLL},
};

/// The number of clients; every room has as many of one process as of the other.
const CLIENTS: u32 = 40;
const ROOMS: u32 = 4;

/// The interval between two messages of one client: 80 messages per second in total.
const EVERY: Duration = Duration::from_millis(500);

/// How long messages are sent before the fault.
const BEFORE: Duration = Duration::from_secs(1);

/// How long messages are sent after it.
const AFTER: Duration = Duration::from_secs(3);

/// The time within which all clients must receive again, once Redis is back.
pub const RESUME: Duration = Duration::from_secs(2);

/// After this time without a further delivery, missing messages count as lost.
const QUIET: Duration = Duration::from_secs(2);

/// Two arenas on one Redis or another deployment of it, and clients in rooms that span both.
#[derive(Debug)]
pub struct FaultSetup<R = Redis> {
    /// The Redis of both processes.
    pub redis: R,
    /// The network between one Redis and each process; none for other deployments.
    pub wires: Vec<Proxy>,
    /// The processes.
    pub arenas: [Server; 2],
    clients: RoomClients,
    has_metrics: bool,
}

/// Starts an arena on these hosts.
async fn arena(urls: &[String], layer: &str) -> Server {
    let mut options = vec!["--layer", layer];
    options.extend(urls.iter().flat_map(|url| ["--redis", url]));
    Server::arena_with(&options).await
}

/// The effects of a fault.
#[derive(Debug)]
pub struct Verdict {
    /// The report of each message.
    pub report: DeliveryReport,
    /// How long after the end of the fault all clients received again, if they did.
    pub resumed: Option<Duration>,
    /// The number of clients that were connected at the end.
    connected: usize,
    /// The summed metrics of both processes; those of a killed process are lost with it.
    metrics: Option<HashMap<String, f64>>,
    /// The stderr of the processes.
    errors: String,
}

impl FaultSetup {
    /// Starts everything, with proxies to Redis; returns once messages have been sent for a while.
    ///
    /// `layer` is the arena's option of this name.
    pub async fn on(redis: Redis, layer: &str) -> Self {
        Self::start(redis, layer, |redis, wire| redis.url_through(wire.port())).await
    }

    /// Like [`on`](Self::on), but the processes connect to Redis directly, so that they see at once
    /// when no process listens on its port.
    pub async fn directly_on(redis: Redis, layer: &str) -> Self {
        Self::start(redis, layer, |redis, _| redis.url()).await
    }

    async fn start(redis: Redis, layer: &str, url: impl Fn(&Redis, &Proxy) -> String) -> Self {
        let wires = [
            Proxy::before_redis(&redis).await,
            Proxy::before_redis(&redis).await,
        ];
        let urls = wires.each_ref().map(|wire| [url(&redis, wire)]);
        let arenas = [arena(&urls[0], layer).await, arena(&urls[1], layer).await];
        Self::with(redis, wires.into(), arenas).await
    }
}

impl<R> FaultSetup<R> {
    /// Starts the processes and clients on a deployment with these URLs.
    pub async fn beside(redis: R, urls: &[String], layer: &str) -> Self {
        let arenas = [arena(urls, layer).await, arena(urls, layer).await];
        Self::with(redis, Vec::new(), arenas).await
    }

    async fn with(redis: R, wires: Vec<Proxy>, arenas: [Server; 2]) -> Self {
        let mut clients = RoomClients::new(EVERY);
        for number in 0..CLIENTS {
            let process = number / ROOMS % 2;
            clients.add(arenas[process as usize].port(), number % ROOMS);
        }
        clients.joined().await;
        clients.start_sending();
        sleep(BEFORE).await;
        Self {
            redis,
            wires,
            arenas,
            clients,
            has_metrics: true,
        }
    }

    /// Kills a process (SIGKILL), and restarts it after `pause`.
    pub async fn kill_process(&mut self, number: usize, pause: Duration) {
        self.has_metrics = false;
        self.arenas[number].kill();
        sleep(pause).await;
        self.arenas[number].start().await;
    }

    /// Configures the proxies of both processes.
    pub fn set_wires(&self, set: impl Fn(&Proxy)) {
        self.wires.iter().for_each(set);
    }

    /// Adds a client of each process to a new room.
    pub fn enter_a_new_room(&mut self) {
        for arena in &self.arenas {
            self.clients.add(arena.port(), ROOMS);
        }
    }

    /// Ends the run: messages are sent for a while longer, then all in flight arrive and are
    /// counted.
    ///
    /// Call it as soon as the fault is over.
    pub async fn verdict(mut self) -> Verdict {
        let back = self.clients.now();
        sleep(AFTER).await;
        self.clients.joined().await;
        self.clients.stop_sending();
        let report = self.settled(back + RESUME).await;
        let mut metrics = HashMap::new();
        for arena in &self.arenas {
            for (name, value) in arena.metrics().await {
                *metrics.entry(name).or_default() += value;
            }
        }
        let logs = self.clients.logs();
        Verdict {
            report,
            resumed: resumed(&logs, back),
            connected: logs.iter().filter(|log| log.is_connected()).count(),
            metrics: self.has_metrics.then_some(metrics),
            errors: self.arenas.iter_mut().map(Server::errors).collect(),
        }
    }

    /// Returns the report once no more messages arrive.
    async fn settled(&self, recovered: Duration) -> DeliveryReport {
        let start = Instant::now();
        let (mut report, mut since) = (DeliveryReport::default(), start);
        loop {
            let now = DeliveryReport::of(&self.clients.logs(), recovered);
            if now.missing() == 0 {
                return now;
            }
            if now != report {
                (report, since) = (now, Instant::now());
            }
            if since.elapsed() > QUIET || start.elapsed() > DEADLINE {
                return report;
            }
            sleep(POLL * 10).await;
        }
    }
}

impl Verdict {
    /// # Panics
    /// If a loss was silent, a message was duplicated, reordered or unknown, or a client receives
    /// nothing; or if the metrics disagree.
    pub fn assert_honest(&self) {
        assert!(self.report.is_honest(), "{self:#}");
        if self.metrics.is_none() {
            return;
        }
        let DeliveryReport {
            messages,
            received,
            closed,
            ..
        } = &self.report;
        let sent = self.published("sent");
        let not_sent = self.published("failed") + self.published("unconfirmed");
        let closed = |code| closed.get(&Some(code)).copied().unwrap_or(0);
        // A connection may end for another reason after an event was counted and before the client
        // received it.
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

    /// A process that a busy machine has not run for a third of a second cannot know that Redis was
    /// merely restarted. It says so in its log, and has to be honest only.
    ///
    /// # Panics
    /// If it is not honest, or anything is missing, or a socket was closed; or if the metrics
    /// disagree.
    pub fn assert_complete(&self) {
        self.assert_honest();
        if self.errors.contains("this process was suspended or slow") {
            println!("a process was not run in time: {self}");
            return;
        }
        assert!(self.report.is_complete(), "{self:#}");
        for (name, expected) in [
            (
                r#"seaway_events_published_total{outcome="sent"}"#,
                self.report.messages,
            ),
            (r#"seaway_events_published_total{outcome="failed"}"#, 0),
            (r#"seaway_events_published_total{outcome="unconfirmed"}"#, 0),
            ("seaway_events_delivered_total", self.report.received),
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

    /// Returns the sum of a counter over both processes.
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
    /// If a client did not receive again in time.
    pub fn assert_resumed_in_time(&self) {
        self.assert_resumed_within(RESUME);
    }

    /// # Panics
    /// If a client did not receive again within this time.
    pub fn assert_resumed_within(&self, limit: Duration) {
        let is_in_time = self.resumed.is_some_and(|resumed| resumed <= limit);
        assert!(is_in_time, "{self:#}");
    }
}

/// `{:#}` adds the stderr of the processes.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resumed {
            Some(resumed) => write!(f, "resumed after {resumed:.2?}; ")?,
            None => f.write_str("did not resume; ")?,
        }
        write!(f, "{}", self.report)?;
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
