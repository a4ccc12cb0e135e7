//! One connection to Redis that comes back, for as long as anyone holds it.

use crate::error::{Error, ErrorKind, Result};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
    time::{sleep, timeout},
};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long Redis may take to answer a command. It answers in well under a millisecond; past this bound the connection
/// is taken for dead.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a silent connection is tried: a cable that was pulled sends no goodbye.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The pause before the first new attempt, doubled up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a link does with what Redis sends unasked. It must not block.
pub(crate) type OnPush = Arc<dyn Fn(PushKind, Vec<redis::Value>) + Send + Sync>;

/// One connection to Redis that comes back.
pub(crate) struct Link {
    address: Address,
    state: watch::Receiver<State>,
    broken: Arc<Notify>,
    supervisor: AbortHandle,
}

/// Whether there is a connection just now.
#[derive(Clone)]
pub(crate) enum State {
    Up(MultiplexedConnection),
    Down(Arc<str>),
}

impl Link {
    /// Connects, and keeps connected from then on.
    ///
    /// The first attempt decides: a server that starts without its Redis shall say so.
    pub(crate) async fn open(address: &Address, on_push: OnPush) -> Result<Self> {
        let broken = Arc::new(Notify::new());
        let heard = Arc::new(AtomicBool::new(false));
        let dialer = Dialer {
            address: address.clone(),
            config: config(on_push, broken.clone(), heard.clone()),
        };
        let first = dialer.dial().await?;
        let (states, state) = watch::channel(State::Up(first));
        let supervisor = tokio::spawn(supervise(dialer, states, broken.clone(), heard));
        let supervisor = supervisor.abort_handle();
        Ok(Self {
            address: address.clone(),
            state,
            broken,
            supervisor,
        })
    }

    /// The connection, if there is one just now.
    pub(crate) fn connection(&self) -> Result<MultiplexedConnection> {
        match &*self.state.borrow() {
            State::Up(connection) => Ok(connection.clone()),
            State::Down(why) => Err(Error::new(ErrorKind::Layer, why.to_string())),
        }
    }

    /// Follows the connection's coming and going.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Redis cannot be used just now.
    pub(crate) fn unreachable(&self, why: &str) -> Error {
        self.address.unreachable(why)
    }

    /// What a failed command means, for the caller; and for the link, if the connection is at fault.
    pub(crate) fn failed(&self, what: &'static str, error: RedisError) -> Error {
        if error.is_timeout() {
            self.broken.notify_one();
            return self.address.unreachable("no answer").with_source(error);
        }
        if error.is_io_error() || error.is_unrecoverable_error() {
            self.broken.notify_one();
            let why = "the connection was lost";
            return self.address.unreachable(why).with_source(error);
        }
        Error::new(ErrorKind::Layer, what).with_source(error)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// Where Redis is.
#[derive(Clone)]
pub(crate) struct Address {
    client: Client,
    /// Host and port, without the password that the URL may hold.
    shown: Arc<str>,
    remedy: &'static str,
}

impl Address {
    /// `remedy` ends the sentence that says that nobody answers there.
    pub(crate) fn parse(url: &str, remedy: &'static str) -> Result<Self> {
        let wrong = |source: RedisError| {
            Error::new(
                ErrorKind::Layer,
                "not the address of a Redis; write redis://127.0.0.1:6379",
            )
            .with_source(source)
        };
        let info = url.into_connection_info().map_err(wrong)?;
        let settings = info.redis_settings().clone();
        let info = info
            .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3))
            // Without it, small commands wait for each other's acknowledgements: 40 ms each.
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let shown = info.addr().to_string().into();
        let client = Client::open(info).map_err(wrong)?;
        Ok(Self {
            client,
            shown,
            remedy,
        })
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::new(
            ErrorKind::Layer,
            format!(
                "cannot reach Redis at {}: {why}; {}",
                self.shown, self.remedy
            ),
        )
    }
}

struct Dialer {
    address: Address,
    config: AsyncConnectionConfig,
}

impl Dialer {
    async fn dial(&self) -> Result<MultiplexedConnection> {
        let client = &self.address.client;
        let dialing = client.get_multiplexed_async_connection_with_config(&self.config);
        match timeout(CONNECT_TIMEOUT, dialing).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(self.address.unreachable(&plain(&error))),
            Err(_) => Err(self.address.unreachable("no answer")),
        }
    }
}

/// What went wrong, in the system's own words where there are some.
fn plain(error: &RedisError) -> String {
    if error.is_connection_refusal() {
        return "connection refused".to_owned();
    }
    error.to_string()
}

fn config(on_push: OnPush, broken: Arc<Notify>, heard: Arc<AtomicBool>) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_push_sender(move |push: PushInfo| {
            match push.kind {
                PushKind::Disconnection => broken.notify_one(),
                kind => {
                    heard.store(true, Ordering::Relaxed);
                    on_push(kind, push.data);
                }
            }
            Ok::<_, std::convert::Infallible>(())
        })
}

/// Waits until the connection breaks, then dials until it is back, without end.
async fn supervise(
    dialer: Dialer,
    states: watch::Sender<State>,
    broken: Arc<Notify>,
    heard: Arc<AtomicBool>,
) {
    let shown = dialer.address.shown.clone();
    loop {
        let current = match &*states.borrow() {
            State::Up(connection) => Some(connection.clone()),
            State::Down(_) => None,
        };
        if let Some(connection) = current {
            watch_over(connection, &broken, &heard).await;
        }
        let why = dialer.address.unreachable("the connection was lost");
        tracing::warn!(redis = %shown, "lost Redis; trying again until it is back");
        states.send_replace(State::Down(why.to_string().into()));
        let mut pause = FIRST_PAUSE;
        let connection = loop {
            match dialer.dial().await {
                Ok(connection) => break connection,
                Err(error) => {
                    states.send_replace(State::Down(error.to_string().into()));
                    // A quarter of chance keeps a thousand processes from knocking at once.
                    sleep(pause.mul_f64(fastrand::f64().mul_add(0.25, 0.75))).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
            }
        };
        tracing::info!(redis = %shown, "Redis is back");
        states.send_replace(State::Up(connection));
    }
}

/// Returns once the connection is dead: reported by whoever used it, or silent for too long.
///
/// A ping's answer waits behind all messages that Redis has queued for this process, so one that is late proves nothing
/// while messages come: cutting a busy connection would lose them and make the next one busier.
async fn watch_over(mut connection: MultiplexedConnection, broken: &Notify, heard: &AtomicBool) {
    loop {
        tokio::select! {
            // An old report, of a connection before this one, is no news: the ping tells.
            () = broken.notified() => {}
            () = sleep(PING_EVERY) => {}
        }
        match ping(&mut connection).await {
            Ok(()) => {}
            Err(error) if error.is_timeout() && heard.swap(false, Ordering::Relaxed) => {}
            Err(_) => return,
        }
        heard.store(false, Ordering::Relaxed);
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> redis::RedisResult<()> {
    redis::cmd("PING").exec_async(connection).await
}
