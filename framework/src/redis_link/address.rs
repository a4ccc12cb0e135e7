//! The address of one server, and one attempt to connect.

use super::{
    connect_error::{Cause, ConnectError},
    framing::Malformed,
    staggered::Staggered,
    stream::{Activity, MonitoredStream, PushReceiver},
    tls::Tls,
};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisConnectionInfo, Value, aio::MultiplexedConnection,
};
#[cfg(unix)]
use std::path::Path;
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::AbortHandle,
    time::{Instant, error::Elapsed, timeout, timeout_at},
};

/// The timeout for resolving a host and opening the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The reason of a failure after [`CONNECT_TIMEOUT`].
const LATE: &str = "no connection within 2 s";
/// The timeout for the responses to the first commands on a connection: a slow network needs more
/// than one round trip.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of commands that may wait to be written; at the bound, their senders wait.
const PIPELINE: usize = 1024;

/// The address of one server, and how to log in there.
#[derive(Clone)]
pub(super) struct Address {
    route: AddressKind,
    login: RedisConnectionInfo,
    tls: Option<Tls>,
    /// The largest value that a server may send, in bytes.
    max_value: usize,
    /// Host and port, or the path.
    shown: Arc<str>,
}

#[derive(Clone)]
enum AddressKind {
    Tcp(Arc<str>, u16),
    #[cfg(unix)]
    Unix(Arc<Path>),
}

/// A connection, and the task that reads and writes it.
pub(super) struct Dialed {
    pub(super) connection: MultiplexedConnection,
    pub(super) activity: Arc<Activity>,
    pub(super) driver: ConnectionTask,
}

/// The task that reads and writes a connection; dropped, it closes the connection.
pub(super) struct ConnectionTask(AbortHandle);

impl ConnectionTask {
    /// Closes the connection now.
    pub(super) fn abort(&self) {
        self.0.abort();
    }
}

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Address {
    /// Creates the address of a server, from a URL of the redis crate.
    ///
    /// # Errors
    /// The reason why this kind of address cannot be used.
    pub(super) fn new(
        info: &ConnectionInfo,
        tls: Option<Tls>,
        max_value: usize,
    ) -> Result<Self, &'static str> {
        let route = match info.addr() {
            ConnectionAddr::Tcp(host, port) => AddressKind::Tcp(host.as_str().into(), *port),
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => AddressKind::Unix(path.as_path().into()),
            _ => return Err("this kind of address is not supported on this system"),
        };
        let login = info.redis_settings().clone();
        Ok(Self {
            route,
            // The name of the library needs a permission, and Redis logs each refusal.
            login: login
                .set_protocol(ProtocolVersion::RESP3)
                .set_skip_set_lib_name(),
            tls,
            max_value,
            shown: info.addr().to_string().into(),
        })
    }

    /// Returns the address of another server with the same user, password, database and TLS.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        Self {
            route: AddressKind::Tcp(host.into(), port),
            shown: ConnectionAddr::Tcp(host.to_owned(), port)
                .to_string()
                .into(),
            ..self.clone()
        }
    }

    /// Sets how to log in.
    pub(super) fn with_login(
        mut self,
        change: impl FnOnce(RedisConnectionInfo) -> RedisConnectionInfo,
    ) -> Self {
        self.login = change(self.login);
        self
    }

    /// Returns host and port, or the path, for a log.
    pub(super) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// Returns the host, unless it is a Unix socket.
    pub(super) fn host(&self) -> Option<&str> {
        match &self.route {
            AddressKind::Tcp(host, _) => Some(host),
            #[cfg(unix)]
            AddressKind::Unix(_) => None,
        }
    }

    /// Returns the number of the database.
    pub(super) fn database(&self) -> i64 {
        self.login.db()
    }

    /// Connects once and authenticates.
    pub(super) async fn dial(&self, inbox: Arc<dyn PushReceiver>) -> Result<Dialed, ConnectError> {
        match &self.route {
            AddressKind::Tcp(host, port) => {
                let deadline = Instant::now() + CONNECT_TIMEOUT;
                let resolving = timeout_at(deadline, lookup_host((&**host, *port)));
                let addresses: Vec<_> = opened(resolving.await)?.collect();
                let stream = connect_any(&addresses, deadline).await?;
                // Otherwise small commands wait for each other's TCP acknowledgements: 40 ms each.
                stream.set_nodelay(true).map_err(ConnectError::io)?;
                match &self.tls {
                    Some(tls) => {
                        let securing = timeout(HANDSHAKE_TIMEOUT, tls.connect(host, stream)).await;
                        let late = |_| {
                            ConnectError::timeout(
                                "no TLS handshake within 5 s; if this Redis does not use TLS, write redis://, or use its TLS port",
                            )
                        };
                        self.handshake(securing.map_err(late)??, inbox).await
                    }
                    None => self.handshake(stream, inbox).await,
                }
            }
            #[cfg(unix)]
            AddressKind::Unix(path) => {
                let connecting = tokio::net::UnixStream::connect(path);
                let stream = opened(timeout(CONNECT_TIMEOUT, connecting).await)?;
                self.handshake(stream, inbox).await
            }
        }
    }

    /// Authenticates on a new connection.
    pub(super) async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        inbox: Arc<dyn PushReceiver>,
    ) -> Result<Dialed, ConnectError> {
        let activity = Activity::new();
        let stream = MonitoredStream::new(stream, activity.clone(), inbox.clone(), self.max_value);
        let ended = activity.clone();
        let config = AsyncConnectionConfig::new()
            // The sender of each command sets its deadline.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE)
            .set_push_sender(move |push: PushInfo| {
                if let (PushKind::SUnsubscribe, [Value::BulkString(channel), ..]) =
                    (&push.kind, &push.data[..])
                    && inbox.needs(channel)
                {
                    ended.end_unsubscribed();
                }
                inbox.push(push.kind, push.data);
                Ok::<_, std::convert::Infallible>(())
            });
        let handshaking = MultiplexedConnection::new_with_config(&self.login, stream, config);
        let (connection, driver) = timeout(HANDSHAKE_TIMEOUT, handshaking)
            .await
            .map_err(|_| ConnectError::timeout("no response within 5 s"))?
            .map_err(|error| match (activity.malformed(), &self.tls) {
                (None, _) if error.is_io_error() || error.is_connection_dropped() => {
                    match (activity.first_error(), &self.tls) {
                        (Some(refusal), _) => ConnectError::refused(refusal),
                        (None, Some(tls)) if error.is_io_error() => {
                            ConnectError::tls_ended(&error, tls.has_certificate())
                        }
                        (None, _) => ConnectError::of(&error),
                    }
                }
                (Some(Malformed::NotRedis), _) => ConnectError::not_redis(),
                (Some(large @ Malformed::TooLarge(_)), _) => {
                    ConnectError::new(large.to_string(), Cause::Denied)
                }
                (None, _) => ConnectError::of(&error),
            })?;
        // The driver ends with its connection, or when the last handle to it is dropped.
        let driver = ConnectionTask(tokio::spawn(driver).abort_handle());
        Ok(Dialed {
            connection,
            activity,
            driver,
        })
    }
}

