//! The guard that runs a consumer's `disconnect` exactly once, in bounded time.

use crate::{
    catch_panic::catch_panic,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    message::Close,
    protocol::ConnectionHandle,
};
use std::{
    future::Future,
    mem,
    ops::{Deref, DerefMut},
    pin::Pin,
    time::Duration,
};
use tokio::runtime::Handle;
use tracing::Instrument;

/// How long `disconnect` may take: enough for a slow database, not for one that is down.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A consumer, at any stage of its connection.
pub(super) trait Disconnects: Sized + Send + 'static {
    type End: ConnectionEnd;

    /// Returns the consumer's `disconnect`.
    fn disconnect(self, end: Self::End) -> DisconnectHook;
}

/// How a connection ended, which `disconnect` gets.
pub(super) trait ConnectionEnd: Send + 'static {
    /// Returns the end of a connection whose future was dropped.
    fn dropped() -> Self;
}

impl ConnectionEnd for Close {
    fn dropped() -> Self {
        Close::from(Close::ABNORMAL)
    }
}

/// The run of a `disconnect`; returns its failure, which is in the log already.
pub(super) type DisconnectHook = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A consumer whose `disconnect` runs exactly once, however its connection ends.
///
/// A client that leaves before the response, or middleware that times out, drops the connection's
/// future at any await. `disconnect` then runs in a separate task, which a server that stops
/// waits for.
pub(super) struct DisconnectGuard<C: Disconnects> {
    stage: Stage<C>,
    handle: Option<ConnectionHandle>,
}

enum Stage<C> {
    Connected(C),
    Disconnecting(DisconnectHook),
    Over,
}

impl<C: Disconnects> DisconnectGuard<C> {
    pub(super) fn new(consumer: C, handle: Option<ConnectionHandle>) -> Self {
        let stage = Stage::Connected(consumer);
        Self { stage, handle }
    }

    /// Returns the handle of the connection.
    pub(super) fn connection(&self) -> Option<&ConnectionHandle> {
        self.handle.as_ref()
    }

    /// Guards the next stage of the consumer, which is returned with what else is made of it.
    pub(super) fn map<R, N: Disconnects>(
        mut self,
        next: impl FnOnce(C) -> (R, N),
    ) -> (R, DisconnectGuard<N>) {
        let Stage::Connected(consumer) = mem::replace(&mut self.stage, Stage::Over) else {
            unreachable!("{CONNECTED}");
        };
        let (rest, consumer) = next(consumer);
        (rest, DisconnectGuard::new(consumer, self.handle.take()))
    }

    /// Runs the consumer's `disconnect`, and returns its failure.
    ///
    /// # Cancel safety
    /// Safe: it then continues in a separate task.
    pub(super) async fn disconnect(mut self, end: C::End) -> Result<()> {
        self.start(end);
        let Stage::Disconnecting(running) = &mut self.stage else {
            return Ok(());
        };
        let outcome = running.await;
        self.stage = Stage::Over;
        outcome
    }

    fn start(&mut self, end: C::End) {
        self.stage = match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Connected(consumer) => Stage::Disconnecting(consumer.disconnect(end)),
            started => started,
        };
    }
}

/// Why a guard that can be used has a consumer.
const CONNECTED: &str = "`disconnect` takes the guard";

impl<C: Disconnects> Deref for DisconnectGuard<C> {
    type Target = C;

    fn deref(&self) -> &C {
        match &self.stage {
            Stage::Connected(consumer) => consumer,
            _ => unreachable!("{CONNECTED}"),
        }
    }
}

impl<C: Disconnects> DerefMut for DisconnectGuard<C> {
    fn deref_mut(&mut self) -> &mut C {
        match &mut self.stage {
            Stage::Connected(consumer) => consumer,
            _ => unreachable!("{CONNECTED}"),
        }
    }
}

impl<C: Disconnects> Drop for DisconnectGuard<C> {
    fn drop(&mut self) {
        // Without a runtime nothing can run: the process is ending.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        self.start(C::End::dropped());
        let Stage::Disconnecting(running) = mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let handle = self.handle.take();
        let rest = async move {
            _ = running.await;
            drop(handle);
        };
        runtime.spawn(rest.in_current_span());
    }
}

/// Runs an async consumer's `disconnect`.
pub(super) fn disconnected<F>(disconnect: impl FnOnce() -> F + Send + 'static) -> DisconnectHook
where
    F: Future<Output = ()> + Send,
{
    Box::pin(async move {
        match tokio::time::timeout(DISCONNECT_LIMIT, catch_panic(disconnect)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(panic)) => {
                log_limited!(error, error = %panic, "a consumer's disconnect panicked");
                Err(panic.logged())
            }
            Err(_) => {
                log_limited!(
                    warn,
                    "a consumer's disconnect took too long and was dropped"
                );
                let message = "a consumer's disconnect took too long and was dropped";
                Err(Error::new(ErrorKind::Timeout, message).logged())
            }
        }
    })
}
