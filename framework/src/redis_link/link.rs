//! The connection that is replaced whenever it is lost.

use super::{
    address::{Address, Cause, Dialed, Refusal},
    repeat::Repeat,
    stream::{Inbox, Pulse},
};
use crate::{
    error::{Error, ErrorKind, Result},
    metric,
};
use redis::aio::MultiplexedConnection;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

/// How long a connection may be silent before it is pinged.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How soon after the end of a connection nothing must listen at the address for the server to have ended with it. While
/// a server ends, its kernel may still accept connections and close them.
const ENDING: Duration = Duration::from_millis(250);
/// The pause between attempts while that is not known.
const ENDING_PAUSE: Duration = Duration::from_millis(10);
/// The pause before the second attempt to reconnect, doubled up to the longest; the first comes at once.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause while Redis does not answer: it is back in use well within a second of its return.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause while Redis refuses: somebody has to correct a password or a right first.
const LONGEST_PAUSE_DENIED: Duration = Duration::from_millis(500);
/// The longest pause before the first attempt after a connection that did not last. It is short enough to see what became
/// of the server.
const LONGEST_UNSTABLE_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection must have lasted for the next attempts to begin with a short pause again.
const STABLE: Duration = Duration::from_secs(2);
/// How long Redis may take to say which server it is.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to Redis that is replaced whenever it is lost, for as long as the link is held.
pub(crate) struct Link {
    address: Address,
    state: watch::Receiver<State>,
    supervisor: AbortHandle,
}

/// How one link behaves.
pub(crate) struct LinkSettings {
    /// What the connection is for, in the log.
    pub(crate) purpose: &'static str,
    /// How long a connection may be silent, pings included, before it is taken for dead. Bytes of a backlog count as
    /// signs of life.
    pub(crate) silence: Duration,
    /// Takes what Redis sends unasked.
    pub(crate) inbox: Arc<dyn Inbox>,
}

/// Whether there is a connection just now.
#[derive(Clone)]
pub(crate) enum State {
    Up(Up),
    Down(Down),
}

/// A connection that is believed to work.
#[derive(Clone)]
pub(crate) struct Up {
    pub(crate) connection: MultiplexedConnection,
    /// Counts the connections of this link.
    pub(crate) generation: u64,
    /// The server's `run_id`, another one after each start; `None` where the user may not ask.
    pub(crate) run_id: Option<Arc<str>>,
    /// When it was opened.
    pub(crate) since: Instant,
    /// How the connection before it was lost; `None` for the first.
    pub(crate) loss: Option<Loss>,
    pulse: Arc<Pulse>,
    driver: AbortHandle,
}

/// How a connection was lost.
#[derive(Clone)]
pub(crate) struct Loss {
    /// Which one it was.
    pub(crate) generation: u64,
    /// The server's `run_id`.
    pub(crate) run_id: Option<Arc<str>>,
    /// When something came last on it: what was sent to this process later may be lost.
    pub(crate) last_heard: Instant,
    /// What became of the server.
    pub(crate) server: Server,
}

/// What became of the server of a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// It ended with the connection, and had nothing left to send on it: it answered no new one, and right afterwards
    /// nothing listened at its address, or another run of Redis answered.
    Ended,
    /// It may have gone on without this process.
    MayHaveGoneOn,
}

/// No connection just now.
#[derive(Clone)]
pub(crate) struct Down {
    loss: Loss,
    /// Whether an attempt to reconnect has shown what became of the server.
    is_known: bool,
    why: Arc<str>,
}

impl Down {
    /// Why there is none.
    pub(crate) fn reason(&self) -> &Arc<str> {
        &self.why
    }
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Silent,
}

impl Link {
    /// Connects, and reconnects from then on.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the first attempt fails: a server that starts without its Redis shall say so.
    pub(crate) async fn open(address: &Address, settings: LinkSettings) -> Result<Self> {
        let dialer = Dialer {
            address: address.clone(),
            settings,
        };
        let first = dialer.dial(0).await.map_err(|refusal| {
            Error::new(
                ErrorKind::Layer,
                format!("cannot connect to Redis at {}: {refusal}", address.shown()),
            )
        })?;
        let (states, state) = watch::channel(State::Up(first.clone()));
        let supervisor = tokio::spawn(supervise(dialer, first, states)).abort_handle();
        Ok(Self {
            address: address.clone(),
            state,
            supervisor,
        })
    }

