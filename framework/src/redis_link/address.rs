//! The address of Redis, one attempt to connect, and why an attempt failed.

use super::stream::{Activity, Inbox, Stream};
use crate::error::{Error, ErrorKind, Result};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion,
    PushInfo, RedisError, aio::MultiplexedConnection,
};
use std::{borrow::Cow, fmt, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::timeout,
};

/// The timeout for opening the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout for the responses to the first commands on a connection: a slow network needs more
/// than one round trip.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of commands that may wait to be written; at the bound, their senders wait.
const PIPELINE: usize = 1024;

/// The address of Redis.
#[derive(Clone)]
pub(crate) struct Address {
    info: ConnectionInfo,
    /// Host and port, without the password that the URL may hold.
    shown: Arc<str>,
}

/// A connection, and the task that reads and writes it.
pub(super) struct Dialed {
    pub(super) connection: MultiplexedConnection,
    pub(super) activity: Arc<Activity>,
    pub(super) driver: AbortHandle,
}

/// The reason why an attempt to connect failed.
#[derive(Debug)]
pub(super) struct ConnectError {
    reason: Cow<'static, str>,
    pub(super) cause: Cause,
}

/// The kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Nothing listens at the address.
    NothingListens,
    /// The connection was closed before any byte arrived, as by a server that is shutting down.
    ClosedEarly,
    /// Redis refused: wrong password, missing permissions, or the server is not Redis. Waiting
    /// alone does not help.
    Denied,
    /// Any other failure.
    Unreachable,
}

impl Address {
    /// Parses `redis://[user:password@]host[:port][/database]`.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the URL is malformed or uses TLS; the message never holds the
    /// password.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if url.starts_with("rediss://") {
            let message = "Redis over TLS (rediss://) is not supported yet; use redis:// through a tunnel such as stunnel";
            return Err(Error::new(ErrorKind::Layer, message));
        }
        let info = url.into_connection_info().map_err(|_| malformed(url))?;
        let settings = info.redis_settings().clone();
        let info = info.set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3));
        let shown = info.addr().to_string().into();
        Ok(Self { info, shown })
    }

    /// Returns host and port, for a log.
    pub(crate) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// Connects once and authenticates.
    pub(super) async fn dial(&self, inbox: Arc<dyn Inbox>) -> Result<Dialed, ConnectError> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let connecting = TcpStream::connect((host.as_str(), *port));
                let stream = opened(timeout(CONNECT_TIMEOUT, connecting).await)?;
                // Otherwise small commands wait for each other's TCP acknowledgements: 40 ms each.
                stream.set_nodelay(true).map_err(ConnectError::io)?;
                self.handshake(stream, inbox).await
            }
            #[cfg(unix)]
            ConnectionAddr::Unix(path) => {
                let connecting = tokio::net::UnixStream::connect(path);
                let stream = opened(timeout(CONNECT_TIMEOUT, connecting).await)?;
                self.handshake(stream, inbox).await
            }
            _ => Err(ConnectError {
                reason: "this kind of address is not supported".into(),
                cause: Cause::Denied,
            }),
        }
    }

    async fn handshake(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Dialed, ConnectError> {
        let activity = Activity::new();
        let stream = Stream::new(stream, activity.clone(), inbox.clone());
        let config = AsyncConnectionConfig::new()
            // The sender of each command sets its deadline.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE)
            .set_push_sender(move |push: PushInfo| {
                inbox.take(push.kind, push.data);
                Ok::<_, std::convert::Infallible>(())
            });
        let settings = self.info.redis_settings();
        let handshaking = MultiplexedConnection::new_with_config(settings, stream, config);
        let (connection, driver) = timeout(HANDSHAKE_TIMEOUT, handshaking)
            .await
            .map_err(|_| ConnectError::timeout("no response within 5 s"))?
            .map_err(|error| ConnectError::of(&error))?;
        // The driver ends with its connection, or when the last handle to it is dropped.
        let driver = tokio::spawn(driver).abort_handle();
        Ok(Dialed {
            connection,
            activity,
            driver,
        })
    }
}

