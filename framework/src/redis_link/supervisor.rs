//! The task that replaces the connection of a link when it is lost.

use super::{
    address::{Address, Dialed},
    connect_error::{Cause, ConnectError, is_not_ready},
    directory::Found,
    downtime::{Downtime, Reconnected},
    endpoint::Endpoint,
    liveness::{self, Lost},
    state::{LinkState, Loss, Server, Up},
    stream::PushReceiver,
};
use crate::{log_limit::log_limited, metric};
use redis::{RedisError, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// The pause between attempts while the server may be shutting down.
const ENDING_PAUSE: Duration = Duration::from_millis(10);
/// The pause before the second attempt to reconnect, doubled up to the longest; the first follows
/// at once.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause while Redis does not respond: it is used again well within 1 s of its return.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause while Redis refuses: an operator has to correct a password or a permission
/// first.
const LONGEST_PAUSE_DENIED: Duration = Duration::from_millis(500);
/// The longest pause before the first attempt after a connection that did not last. It is short
/// enough to observe what happened to the server.
const LONGEST_UNSTABLE_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection must have lasted for the next attempts to begin with a short pause again.
const STABLE: Duration = Duration::from_secs(2);
/// The number of unstable connections in a row that is not logged: two restarts of Redis cause as
/// many.
const FEW_LOSSES: u32 = 3;
/// The timeout of the commands that identify the server.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// The first version of Redis with sharded pub/sub.
const SHARDED_SINCE: u32 = 7;

/// The settings of one link.
#[derive(Clone)]
pub(crate) struct LinkSettings {
    /// The purpose of the connection, for the log.
    pub(crate) purpose: &'static str,
    /// How long a connection may be silent, pings included, before it counts as dead. Bytes of a
    /// backlog count as signs of life.
    pub(crate) silence: Duration,
    /// The receiver of Redis' pushes.
    pub(crate) inbox: Arc<dyn PushReceiver>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lost(Lost),
    /// It leads to the wrong server, for this reason.
    Wrong(Arc<str>),
}

/// What dials the connections of a link.
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    pub(super) settings: LinkSettings,
    pub(super) to_replace: watch::Receiver<Option<(u64, End)>>,
}

impl Dialer {
    /// Returns a new connection, and for how long its server was left unused on purpose.
    pub(super) async fn dial(&self, generation: u64) -> Result<(Up, Duration), ConnectError> {
        let Found { address, waited } = self.endpoint.resolve().await?;
        let dialing = self.dial_at(&address, generation).await;
        let is_shown = self.endpoint.directory().is_none();
        let up = dialing.map_err(|error| {
            self.endpoint.mark_stale();
            error.at(address.shown(), !is_shown)
        })?;
        Ok((up, waited))
    }

    async fn dial_at(&self, address: &Address, generation: u64) -> Result<Up, ConnectError> {
        let dialing = address.dial(self.settings.inbox.clone());
        let Dialed {
            mut connection,
            activity,
            driver,
        } = dialing.await?;
        let mut up = Up {
            connection: connection.clone(),
            generation,
            run_id: None,
            since: Instant::now(),
            address: address.clone(),
            loss: None,
            activity,
            driver: Arc::new(driver),
        };
        up.run_id = self.check(&mut connection).await?;
        Ok(up)
    }

    /// Checks that the server can be used, and returns its `run_id`.
    async fn check(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Option<Arc<str>>, ConnectError> {
        let identity = identity(connection).await?;
        if let Some(directory) = self.endpoint.directory() {
            is_primary(connection).await?;
            if directory.is_cluster() && identity.version.is_some_and(|is| is < SHARDED_SINCE) {
                let reason = "Redis 7 or later is needed for a Cluster";
                return Err(ConnectError::new(reason, Cause::Denied));
            }
        }
        Ok(identity.run_id)
    }
}

/// What a server says of itself.
#[derive(Default)]
struct Identity {
    run_id: Option<Arc<str>>,
    /// The first number of its version.
    version: Option<u32>,
}

/// Asks the server which run it is; it does not say if the user lacks the permission, or the server
/// has no such command.
///
/// # Errors
/// If it does not respond, or cannot now, as while it runs a script (BUSY).
async fn identity(connection: &mut MultiplexedConnection) -> Result<Identity, ConnectError> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let query = info.query_async::<String>(connection);
    let response = timeout(INFO_TIMEOUT, query).await;
    match response.map_err(|_| ConnectError::timeout("no response to INFO within 5 s"))? {
        Ok(text) => {
            let line = |name| text.lines().find_map(|line| line.strip_prefix(name));
            let version = line("redis_version:").and_then(|version| version.split('.').next());
            Ok(Identity {
                run_id: line("run_id:").map(|id| id.trim().into()),
                version: version.and_then(|version| version.parse().ok()),
            })
        }
        Err(error) if ends_attempt(&error) => Err(ConnectError::of(&error)),
        Err(_) => Ok(Identity::default()),
    }
}

/// Returns whether the connection is lost, or the server may serve soon.
fn ends_attempt(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || is_not_ready(error)
}

/// # Errors
/// If the server is a replica: what a Sentinel or a node says may be old.
async fn is_primary(connection: &mut MultiplexedConnection) -> Result<(), ConnectError> {
    let role = redis::cmd("ROLE");
    let query = role.query_async::<Vec<redis::Value>>(connection);
    let response = timeout(INFO_TIMEOUT, query).await;
    let response = response.map_err(|_| ConnectError::timeout("no response to ROLE within 5 s"))?;
    let role = response.map_err(|error| ConnectError::of(&error))?;
    match role.first() {
        Some(redis::Value::BulkString(role)) if role == b"master" => Ok(()),
        _ => Err(ConnectError::new(
            "it is a replica; either a fail-over is in progress, or the URL names a replica: use the address of the primary",
            Cause::Unreachable,
        )),
    }
}

