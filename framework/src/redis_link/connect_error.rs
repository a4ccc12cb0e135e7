//! Why an attempt to connect failed.

use super::fault::{CommandFault, error_text, short_line};
use redis::{RedisError, RedisResult};
use std::{borrow::Cow, fmt, future::Future, io, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The timeout for the response to a query on an open connection.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Part of the reply of a server that has reached its limit of clients.
const ALL_CLIENTS: &str = "max number of clients";

/// The reason why an attempt to connect failed.
#[derive(Debug)]
pub(super) struct ConnectError {
    reason: Cow<'static, str>,
    pub(super) cause: Cause,
    /// The address, if it was known.
    at: Option<Arc<str>>,
    /// Whether the server refused the user name or password.
    refuses_login: bool,
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

impl ConnectError {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>, cause: Cause) -> Self {
        Self {
            reason: reason.into(),
            cause,
            at: None,
            refuses_login: false,
        }
    }

    /// Names the settings of a Sentinel, if that refused the user name or password: those before
    /// the `@` are for the servers.
    pub(super) fn of_sentinel(mut self) -> Self {
        if self.refuses_login {
            self.reason =
                "this Sentinel refused the user name or password (NOAUTH or WRONGPASS); correct \
                           ?sentinel_username=…&sentinel_password=… in the URL"
                    .into();
        }
        self
    }

    /// Records where the attempt failed, if the URL does not say it.
    pub(super) fn at(mut self, address: &Arc<str>, is_shown: bool) -> Self {
        self.at = Some(address.clone());
        if is_shown {
            self.reason = format!("{address}: {}", self.reason).into();
        }
        self
    }

    /// Returns whether the attempt failed at the server with this address.
    pub(super) fn is_at(&self, shown: &str) -> bool {
        self.at.as_deref() == Some(shown)
    }

    /// Returns the error for a server of another protocol.
    pub(super) fn not_redis() -> Self {
        let reason = "the server there does not use the Redis protocol; check the port";
        Self::new(reason, Cause::Denied)
    }

    /// Returns the error for a server that has closed the connection with this error.
    pub(super) fn refused(error: &str) -> Self {
        let (remedy, cause) = match error.contains(ALL_CLIENTS) {
            true => (
                "; raise `maxclients`, or close connections of other programs",
                Cause::Unreachable,
            ),
            // Such as protected mode (DENIED).
            false => ("", Cause::Denied),
        };
        let reason = format!("it refused the connection: {}{remedy}", short_line(error));
        Self::new(reason, cause)
    }

    /// Returns the error for a replica.
    pub(super) fn replica() -> Self {
        let reason = "it is a replica; either a failover is in progress, or the URL names a replica: use the address of the primary";
        Self::new(reason, Cause::Unreachable)
    }

    /// Returns the error for a TLS connection that the server has ended.
    pub(super) fn tls_ended(error: &RedisError, has_certificate: bool) -> Self {
        let remedy = match has_certificate {
            true => {
                "check that the certificate in ssl_certfile has not expired, and is of an authority that it trusts"
            }
            false => {
                "if it requires a certificate of its clients, name it with ssl_certfile and ssl_keyfile"
            }
        };
        let reason = format!(
            "it ended the TLS connection: {}; {remedy}",
            error_text(error)
        );
        Self::new(reason, Cause::Denied)
    }

    /// Returns the reason and cause that Redis' response indicates.
    pub(super) fn of(error: &RedisError) -> Self {
        let (reason, cause): (Cow<'static, str>, _) = match error.code() {
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
                "it does not know HELLO or CLIENT; Redis 6 or later is needed, and no proxy that lacks them".into(),
                Cause::Denied,
            ),
            // With this reply to the first command, the server closes the connection.
            Some(code) if error.to_string().contains(ALL_CLIENTS) => {
                return Self::refused(&format!("{code} {}", detail(error)));
            }
            Some(code) if CommandFault::of(error) == Some(CommandFault::NotYet) => (
                format!("it cannot serve now ({code}): {}", detail(error)).into(),
                Cause::Unreachable,
            ),
            Some(code) => (
                format!("it refused the connection ({code}): {}", detail(error)).into(),
                Cause::Denied,
            ),
            None if error.is_io_error() || error.is_connection_dropped() => (
                "it closed the connection before it responded; check that this is the port of a Redis without TLS, or write rediss://"
                    .into(),
                Cause::ClosedEarly,
            ),
            None => match error.kind() {
                redis::ErrorKind::Parse => return Self::not_redis(),
                redis::ErrorKind::AuthenticationFailed => (
                    format!("it refused the user name or password: {}", detail(error)).into(),
                    Cause::Denied,
                ),
                _ => (detail(error).into(), Cause::Unreachable),
            },
        };
        Self {
            refuses_login: matches!(error.code(), Some("NOAUTH" | "WRONGPASS")),
            ..Self::new(reason, cause)
        }
    }

    pub(super) fn io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::new(
                "connection refused; start Redis there, or correct the address",
                Cause::NothingListens,
            ),
            // Of a Unix socket: a host name that is not found is another kind of error.
            io::ErrorKind::NotFound => Self::new(
                "there is no such socket; start Redis with `unixsocket`, or correct the path",
                Cause::NothingListens,
            ),
            io::ErrorKind::PermissionDenied => Self::new(
                format!(
                    "{error}; this process needs the permission to use the socket (unixsocketperm)"
                ),
                Cause::Denied,
            ),
            _ => Self::new(error.to_string(), Cause::Unreachable),
        }
    }

    pub(super) fn timeout(reason: &'static str) -> Self {
        Self::new(reason, Cause::Unreachable)
    }
}

/// Returns what has failed, without what to do about it.
pub(super) fn without_remedy(reason: &str) -> &str {
    reason
        .split_once("; ")
        .map_or(reason, |(failure, _)| failure)
}

/// Returns the server's own error message, or that of the client library.
fn detail(error: &RedisError) -> String {
    error.detail().map_or_else(|| error_text(error), short_line)
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Waits for the response of a Sentinel, or of a node of a Cluster, to a query.
///
/// # Errors
/// If there is none in time, or the server refuses.
pub(super) async fn response_to<T>(
    query: impl Future<Output = RedisResult<T>>,
) -> Result<T, ConnectError> {
    let response = timeout(RESPONSE_TIMEOUT, query).await;
    let response = response.map_err(|_| ConnectError::timeout("no response within 1 s"))?;
    response.map_err(|error: RedisError| {
        let text = error.to_string();
        let reason = if text.contains("cluster support disabled") {
            "it is not a node of a Cluster; write redis:// for a single server"
        } else if text.contains("unknown command") {
            "it is not a Sentinel; use the port of one, or write redis:// for a single server"
        } else if text.contains("NOPERM") {
            "its user lacks a permission; add the permissions for SENTINEL and SUBSCRIBE that docs/redis.md lists"
        } else {
            return ConnectError::of(&error);
        };
        ConnectError::new(reason, Cause::Denied)
    })
}