    /// Returns the connection if there is one just now.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] with the reason and for how long.
    pub(crate) fn current(&self) -> Result<Up> {
        match &*self.state.borrow() {
            State::Up(up) => Ok(up.clone()),
            State::Down(down) => Err(self.unreachable(down)),
        }
    }

    /// Waits for a connection.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn up(&self) -> Up {
        let mut states = self.state.clone();
        loop {
            if let State::Up(up) = &*states.borrow_and_update() {
                return up.clone();
            }
            if states.changed().await.is_err() {
                // The supervisor lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Follows the connection's coming and going.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Waits until this connection is known to be lost.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn left(&self, generation: u64) {
        let mut states = self.state.clone();
        let is_left =
            |state: &State| !matches!(state, State::Up(up) if up.generation == generation);
        _ = states.wait_for(is_left).await;
    }

    /// Waits until this connection is lost and it is known what became of its server; at once if that was before.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn lost(&self, generation: u64) -> Server {
        let mut states = self.state.clone();
        loop {
            let known = match &*states.borrow_and_update() {
                State::Up(up) if up.generation == generation => None,
                State::Down(down) if down.loss.generation == generation && !down.is_known => None,
                State::Down(Down { loss, .. })
                | State::Up(Up {
                    loss: Some(loss), ..
                }) if loss.generation == generation => Some(loss.server),
                State::Up(_) | State::Down(_) => Some(Server::MayHaveGoneOn),
            };
            if let Some(server) = known {
                return server;
            }
            if states.changed().await.is_err() {
                return Server::MayHaveGoneOn;
            }
        }
    }