/// Connects to the first of the addresses of a host that accepts the connection, of those that are
/// tried before the deadline: one that does not respond does not keep the next one waiting.
async fn connect_any(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, ConnectError> {
    let attempts = addresses.iter().copied();
    let mut attempts =
        Staggered::new(attempts.map(async |address| (address, TcpStream::connect(address).await)));
    let mut failed = Vec::new();
    let connecting = async {
        while let Some((address, outcome)) = attempts.next().await {
            match outcome {
                Ok(stream) => return Some(stream),
                Err(error) => failed.push((address, ConnectError::io(error))),
            }
        }
        None
    };
    if let Ok(Some(stream)) = timeout_at(deadline, connecting).await {
        return Ok(stream);
    }
    let has_failed = |address: &&SocketAddr| failed.iter().any(|(failed, _)| failed == *address);
    let silent = addresses.iter().find(|address| !has_failed(address));
    Err(match (silent, failed.pop()) {
        (Some(silent), Some((address, error))) => {
            let reason = format!("{LATE} to {silent}, and to {address}: {error}");
            // The one that is late may still be there, whatever the others say.
            ConnectError::new(reason, Cause::Unreachable)
        }
        (Some(_), None) => ConnectError::timeout(LATE),
        (None, Some((_, error))) => error,
        (None, None) => ConnectError::new("its host has no address", Cause::Unreachable),
    })
}

fn opened<T>(outcome: Result<io::Result<T>, Elapsed>) -> Result<T, ConnectError> {
    match outcome {
        Ok(Ok(opened)) => Ok(opened),
        Ok(Err(error)) => Err(ConnectError::io(error)),
        Err(_) => Err(ConnectError::timeout(LATE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    /// Returns a socket that does not respond, and connections that fill its queue.
    async fn unresponsive() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) =
            timeout(Duration::from_millis(100), TcpStream::connect(address)).await
        {
            queued.push(connected.unwrap());
        }
        (listener, queued)
    }

    #[tokio::test]
    async fn an_address_that_does_not_respond_leaves_time_for_the_next_one() {
        let (unresponsive, _queued) = unresponsive().await;
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [&unresponsive, &open].map(|listener| listener.local_addr().unwrap());
        let deadline = Instant::now() + CONNECT_TIMEOUT;

        let stream = connect_any(&addresses, deadline).await.unwrap();

        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(Instant::now() < deadline);
    }

    #[tokio::test]
    async fn an_address_that_responds_late_is_connected_to_among_others_that_do_not_respond() {
        let (late, queued) = unresponsive().await;
        let (first, _first) = unresponsive().await;
        let (second, _second) = unresponsive().await;
        let addresses = [&late, &first, &second].map(|listener| listener.local_addr().unwrap());
        let deadline = Instant::now() + CONNECT_TIMEOUT;

        // It accepts the connection when the system sends its request again, after 1 s.
        let accepting = async {
            for _ in queued {
                late.accept().await.unwrap();
            }
        };
        let (stream, ()) = tokio::join!(connect_any(&addresses, deadline), accepting);

        assert_eq!(stream.unwrap().peer_addr().unwrap(), addresses[0]);
    }

    #[tokio::test]
    async fn a_host_is_out_of_reach_if_one_of_its_addresses_does_not_respond() {
        let (unresponsive, _queued) = unresponsive().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [silent, refusing] =
            [&unresponsive, &closed].map(|listener| listener.local_addr().unwrap());
        drop(closed);

        for addresses in [[silent, refusing], [refusing, silent]] {
            let deadline = Instant::now() + Duration::from_millis(200);
            let error = connect_any(&addresses, deadline).await.unwrap_err();

            assert_eq!(error.cause, Cause::Unreachable, "{error}");
            let expected = format!(
                "no connection within 2 s to {silent}, and to {refusing}: connection refused"
            );
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
}
