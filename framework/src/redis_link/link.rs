//! A connection to Redis that is replaced whenever it is lost.

use super::{
    address::{Address, Dialed, Driver},
    connect_error::{Cause, ConnectError},
    directory::Found,
    fault::{Fault, error_text},
    framing::Malformed,
    place::Place,
    stream::{Activity, Inbox},
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
};
use redis::{RedisError, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

/// How long a connection may be silent before it is pinged.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How long bytes may arrive that make no whole value, besides the time that they take at
/// [`SLOWEST`].
const UNDECODED: Duration = Duration::from_secs(30);
/// The bytes a second of the slowest network on which a large value is awaited: one megabit.
const SLOWEST: u64 = 128 * 1024;
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
/// How long a run of Redis may last without being noticed by a process that reconnects.
pub(crate) const LONGEST_UNSEEN: Duration = Duration::from_millis(350);
/// How long a connection must have lasted for the next attempts to begin with a short pause again.
const STABLE: Duration = Duration::from_secs(2);
/// The number of unstable connections in a row that is not logged: two restarts of Redis cause as
/// many.
const FEW_LOSSES: u32 = 3;
/// The timeout of the commands that identify the server.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// The first version of Redis with sharded pub/sub.
const SHARDED_SINCE: u32 = 7;

/// A connection to Redis that is replaced whenever it is lost, for as long as the link is held.
pub(crate) struct Link {
    place: Place,
    state: watch::Receiver<State>,
    /// The number of the last connection that leads to the wrong server, and why.
    wrong: watch::Sender<Option<(u64, Arc<str>)>>,
    supervisor: AbortHandle,
}

/// The settings of one link.
pub(crate) struct LinkSettings {
    /// The purpose of the connection, for the log.
    pub(crate) purpose: &'static str,
    /// How long a connection may be silent, pings included, before it counts as dead. Bytes of a
    /// backlog count as signs of life.
    pub(crate) silence: Duration,
    /// The receiver of Redis' pushes.
    pub(crate) inbox: Arc<dyn Inbox>,
}

/// Whether there is currently a connection.
#[derive(Clone)]
pub(crate) enum State {
    Up(Up),
    Down(Down),
}

/// A connection that is believed to work.
#[derive(Clone)]
pub(crate) struct Up {
    pub(crate) connection: MultiplexedConnection,
    /// The number of this connection among those of the link.
    pub(crate) generation: u64,
    /// The server's `run_id`, which changes with each start; `None` if the user lacks the
    /// permission to ask.
    pub(crate) run_id: Option<Arc<str>>,
    /// When it was opened.
    pub(crate) since: Instant,
    address: Address,
    /// How the previous connection was lost; `None` for the first.
    pub(crate) loss: Option<Loss>,
    activity: Arc<Activity>,
    driver: Arc<Driver>,
}

impl Up {
    /// Returns whether both connections certainly lead to the same run of Redis.
    pub(crate) fn is_of_the_run_of(&self, other: &Self) -> bool {
        self.run_id.is_some() && self.run_id == other.run_id
    }

    /// Returns whether this server has the address of the previous one.
    pub(crate) fn is_at_the_place_of(&self, loss: &Loss) -> bool {
        *self.address.shown() == loss.address
    }
}

/// How a connection was lost.
#[derive(Clone)]
pub(crate) struct Loss {
    /// The number of the lost connection.
    pub(crate) generation: u64,
    /// The server's address.
    address: Arc<str>,
    /// The server's `run_id`.
    pub(crate) run_id: Option<Arc<str>>,
    /// When bytes last arrived on it: what was sent to this process later may be lost.
    pub(crate) last_received: Instant,
    /// What happened to the server.
    pub(crate) server: Server,
    /// Whether this process has left it, because another server is the primary.
    is_left: bool,
    /// Whether another run of Redis may have come and gone before the next connection, for long
    /// enough that other processes have published through it.
    pub(crate) may_hide_a_run: bool,
}

/// What happened to the server of a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// It ended with the connection, and had no data left to send on it: it responded on no new
    /// connection, and right afterwards nothing listened at its address, or another run of Redis
    /// responded.
    Ended,
    /// It may have continued without this process.
    MayHaveContinued,
}