fn opened<T>(
    outcome: Result<io::Result<T>, tokio::time::error::Elapsed>,
) -> Result<T, ConnectError> {
    match outcome {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(ConnectError::io(error)),
        Err(_) => Err(ConnectError::timeout("no connection within 2 s")),
    }
}

/// Returns the error for a malformed URL. The URL may hold a password and is not shown.
fn malformed(url: &str) -> Error {
    let hint = match url.split_once("://") {
        None => "",
        // Each of these, unencoded in a password, ends the part of the URL that holds it.
        Some((_, rest)) if rest.contains(['#', '@', '?', '%']) => {
            "; percent-encode special characters in the password: # is %23, / is %2F, ? is %3F, @ is %40, % is %25"
        }
        Some(_) => "",
    };
    Error::new(
        ErrorKind::Layer,
        format!(
            "malformed Redis URL: write redis://[user:password@]host[:port][/database], as in redis://127.0.0.1:6379{hint}"
        ),
    )
}

impl ConnectError {
    /// Returns the reason and cause that Redis' response indicates.
    pub(super) fn of(error: &RedisError) -> Self {
        let (reason, cause) = match error.code() {
            Some("WRONGPASS") => (
                "it refused the user name or password (WRONGPASS); correct them in the URL, and percent-encode special \
                 characters: # is %23, @ is %40, / is %2F"
                    .into(),
                Cause::Denied,
            ),
            Some("NOAUTH") => (
                "it requires a password (NOAUTH); write redis://:password@host:port".into(),
                Cause::Denied,
            ),
            Some(_) if error.to_string().contains("unknown command") => (
                "it does not know HELLO; Redis 6 or later is needed".into(),
                Cause::Denied,
            ),
            Some(code) => (
                format!("it refused the connection ({code}): {}", detail(error)).into(),
                Cause::Denied,
            ),
            None if error.is_io_error() || error.is_connection_dropped() => (
                "it closed the connection before it responded; check that this is the port of a Redis without TLS"
                    .into(),
                Cause::ClosedEarly,
            ),
            None => match error.kind() {
                redis::ErrorKind::Parse => (
                    "the server there does not use the Redis protocol; check the port".into(),
                    Cause::Denied,
                ),
                redis::ErrorKind::AuthenticationFailed => (
                    format!("it refused the user name or password: {}", detail(error)).into(),
                    Cause::Denied,
                ),
                _ => (detail(error).into(), Cause::Unreachable),
            },
        };
        Self { reason, cause }
    }

    fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self {
                reason: "connection refused; start Redis there, or correct the address".into(),
                cause: Cause::NothingListens,
            },
            _ => Self {
                reason: error.to_string().into(),
                cause: Cause::Unreachable,
            },
        }
    }

    pub(super) fn timeout(reason: &'static str) -> Self {
        Self {
            reason: reason.into(),
            cause: Cause::Unreachable,
        }
    }
}

/// Returns the server's own error message, or that of the client library.
fn detail(error: &RedisError) -> String {
    error
        .detail()
        .map_or_else(|| error.to_string(), str::to_owned)
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_url_is_refused_without_its_password_and_with_a_hint() {
        for (url, has_hint) in [
            ("127.0.0.1:6379", false),
            ("http://127.0.0.1", false),
            ("redis://:se#cret@127.0.0.1:6379", true),
            ("redis://:se/cret@127.0.0.1:6379", true),
        ] {
            let Err(error) = Address::parse(url) else {
                panic!("{url} was taken");
            };
            let text = format!("{error:?}");
            assert_eq!(text.contains("%23"), has_hint, "{url}: {text}");
            assert!(!text.contains("cret"), "{text}");
        }
    }
}
