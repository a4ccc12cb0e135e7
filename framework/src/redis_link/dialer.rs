//! Dialing a connection of a link, and the checks that its server can be used.

use super::{
    address::{Address, Dialed},
    connect_error::{Cause, ConnectError},
    directory::Found,
    endpoint::Endpoint,
    fault::CommandFault,
    state::{Loss, Up},
    stream::PushReceiver,
};
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{
    join,
    time::{Instant, timeout},
};

/// The timeout of the commands on a new connection.
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
    /// Whether a connection cannot be used if the user lacks the permission to end the previous one,
    /// or to ask whether its server is the same.
    pub(crate) must_end_previous: bool,
}

/// What dials the connections of a link.
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    pub(super) settings: LinkSettings,
}

impl Dialer {
    /// Returns a new connection, and for how long its server was left unused on purpose.
    pub(super) async fn dial(
        &self,
        previous: Option<&Loss>,
    ) -> Result<(Up, Duration), ConnectError> {
        let Found { address, waited } = self.endpoint.resolve().await?;
        let dialing = self.dial_at(&address, previous).await;
        let is_shown = self.endpoint.directory().is_none();
        let up = dialing.map_err(|error| {
            self.endpoint.mark_stale();
            error.at(address.shown(), !is_shown)
        })?;
        Ok((up, waited))
    }

    async fn dial_at(
        &self,
        address: &Address,
        previous: Option<&Loss>,
    ) -> Result<Up, ConnectError> {
        let dialing = address.dial(self.settings.inbox.clone());
        let Dialed {
            connection,
            activity,
            driver,
        } = dialing.await?;
        let mut up = Up {
            connection,
            generation: previous.map_or(0, |loss| loss.generation + 1),
            run_id: None,
            client: None,
            since: Instant::now(),
            address: Arc::new(address.clone()),
            loss: None,
            activity,
            driver: Arc::new(driver),
        };
        self.check(&mut up).await?;
        self.end_previous(&mut up, previous).await?;
        Ok(up)
    }

    /// Checks that the server can be used, and finds out its `run_id`, and the number that it has
    /// given to the connection.
    async fn check(&self, up: &mut Up) -> Result<(), ConnectError> {
        let (mut connection, mut same) = (up.connection.clone(), up.connection.clone());
        let (identity, client) = join!(identity(&mut connection), self.client(&mut same));
        let identity = identity?;
        if self.settings.must_end_previous && identity.run_id.is_none() {
            let reason = "its user needs the permission for INFO to read a queue";
            return Err(ConnectError::new(reason, Cause::Denied));
        }
        up.run_id = identity.run_id;
        up.client = client?;
        if let Some(directory) = self.endpoint.directory() {
            is_primary(&mut connection).await?;
            if directory.is_cluster() && identity.version.is_some_and(|is| is < SHARDED_SINCE) {
                let reason = "Redis 7 or later is needed for a Cluster";
                return Err(ConnectError::new(reason, Cause::Denied));
            }
        }
        Ok(())
    }

    /// Asks the server how it numbers the connection among its clients.
    async fn client(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<Option<i64>, ConnectError> {
        let client = redis::cmd("CLIENT").arg("ID").to_owned();
        let client = timeout(INFO_TIMEOUT, client.query_async(connection)).await;
        let late = |_| ConnectError::timeout("no response to CLIENT ID within 5 s");
        self.if_permitted(client.map_err(late)?)
    }

    /// Ends the previous connection, of which the server may not know yet that it is lost: what
    /// this process sent on it may still be on the network, and would run after what the next one
    /// sends. A connection that waits for events would still take some.
    async fn end_previous(&self, up: &mut Up, previous: Option<&Loss>) -> Result<(), ConnectError> {
        // Another run has numbered other clients so.
        let is_same_run =
            |loss: &&Loss| loss.run_id.is_some() && loss.run_id.as_deref() == up.run_id.as_deref();
        let client = match previous.filter(is_same_run).and_then(|loss| loss.client) {
            Some(client) => client,
            // It shows at the start whether the command is allowed.
            None if self.settings.must_end_previous => i64::MAX,
            None => return Ok(()),
        };
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("ID").arg(client);
        let killing = kill.query_async::<i64>(&mut up.connection);
        let late = |_| ConnectError::timeout("no response to CLIENT KILL within 5 s");
        let killed = timeout(INFO_TIMEOUT, killing).await.map_err(late)?;
        self.if_permitted(killed).map(drop)
    }

    /// Returns the reply; none if the server refuses the command, unless this link depends on it.
    fn if_permitted<T>(&self, reply: RedisResult<T>) -> Result<Option<T>, ConnectError> {
        match reply {
            Ok(reply) => Ok(Some(reply)),
            Err(error) if self.settings.must_end_previous || ends_attempt(&error) => {
                Err(ConnectError::of(&error))
            }
            Err(_) => Ok(None),
        }
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
    matches!(
        CommandFault::of(error),
        Some(CommandFault::Broken | CommandFault::NotYet)
    )
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