    /// What it means for a caller that there is no connection.
    fn unreachable(&self, down: &Down) -> Error {
        let seconds = down.loss.last_heard.elapsed().as_secs();
        let (shown, why) = (self.address.shown(), &down.why);
        Error::new(
            ErrorKind::Layer,
            format!("no connection to Redis at {shown} for {seconds} s: {why}"),
        )
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

struct Dialer {
    address: Address,
    settings: LinkSettings,
}

impl Dialer {
    async fn dial(&self, generation: u64) -> Result<Up, Refusal> {
        let dialing = self.address.dial(self.settings.inbox.clone());
        let Dialed {
            mut connection,
            pulse,
            driver,
        } = dialing.await?;
        let run_id = run_id(&mut connection).await?;
        Ok(Up {
            connection,
            generation,
            run_id,
            since: Instant::now(),
            loss: None,
            pulse,
            driver,
        })
    }
}

/// Asks the server which run of Redis it is; `None` where the user may not ask.
async fn run_id(connection: &mut MultiplexedConnection) -> Result<Option<Arc<str>>, Refusal> {
    let mut info = redis::cmd("INFO");
    info.arg("server");
    let asking = info.query_async::<String>(connection);
    let answer = timeout(INFO_TIMEOUT, asking).await;
    match answer.map_err(|_| Refusal::timeout("no answer to INFO within 5 s"))? {
        Ok(text) => {
            let id = text.lines().find_map(|line| line.strip_prefix("run_id:"));
            Ok(id.map(|id| id.trim().into()))
        }
        Err(error) if error.is_io_error() || error.is_connection_dropped() => {
            Err(Refusal::of(&error))
        }
        Err(_) => Ok(None),
    }
}

/// Returns whether these are two runs of Redis for certain.
pub(crate) fn are_two_runs(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// Waits until the connection is lost, then dials until there is another one, without end.
async fn supervise(dialer: Dialer, first: Up, states: watch::Sender<State>) {
    let (purpose, redis) = (dialer.settings.purpose, dialer.address.shown().clone());
    let mut up = first;
    let mut pause = FIRST_PAUSE;
    let mut flapping = Repeat::default();
    let mut unstable = 0_u32;
    loop {
        metric::redis_connection(purpose, true);
        let end = watch_over(&up, dialer.settings.silence).await;
        // A silent connection may come to life again, and must not deliver beside the next one.
        up.driver.abort();
        let ended_at = Instant::now();
        // A server that ends takes with it what it had not written yet.
        let was_behind = up.pulse.is_behind();
        metric::redis_connection(purpose, false);
        let mut loss = Loss {
            generation: up.generation,
            run_id: up.run_id,
            last_heard: up.pulse.last_heard(),
            server: Server::MayHaveGoneOn,
        };
        let mut why: Arc<str> = match end {
            End::Closed => "the connection was closed".into(),
            End::Silent => "Redis did not answer any more".into(),
        };
        let mut is_known = false;
        // A connection that is lost again and again right after it was made is not tried without a pause.
        let is_stable = ended_at.duration_since(up.since) >= STABLE;
        if is_stable {
            pause = FIRST_PAUSE;
            unstable = 0;
        } else {
            unstable = unstable.saturating_add(1);
        }
        let mut repeat = Repeat::default();
        states.send_replace(State::Down(Down {
            loss: loss.clone(),
            is_known,
            why: why.clone(),
        }));
        if !is_stable {
            sleep(jittered(pause)).await;
            pause = LONGEST_UNSTABLE_PAUSE.min(pause * 2);
            if unstable > 1 && flapping.is_due("") {
                tracing::warn!(%redis, purpose, "connections to Redis are lost again and again right after they were made");
            }
        }
        up = loop {
            let refusal = match dialer.dial(loss.generation + 1).await {
                Ok(up) => {
                    let is_soon = end == End::Closed && ended_at.elapsed() < ENDING;
                    if !is_known
                        && !was_behind
                        && is_soon
                        && are_two_runs(up.run_id.as_deref(), loss.run_id.as_deref())
                    {
                        loss.server = Server::Ended;
                    }
                    break up;
                }
                Err(refusal) => refusal,
            };
            if !is_known {
                let is_soon = end == End::Closed && ended_at.elapsed() < ENDING;
                match refusal.cause {
                    Cause::Unanswered if is_soon => {
                        sleep(ENDING_PAUSE).await;
                        continue;
                    }
                    Cause::NothingListens if is_soon && !was_behind => loss.server = Server::Ended,
                    _ => {}
                }
                is_known = true;
            }
            let longest = match refusal.cause {
                Cause::Denied => LONGEST_PAUSE_DENIED,
                Cause::NothingListens | Cause::Unanswered | Cause::Unreachable => LONGEST_PAUSE,
            };
            why = refusal.to_string().into();
            if repeat.is_due(&why) {
                tracing::warn!(%redis, purpose, reason = %why, "lost the connection to Redis; reconnecting until it is back");
            }
            states.send_replace(State::Down(Down {
                loss: loss.clone(),
                is_known,
                why: why.clone(),
            }));
            sleep(jittered(pause)).await;
            pause = longest.min(pause * 2);
        };
        let down = loss.last_heard.elapsed();
        metric::redis_reconnected(purpose, down);
        let seconds = down.as_secs_f32();
        if is_stable {
            tracing::info!(%redis, purpose, seconds, reason = %why, "reconnected to Redis");
        }
        up.loss = Some(loss);
        states.send_replace(State::Up(up.clone()));
    }
}

/// A quarter of chance keeps a thousand processes from dialing at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
}

/// Returns once the connection is lost: closed, or silent for too long.
///
/// Any byte is a sign of life: the answer to a ping waits behind all messages that Redis has queued for this process, and
/// cutting a busy connection would lose them and make the next one busier.
async fn watch_over(up: &Up, silence: Duration) -> End {
    let Up {
        connection, pulse, ..
    } = up;
    loop {
        tokio::select! {
            () = pulse.ended() => return End::Closed,
            () = sleep(PING_EVERY) => {}
        }
        let silent = pulse.last_heard().elapsed();
        if silent >= silence {
            return End::Silent;
        }
        if silent < PING_EVERY {
            continue;
        }
        let mut connection = connection.clone();
        tokio::select! {
            () = pulse.ended() => return End::Closed,
            // An answer of any kind was noted by the pulse.
            _ = async { redis::cmd("PING").exec_async(&mut connection).await } => {}
            () = sleep(silence.saturating_sub(silent)) => {}
        }
    }
}
