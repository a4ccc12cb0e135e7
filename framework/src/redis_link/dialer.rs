//! Dialing a connection of a link, and the checks that its server can be used.

use super::{
    address::{Address, Dialed},
    connect_error::{Cause, ConnectError, is_not_ready},
    directory::Found,
    endpoint::Endpoint,
    state::Up,
    stream::PushReceiver,
};
use redis::{RedisError, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

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

/// What dials the connections of a link.
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    pub(super) settings: LinkSettings,
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
