//! Whether a link has a connection, and how it lost the previous one.

use super::{
    address::{Address, ConnectionTask},
    stream::Activity,
};
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use tokio::time::Instant;

/// Whether there is currently a connection.
#[derive(Clone)]
pub(crate) enum LinkState {
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
    /// The number of this connection among the server's clients; `None` if the user lacks the
    /// permission to ask.
    pub(super) client: Option<i64>,
    /// When it was opened.
    pub(crate) since: Instant,
    pub(super) address: Arc<Address>,
    /// How the previous connection was lost; `None` for the first.
    pub(crate) loss: Option<Loss>,
    pub(super) activity: Arc<Activity>,
    pub(super) driver: Arc<ConnectionTask>,
}

impl Up {
    /// Returns whether both connections certainly lead to the same run of Redis.
    pub(crate) fn is_of_the_run_of(&self, other: &Self) -> bool {
        self.run_id.is_some() && self.run_id == other.run_id
    }

    /// Returns the number of the database that is used.
    pub(crate) fn database(&self) -> i64 {
        self.address.database()
    }
}

/// How a connection was lost.
#[derive(Clone)]
pub(crate) struct Loss {
    /// The number of the lost connection.
    pub(crate) generation: u64,
    /// The server's address.
    pub(super) address: Arc<str>,
    /// The server's `run_id`.
    pub(crate) run_id: Option<Arc<str>>,
    /// The number of the lost connection among the server's clients.
    pub(super) client: Option<i64>,
    /// When bytes last arrived on it: what was sent to this process later may be lost.
    pub(crate) last_received: Instant,
    /// What happened to the server.
    pub(crate) server: Server,
    /// Whether this process has left it, because another server is the primary.
    pub(super) is_left: bool,
    /// Whether another run of Redis may have come and gone before the next connection, for long
    /// enough that other processes have published through it; or what the lost run has sent may not
    /// have arrived.
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
    pub(super) loss: Loss,
    /// Whether an attempt to reconnect has shown what happened to the server.
    pub(super) is_known: bool,
    pub(super) why: Arc<str>,
}

impl Down {
    /// Returns why there is no connection.
    pub(crate) fn reason(&self) -> &Arc<str> {
        &self.why
    }
}

/// Returns whether these are certainly two runs of Redis.
pub(crate) fn are_two_runs(one: Option<&str>, other: Option<&str>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}