/// The current absence of a connection.
#[derive(Clone)]
pub(crate) struct Down {
    loss: Loss,
    /// Whether an attempt to reconnect has shown what happened to the server.
    is_known: bool,
    why: Arc<str>,
}

impl Down {
    /// Returns why there is no connection.
    pub(crate) fn reason(&self) -> &Arc<str> {
        &self.why
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Closed,
    Silent,
    /// What arrives is malformed, or makes no whole value.
    Malformed(Malformed),
    /// It leads to the wrong server, for this reason.
    Wrong(Arc<str>),
}

impl Link {
    /// Connects, and reconnects from then on.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the first attempt fails: a server that starts without its Redis must
    /// report it.
    pub(crate) async fn open(place: &Place, settings: LinkSettings) -> Result<Self> {
        let wrong = watch::Sender::new(None);
        let dialer = Dialer {
            place: place.clone(),
            settings,
            wrong: wrong.subscribe(),
        };
        let (first, _) = dialer.dial(0).await.map_err(|refusal| {
            Error::new(
                ErrorKind::Layer,
                format!("cannot connect to Redis at {}: {refusal}", place.shown()),
            )
        })?;
        let (states, state) = watch::channel(State::Up(first.clone()));
        let supervisor = tokio::spawn(supervise(dialer, first, states)).abort_handle();
        Ok(Self {
            place: place.clone(),
            state,
            wrong,
            supervisor,
        })
    }

    /// Returns what is wrong with the connection on which a command failed; `None` if it is the
    /// command. One that does not lead to the primary is replaced.
    pub(crate) fn fault(&self, generation: u64, error: &RedisError) -> Option<Fault> {
        let fault = Fault::of(error)?;
        if fault == Fault::Moved {
            let reason = format!("the server is not the primary: {}", error_text(error));
            self.wrong.send_replace(Some((generation, reason.into())));
        }
        Some(fault)
    }

    /// Returns the current connection, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] with the reason, and for how long there has been none.
    pub(crate) fn current(&self) -> Result<Up> {
        match &*self.state.borrow() {
            State::Up(up) => Ok(up.clone()),
            State::Down(down) => Err(self.unreachable(down)),
        }
    }

    /// Returns the current connection, if there is one. While this process changes to another
    /// primary, it waits for it.
    ///
    /// # Errors
    /// Those of [`current`](Self::current).
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn current_primary(&self) -> Result<Up> {
        let is_changing = matches!(&*self.state.borrow(), State::Down(down) if down.loss.is_left);
        match is_changing {
            true => Ok(self.up().await),
            false => self.current(),
        }
    }

    /// Waits until this connection is known to be lost; returns whether this process has left it
    /// for another primary.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn is_left_for_another(&self, generation: u64) -> bool {
        self.left(generation).await;
        match &*self.state.borrow() {
            State::Down(Down { loss, .. })
            | State::Up(Up {
                loss: Some(loss), ..
            }) => loss.generation == generation && loss.is_left,
            State::Up(_) => false,
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

    /// Returns a receiver of the connection's state changes.
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

    /// Waits until this connection is lost and it is known what happened to its server; returns at
    /// once if both are so already.
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
                State::Up(_) | State::Down(_) => Some(Server::MayHaveContinued),
            };
            if let Some(server) = known {
                return server;
            }
            if states.changed().await.is_err() {
                return Server::MayHaveContinued;
            }
        }
    }

    /// Returns the error for a caller while there is no connection.
    fn unreachable(&self, down: &Down) -> Error {
        let seconds = down.loss.last_received.elapsed().as_secs();
        let (shown, why) = (self.place.shown(), &down.why);
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
    place: Place,
    settings: LinkSettings,
    wrong: watch::Receiver<Option<(u64, Arc<str>)>>,
}

