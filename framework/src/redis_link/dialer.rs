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
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{
    join,
    time::{Instant, sleep, timeout},
};

/// The timeout of the commands on a new connection.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a server that no directory names is asked whether it is a replica now.
const ROLE_EVERY: Duration = Duration::from_secs(10);

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
    pub(crate) needs: LinkNeeds,
}

/// What a connection of a link must have to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkNeeds {
    /// A server, maybe a replica: the link only reads.
    Server,
    /// The primary.
    Primary,
    /// The primary, and that it has ended the previous connection: that would still take events.
    EndOfPrevious,
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
        if self.settings.needs == LinkNeeds::EndOfPrevious && identity.run_id.is_none() {
            let reason = "its user needs the permission for INFO to read a queue";
            return Err(ConnectError::new(reason, Cause::Denied));
        }
        up.run_id = identity.run_id;
        up.client = client?;
        let directory = self.endpoint.directory();
        let must_be_primary = self.settings.needs != LinkNeeds::Server || directory.is_some();
        if must_be_primary && identity.is_replica == Some(true) {
            return Err(ConnectError::replica());
        }
        if let Some(directory) = directory {
            // What a Sentinel or a node says may be old.
            if identity.is_replica.is_none() {
                let reason = "its user needs the permission for INFO to find the primary";
                return Err(ConnectError::new(reason, Cause::Denied));
            }
            if directory.is_cluster() && identity.version.is_some_and(|is| is < SHARDED_SINCE) {
                let reason = "Redis 7 or later is needed for a Cluster";
                return Err(ConnectError::new(reason, Cause::Denied));
            }
        }
        Ok(())
    }

    /// Waits until the server of a connection is a replica. Without a directory nobody else says so,
    /// and it still accepts events over pub/sub, which reach only its own subscribers.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn demoted(&self, up: &Up) {
        let is_noticed = self.endpoint.directory().is_some() || up.run_id.is_none();
        if is_noticed || self.settings.needs == LinkNeeds::Server {
            return pending().await;
        }
        let mut connection = up.connection.clone();
        loop {
            sleep(ROLE_EVERY).await;
            // A connection that is lost is noticed by other means.
            let replication = info("replication", &mut connection).await;
            if replication.is_ok_and(|replication| is_replica(&replication)) {
                return;
            }
        }
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
            // It shows at startup whether the command is allowed.
            None if self.settings.needs == LinkNeeds::EndOfPrevious => i64::MAX,
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
            Err(error)
                if self.settings.needs == LinkNeeds::EndOfPrevious || ends_attempt(&error) =>
            {
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
    is_replica: Option<bool>,
}

/// Asks the server which run it is, and whether it is a replica; it does not say if the user lacks
/// the permission, or the server has no such command.
///
/// # Errors
/// If it does not respond, or cannot now, as while it runs a script (BUSY).
async fn identity(connection: &mut MultiplexedConnection) -> Result<Identity, ConnectError> {
    let mut same = connection.clone();
    let replies = async { join!(info("server", connection), info("replication", &mut same)) };
    let replies = timeout(INFO_TIMEOUT, replies).await;
    match replies.map_err(|_| ConnectError::timeout("no response to INFO within 5 s"))? {
        (Ok(server), Ok(replication)) => {
            let line = |name| server.lines().find_map(|line| line.strip_prefix(name));
            let version = line("redis_version:").and_then(|version| version.split('.').next());
            Ok(Identity {
                run_id: line("run_id:").map(|id| id.trim().into()),
                version: version.and_then(|version| version.parse().ok()),
                is_replica: Some(is_replica(&replication)),
            })
        }
        (Err(error), _) | (_, Err(error)) if ends_attempt(&error) => Err(ConnectError::of(&error)),
        _ => Ok(Identity::default()),
    }
}

async fn info(section: &str, connection: &mut MultiplexedConnection) -> RedisResult<String> {
    let info = redis::cmd("INFO").arg(section).to_owned();
    info.query_async(connection).await
}

/// Returns whether a server says of its replication that it is a replica.
fn is_replica(replication: &str) -> bool {
    replication.lines().any(|line| line.trim() == "role:slave")
}

/// Returns whether the connection is lost, or the server may serve soon.
fn ends_attempt(error: &RedisError) -> bool {
    matches!(
        CommandFault::of(error),
        Some(CommandFault::Broken | CommandFault::NotYet)
    )
}
