//! A connection to Redis that is replaced whenever it is lost.

use super::{
    dialer::{Dialer, LinkSettings},
    endpoint::Endpoint,
    fault::{CommandFault, NOT_YET, error_text, is_malformed_reply},
    liveness::Lost,
    state::{Down, LinkState, Server, Up},
    supervisor::{End, Supervisor},
};
use crate::error::{Error, ErrorKind, Result};
use redis::RedisError;
use tokio::{sync::watch, task::AbortHandle, time::sleep};

/// A connection to Redis that is replaced whenever it is lost, for as long as the link is held.
pub(crate) struct Link {
    endpoint: Endpoint,
    state: watch::Receiver<LinkState>,
    /// The number of the last connection that is to be replaced, and why.
    to_replace: watch::Sender<Option<(u64, End)>>,
    supervisor: AbortHandle,
}

impl Link {
    /// Connects, and reconnects from then on.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the first attempt fails: a server that starts without its Redis must
    /// report it.
    pub(crate) async fn open(endpoint: &Endpoint, settings: LinkSettings) -> Result<Self> {
        let to_replace = watch::Sender::new(None);
        let dialer = Dialer {
            endpoint: endpoint.clone(),
            settings,
        };
        let (first, _) = dialer.dial(None).await.map_err(|refusal| {
            Error::new(
                ErrorKind::Layer,
                format!("cannot connect to Redis at {}: {refusal}", endpoint.shown()),
            )
        })?;
        let (states, state) = watch::channel(LinkState::Up(first.clone()));
        let supervisor = Supervisor::new(dialer, to_replace.subscribe(), states);
        let supervisor = tokio::spawn(supervisor.run(first)).abort_handle();
        Ok(Self {
            endpoint: endpoint.clone(),
            state,
            to_replace,
            supervisor,
        })
    }

    /// Returns what is wrong with the connection on which a command failed; `None` if it is the
    /// command. One that does not lead to the primary is replaced.
    pub(crate) fn fault(&self, generation: u64, error: &RedisError) -> Option<CommandFault> {
        let fault = CommandFault::of(error)?;
        if fault == CommandFault::Moved {
            let reason = format!("the server is not the primary: {}", error_text(error));
            self.replace(generation, End::Wrong(reason.into()));
        }
        Some(fault)
    }

    /// Waits until a command that may run twice can be sent again after this error; returns whether
    /// it can: the server refused it because another one is the primary or will be, or this process
    /// has left the server for that reason before it replied.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn may_repeat(&self, generation: u64, error: &RedisError) -> bool {
        match self.fault(generation, error) {
            Some(CommandFault::Moved) => {
                self.left(generation).await;
                true
            }
            Some(CommandFault::NotYet) => {
                sleep(NOT_YET).await;
                true
            }
            Some(CommandFault::Broken) => self.is_left_for_another(generation).await,
            None => false,
        }
    }

    /// Replaces a connection if an error shows that its replies belong to other commands; returns
    /// whether it does.
    pub(crate) fn replace_if_shifted(&self, generation: u64, error: &RedisError) -> bool {
        let is_shifted = is_malformed_reply(error);
        if is_shifted {
            self.replace_shifted(generation);
        }
        is_shifted
    }

    /// Replaces a connection whose replies belong to other commands.
    pub(crate) fn replace_shifted(&self, generation: u64) {
        self.replace(generation, End::Lost(Lost::Shifted));
    }

    /// Replaces a connection on which commands that Redis has not refused are still under way.
    pub(crate) fn replace_refused(&self, generation: u64) {
        self.replace(generation, End::Lost(Lost::Refused));
    }

    fn replace(&self, generation: u64, end: End) {
        self.to_replace.send_replace(Some((generation, end)));
    }

    /// Returns the current connection, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] with the reason, and for how long there has been none.
    pub(crate) fn current(&self) -> Result<Up> {
        match &*self.state.borrow() {
            LinkState::Up(up) => Ok(up.clone()),
            LinkState::Down(down) => Err(self.unreachable(down)),
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
        let is_changing =
            matches!(&*self.state.borrow(), LinkState::Down(down) if down.loss.is_left);
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
    async fn is_left_for_another(&self, generation: u64) -> bool {
        self.left(generation).await;
        match &*self.state.borrow() {
            LinkState::Down(Down { loss, .. })
            | LinkState::Up(Up {
                loss: Some(loss), ..
            }) => loss.generation == generation && loss.is_left,
            LinkState::Up(_) => false,
        }
    }

    /// Waits for a connection.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn up(&self) -> Up {
        let mut states = self.state.clone();
        loop {
            if let LinkState::Up(up) = &*states.borrow_and_update() {
                return up.clone();
            }
            if states.changed().await.is_err() {
                // The supervisor lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Returns a receiver of the connection's state changes.
    pub(crate) fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// Waits until this connection is known to be lost.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn left(&self, generation: u64) {
        let mut states = self.state.clone();
        let is_left =
            |state: &LinkState| !matches!(state, LinkState::Up(up) if up.generation == generation);
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
                LinkState::Up(up) if up.generation == generation => None,
                LinkState::Down(down) if down.loss.generation == generation && !down.is_known => {
                    None
                }
                LinkState::Down(Down { loss, .. })
                | LinkState::Up(Up {
                    loss: Some(loss), ..
                }) if loss.generation == generation => Some(loss.server),
                LinkState::Up(_) | LinkState::Down(_) => Some(Server::MayHaveContinued),
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
        let (shown, why) = (self.endpoint.shown(), &down.why);
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
