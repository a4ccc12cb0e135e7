//! The task that replaces the connection of a link when it is lost.

use super::{
    address::{Address, Dialed},
    connect_error::{Cause, ConnectError},
    directory::Found,
    liveness::{self, Lost},
    place::Place,
    state::{Down, Loss, Server, State, Up, are_two_runs},
    stream::Inbox,
};
use crate::{log_limit::log_limited, metric};
use redis::{RedisError, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

/// If nothing listens at the address within this time after the end of a connection, the server has
/// ended with it. While a server shuts down, its kernel may still accept connections and close
/// them.
const ENDING: Duration = Duration::from_millis(250);
/// The pause between attempts until that is known.
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

/// How long a run of Redis may last without being noticed by a process that reconnects.
pub(crate) const LONGEST_UNSEEN: Duration = Duration::from_millis(350);

/// The settings of one link.
#[derive(Clone)]
pub(crate) struct LinkSettings {
    /// The purpose of the connection, for the log.
    pub(crate) purpose: &'static str,
    /// How long a connection may be silent, pings included, before it counts as dead. Bytes of a
    /// backlog count as signs of life.
    pub(crate) silence: Duration,
    /// The receiver of Redis' pushes.
    pub(crate) inbox: Arc<dyn Inbox>,
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
    pub(super) place: Place,
    pub(super) settings: LinkSettings,
    pub(super) to_replace: watch::Receiver<Option<(u64, End)>>,
}

impl Dialer {
    /// Returns a new connection, and for how long its server was left unused on purpose.
    pub(super) async fn dial(&self, generation: u64) -> Result<(Up, Duration), ConnectError> {
        let Found { address, waited } = self.place.find().await?;
        let dialing = self.dial_at(&address, generation).await;
        let is_shown = self.place.directory().is_none();
        let up = dialing.map_err(|error| {
            self.place.doubt();
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
        if let Some(directory) = self.place.directory() {
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

/// Asks the server which run it is; it does not say if the user lacks the permission.
///
/// # Errors
/// If it does not respond, or cannot now, as while it runs a script (BUSY).
async fn identity(connection: &mut MultiplexedConnection) -> Result<Identity, ConnectError> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let asking = info.query_async::<String>(connection);
    let response = timeout(INFO_TIMEOUT, asking).await;
    match response.map_err(|_| ConnectError::timeout("no response to INFO within 5 s"))? {
        Ok(text) => {
            let line = |name| text.lines().find_map(|line| line.strip_prefix(name));
            let version = line("redis_version:").and_then(|version| version.split('.').next());
            Ok(Identity {
                run_id: line("run_id:").map(|id| id.trim().into()),
                version: version.and_then(|version| version.parse().ok()),
            })
        }
        Err(error) if is_not_permitted(&error) => Ok(Identity::default()),
        Err(error) => Err(ConnectError::of(&error)),
    }
}

/// Returns whether Redis refused a command for as long as its users and commands are configured as
/// they are.
fn is_not_permitted(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || error.to_string().contains("unknown command")
}

/// # Errors
/// If the server is a replica: what a Sentinel or a node says may be old.
async fn is_primary(connection: &mut MultiplexedConnection) -> Result<(), ConnectError> {
    let role = redis::cmd("ROLE");
    let asking = role.query_async::<Vec<redis::Value>>(connection);
    let response = timeout(INFO_TIMEOUT, asking).await;
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
pub(super) async fn supervise(dialer: Dialer, first: Up, states: watch::Sender<State>) {
    let (purpose, redis) = (dialer.settings.purpose, dialer.place.shown().clone());
    let mut up = first;
    let mut pause = FIRST_PAUSE;
    let mut unstable = 0_u32;
    loop {
        let counted = metric::RedisConnection::new(purpose);
        let end = dialer.monitor(&up).await;
        // A silent connection may recover, and must not deliver beside the next one.
        up.driver.abort();
        let ended_at = Instant::now();
        // When a server ends, data that it had not written yet is lost.
        let had_backlog = up.activity.had_backlog();
        drop(counted);
        let mut loss = Loss {
            generation: up.generation,
            address: up.address.shown().clone(),
            run_id: up.run_id,
            last_received: up.activity.last_received(),
            server: Server::MayHaveContinued,
            is_left: matches!(end, End::Wrong(_)),
            may_hide_a_run: up.activity.is_cut(),
        };
        let mut why: Arc<str> = match &end {
            End::Lost(lost) => lost.to_string().into(),
            End::Wrong(reason) => reason.clone(),
        };
        let mut is_known = false;
        // A connection that is lost repeatedly right after it was made is not retried without a
        // pause.
        let is_stable = ended_at.duration_since(up.since) >= STABLE;
        if is_stable {
            pause = FIRST_PAUSE;
            unstable = 0;
        } else {
            unstable = unstable.saturating_add(1);
        }
        let mut is_logged = false;
        states.send_replace(State::Down(Down {
            loss: loss.clone(),
            is_known,
            why: why.clone(),
        }));
        if !is_stable {
            sleep(jittered(pause)).await;
            pause = LONGEST_UNSTABLE_PAUSE.min(pause * 2);
            if unstable > FEW_LOSSES && dialer.place.is_log_due(purpose, "repeatedly") {
                tracing::warn!(%redis, purpose, "connections to Redis end repeatedly, right after they are established");
            }
        }
        // When no run of Redis was there last.
        let mut absent_at = ended_at;
        up = loop {
            let started_at = Instant::now();
            let refusal = match dialer.dial(loss.generation + 1).await {
                Ok((up, waited)) => {
                    let unseen = up.since.duration_since(absent_at);
                    loss.may_hide_a_run |= unseen > LONGEST_UNSEEN + waited;
                    let is_soon = end == End::Lost(Lost::Closed) && ended_at.elapsed() < ENDING;
                    if !is_known
                        && !had_backlog
                        && is_soon
                        && up.is_at_the_place_of(&loss)
                        && are_two_runs(up.run_id.as_deref(), loss.run_id.as_deref())
                    {
                        loss.server = Server::Ended;
                    }
                    break up;
                }
                Err(refusal) => refusal,
            };
            // Another answer after the end is that of a run that is not there for this process.
            loss.may_hide_a_run |= absent_at.elapsed() > LONGEST_UNSEEN
                || is_known && refusal.cause != Cause::NothingListens;
            absent_at = started_at;
            if !is_known {
                let is_soon = end == End::Lost(Lost::Closed) && ended_at.elapsed() < ENDING;
                match refusal.cause {
                    Cause::ClosedEarly if is_soon => {
                        sleep(ENDING_PAUSE).await;
                        continue;
                    }
                    Cause::NothingListens
                        if is_soon && !had_backlog && refusal.is_at(&loss.address) =>
                    {
                        loss.server = Server::Ended;
                    }
                    _ => {}
                }
                is_known = true;
            }
            let longest = match refusal.cause {
                Cause::Denied => LONGEST_PAUSE_DENIED,
                Cause::NothingListens | Cause::ClosedEarly | Cause::Unreachable => LONGEST_PAUSE,
            };
            why = refusal.to_string().into();
            if dialer.place.is_log_due(purpose, &why) {
                is_logged = true;
                tracing::warn!(%redis, purpose, reason = %why, "lost the connection to Redis; reconnecting");
            }
            states.send_replace(State::Down(Down {
                loss: loss.clone(),
                is_known,
                why: why.clone(),
            }));
            sleep(jittered(pause)).await;
            pause = longest.min(pause * 2);
        };
        let down = ended_at.elapsed();
        metric::redis_reconnected(purpose, down);
        let seconds = down.as_secs_f32();
        if is_stable || is_logged {
            log_limited!(info, %redis, purpose, seconds, reason = %why, "reconnected to Redis");
        }
        up.loss = Some(loss);
        states.send_replace(State::Up(up.clone()));
    }
}

/// Shortens a pause by up to a quarter at random, so that a thousand processes do not dial at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
}

impl Dialer {
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
            () = self.place.moved_from(&up.address) => End::Wrong("another server is the primary now".into()),
            Some(end) = replaced => {
                if matches!(end, End::Wrong(_)) {
                    self.place.doubt();
                }
                end
            }
        }
    }
}