/// Waits until the connection is lost, then dials until there is another one, forever.
pub(super) async fn supervise(dialer: Dialer, first: Up, states: watch::Sender<LinkState>) {
    let mut up = first;
    let mut pace = DialPace::default();
    loop {
        let counted = metric::RedisConnection::new(dialer.settings.purpose);
        let end = dialer.monitor(&up).await;
        // A silent connection may recover, and must not deliver beside the next one.
        up.driver.abort();
        drop(counted);
        up = dialer.redial(up, &end, &mut pace, &states).await;
        states.send_replace(LinkState::Up(up.clone()));
    }
}

/// How fast a link dials.
struct DialPace {
    pause: Duration,
    /// The number of connections in a row that did not last.
    unstable: u32,
}

impl Default for DialPace {
    fn default() -> Self {
        Self {
            pause: FIRST_PAUSE,
            unstable: 0,
        }
    }
}

impl DialPace {
    /// Waits before the next attempt, and doubles the pause up to the longest.
    async fn wait(&mut self, longest: Duration) {
        sleep(jittered(self.pause)).await;
        self.pause = longest.min(self.pause * 2);
    }
}

/// Shortens a pause by up to a quarter at random, so that a thousand processes do not dial at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
}

impl Dialer {
    /// Dials until there is another connection; until then the state of the link is that there is none.
    async fn redial(
        &self,
        before: Up,
        end: &End,
        pace: &mut DialPace,
        states: &watch::Sender<LinkState>,
    ) -> Up {
        let (purpose, redis) = (self.settings.purpose, self.endpoint.shown());
        let ended_at = Instant::now();
        let mut why: Arc<str> = match end {
            End::Lost(lost) => lost.to_string().into(),
            End::Wrong(reason) => reason.clone(),
        };
        let is_closed = *end == End::Lost(Lost::Closed);
        let had_backlog = before.activity.had_backlog();
        let is_stable = ended_at.duration_since(before.since) >= STABLE;
        let loss = loss_of(before, end);
        let mut downtime = Downtime::new(loss, is_closed, had_backlog, ended_at);
        states.send_replace(LinkState::Down(downtime.state(&why)));
        // A connection that is lost repeatedly right after it was made is not retried without a
        // pause.
        if is_stable {
            *pace = DialPace::default();
        } else {
            pace.unstable = pace.unstable.saturating_add(1);
            pace.wait(LONGEST_UNSTABLE_PAUSE).await;
            if pace.unstable > FEW_LOSSES && self.endpoint.is_log_due(purpose, "repeatedly") {
                tracing::warn!(%redis, purpose, "connections to Redis end repeatedly, right after they are established");
            }
        }
        let mut is_logged = false;
        let (mut up, waited) = loop {
            let started_at = Instant::now();
            let refusal = match self.dial(downtime.next_generation()).await {
                Ok(dialed) => break dialed,
                Err(refusal) => refusal,
            };
            let is_same = refusal.is_at(downtime.address());
            if downtime.refused(refusal.cause, is_same, started_at, Instant::now()) {
                sleep(ENDING_PAUSE).await;
                continue;
            }
            why = refusal.to_string().into();
            if self.endpoint.is_log_due(purpose, &why) {
                is_logged = true;
                tracing::warn!(%redis, purpose, reason = %why, "lost the connection to Redis; reconnecting");
            }
            states.send_replace(LinkState::Down(downtime.state(&why)));
            let longest = match refusal.cause {
                Cause::Denied => LONGEST_PAUSE_DENIED,
                Cause::NothingListens | Cause::ClosedEarly | Cause::Unreachable => LONGEST_PAUSE,
            };
            pace.wait(longest).await;
        };
        let next = Reconnected {
            address: up.address.shown(),
            run_id: up.run_id.as_deref(),
            opened_at: up.since,
            waited,
        };
        up.loss = Some(downtime.reconnected(&next, Instant::now()));
        let down = ended_at.elapsed();
        metric::redis_reconnected(purpose, down);
        let seconds = down.as_secs_f32();
        if is_stable || is_logged {
            log_limited!(info, %redis, purpose, seconds, reason = %why, "reconnected to Redis");
        }
        up
    }

    /// Waits until the connection is lost, or is to be replaced.
    async fn monitor(&self, up: &Up) -> End {
        let mut to_replace = self.to_replace.clone();
        let is_this = |named: &Option<(u64, End)>| matches!(named, Some((generation, _)) if *generation == up.generation);
        let replaced = async {
            let named = to_replace.wait_for(is_this).await.ok()?;
            named.as_ref().map(|(_, end)| end.clone())
        };
        tokio::select! {
            lost = liveness::lost(&up.connection, &up.activity, self.settings.silence) => End::Lost(lost),
            () = self.endpoint.changed_from(&up.address) => End::Wrong("another server is the primary now".into()),
            Some(end) = replaced => {
                if matches!(end, End::Wrong(_)) {
                    self.endpoint.mark_stale();
                }
                end
            }
        }
    }
}

fn loss_of(up: Up, end: &End) -> Loss {
    Loss {
        generation: up.generation,
        address: up.address.shown().clone(),
        run_id: up.run_id,
        last_received: up.activity.last_received(),
        server: Server::MayHaveContinued,
        is_left: matches!(end, End::Wrong(_)),
        may_hide_a_run: up.activity.is_incomplete(),
    }
}