impl Dialer {
    /// Returns a new connection, and for how long its server was left unused on purpose.
    async fn dial(&self, generation: u64) -> Result<(Up, Duration), ConnectError> {
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

/// Asks the server who it is; it does not say if the user lacks the permission.
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
        Err(error) if error.is_io_error() || error.is_connection_dropped() => {
            Err(ConnectError::of(&error))
        }
        Err(_) => Ok(Identity::default()),
    }
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
            "it is a replica; a fail-over is under way, or nobody knows of one",
            Cause::Unreachable,
        )),
    }
}

/// Returns whether these are certainly two runs of Redis.
pub(crate) fn are_two_runs(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

/// Waits until the connection is lost, then dials until there is another one, forever.
async fn supervise(dialer: Dialer, first: Up, states: watch::Sender<State>) {
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
            may_hide_a_run: false,
        };
        let mut why: Arc<str> = match &end {
            End::Closed => "the connection was closed".into(),
            End::Silent => "Redis stopped responding".into(),
            End::Malformed(malformed) => malformed.to_string().into(),
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
                    let is_soon = end == End::Closed && ended_at.elapsed() < ENDING;
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
                let is_soon = end == End::Closed && ended_at.elapsed() < ENDING;
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
    /// Waits until the connection is lost: closed, silent for too long, or to the wrong server.
    async fn monitor(&self, up: &Up) -> End {
        let mut wrong = self.wrong.clone();
        let is_wrong = |wrong: &Option<(u64, Arc<str>)>| matches!(wrong, Some((generation, _)) if *generation == up.generation);
        let reason = async {
            let wrong = wrong.wait_for(is_wrong).await.ok()?;
            wrong.as_ref().map(|(_, reason)| reason.clone())
        };
        tokio::select! {
            end = listen(up, self.settings.silence) => end,
            () = self.place.moved_from(&up.address) => End::Wrong("another server is the primary now".into()),
            Some(reason) = reason => {
                self.place.doubt();
                End::Wrong(reason)
            }
        }
    }
}

/// Waits until the connection is closed, silent for too long, or malformed.
///
/// Any byte is a sign of life: the response to a ping waits behind all messages that Redis has
/// queued for this process, and closing a busy connection would lose them and make the next one
/// busier. But if the stream is corrupt, the bytes may belong to a value that never ends.
async fn listen(up: &Up, silence: Duration) -> End {
    let Up {
        connection,
        activity,
        ..
    } = up;
    let ended = async || {
        activity.ended().await;
        activity.malformed().map_or(End::Closed, End::Malformed)
    };
    loop {
        tokio::select! {
            end = ended() => return end,
            () = sleep(PING_EVERY) => {}
        }
        let silent = activity.last_received().elapsed();
        if silent >= silence {
            return End::Silent;
        }
        if is_stuck(activity.last_value().elapsed(), activity.arrived(), silence) {
            return End::Malformed(Malformed::NotRedis);
        }
        if silent < PING_EVERY {
            continue;
        }
        let mut connection = connection.clone();
        tokio::select! {
            biased;
            end = ended() => return end,
            // An error of Redis is a response too. That of a lost connection ends the loop above.
            _ = async { redis::cmd("PING").exec_async(&mut connection).await } => {}
            () = sleep(silence.saturating_sub(silent)) => {}
        }
    }
}

/// Returns whether a value, of which so many bytes have arrived since it began, is one that never
/// ends. On a slow network, a large value takes long, but the bytes arrive at some speed.
fn is_stuck(since: Duration, arrived: u64, silence: Duration) -> bool {
    let expected = Duration::from_secs(arrived / SLOWEST);
    arrived > 0 && since >= silence.max(UNDECODED).saturating_add(expected)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MAX_VALUE, stream::NoInbox},
        *,
    };
    use redis::IntoConnectionInfo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};

    const SILENCE: Duration = Duration::from_secs(12);

    /// The head of a published event of this length.
    fn event_of(length: usize) -> Vec<u8> {
        format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${length}\r\n").into_bytes()
    }

    /// Returns a connection to a server that accepts every command and sends what the test writes
    /// to the stream, before its responses to pings. After a command that blocks, it responds to
    /// nothing.
    async fn connected() -> (Up, DuplexStream) {
        let (here, there) = duplex(1024 * 1024);
        let (test, mut said) = duplex(1024 * 1024);
        tokio::spawn(async move {
            let (mut commands, mut replies) = split(there);
            let (mut command, mut saying) = ([0; 4096], vec![0; 1024 * 1024]);
            let mut is_blocked = false;
            loop {
                tokio::select! {
                    biased;
                    read = said.read(&mut saying) => match read {
                        Ok(0) | Err(_) => return,
                        Ok(read) => replies.write_all(&saying[..read]).await.unwrap(),
                    },
                    read = commands.read(&mut command) => {
                        let read = read.unwrap_or(0);
                        let commands = &command[..read];
                        is_blocked |= commands.windows(8).any(|name| name == b"BZPOPMIN");
                        let count = match is_blocked {
                            true => 0,
                            false => commands.iter().filter(|byte| **byte == b'*').count(),
                        };
                        if read == 0 || replies.write_all(&b"+OK\r\n".repeat(count)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        let info = "redis://localhost".into_connection_info().unwrap();
        let address = Address::new(&info, None, MAX_VALUE).unwrap();
        let Dialed {
            connection,
            activity,
            driver,
        } = address.handshake(here, Arc::new(NoInbox)).await.unwrap();
        let up = Up {
            connection,
            generation: 0,
            run_id: None,
            since: Instant::now(),
            address,
            loss: None,
            activity,
            driver: Arc::new(driver),
        };
        (up, test)
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_value_is_awaited_over_a_slow_network() {
        let (up, mut server) = connected().await;
        let length = 32 * 1024 * 1024;

        let sending = async {
            server.write_all(&event_of(length)).await.unwrap();
            for _ in 0..length / 256 / 1024 {
                server.write_all(&vec![b'x'; 256 * 1024]).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
            server.write_all(b"\r\n").await.unwrap();
            sleep(SILENCE * 3).await;
        };

        tokio::select! {
            () = sending => {}
            _ = listen(&up, SILENCE) => panic!("the connection was closed"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_whose_bytes_only_trickle_in_is_given_up() {
        let (up, mut server) = connected().await;
        let begun = Instant::now();

        let sending = async {
            server.write_all(&event_of(MAX_VALUE / 2)).await.unwrap();
            loop {
                server.write_all(&[b'x'; 1024]).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        };

        let end = tokio::select! {
            () = sending => unreachable!("it sends forever"),
            end = listen(&up, SILENCE) => end,
        };
        assert_eq!(end, End::Malformed(Malformed::NotRedis));
        let limit = UNDECODED + 2 * PING_EVERY;
        assert!((UNDECODED..=limit).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_too_large_ends_the_connection_before_it_arrives() {
        let (up, mut server) = connected().await;

        server.write_all(&event_of(MAX_VALUE)).await.unwrap();

        let end = timeout(PING_EVERY, listen(&up, SILENCE)).await;
        let expected = End::Malformed(Malformed::TooLarge(MAX_VALUE as u64));
        assert_eq!(end, Ok(expected));
    }
    #[tokio::test(start_paused = true)]
    async fn queues_without_events_are_read_for_as_long_as_redis_says_so() {
        const NIL: &[u8] = b"_\r\n";
        let (up, mut server) = connected().await;
        let waiting = (0..100).map(|_| {
            let mut connection = up.connection.clone();
            tokio::spawn(async move {
                let mut pop = redis::cmd("BZPOPMIN");
                pop.arg("queue").arg(200);
                pop.query_async::<Option<Vec<String>>>(&mut connection)
                    .await
            })
        });
        let waiting: Vec<_> = waiting.collect();

        // Each time, the connection is silent for long enough that a ping follows the commands.
        let sending = async {
            for pop in waiting {
                sleep(PING_EVERY * 2).await;
                server.write_all(NIL).await.unwrap();
                assert_eq!(pop.await.unwrap(), Ok(None));
            }
        };

        tokio::select! {
            () = sending => {}
            end = listen(&up, SILENCE) => panic!("the connection was closed: {end:?}"),
        }
    }
}
