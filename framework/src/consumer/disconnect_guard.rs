//! The guard that runs a consumer's `disconnect` exactly once, in bounded time.

use crate::{
    catch_panic::catch_panic, log_limit::log_limited, message::Close, protocol::ConnectionHandle,
};
use std::{
    future::Future,
    ops::{Deref, DerefMut},
    pin::Pin,
    time::Duration,
};
use tokio::runtime::Handle;
use tracing::Instrument;

/// How long `disconnect` may take: enough for a slow database, not for one that is down.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(30);

/// A consumer whose `disconnect` runs exactly once, however its connection ends.
///
/// A client that leaves before the response, or middleware that times out, drops the connection's
/// future at any await. `disconnect` then runs in a separate task, which a server that stops
/// waits for.
///
/// Everything else that the connection holds is to be dropped before, so that its groups are left
/// first.
///
/// `D` says how the connection ended.
pub(super) struct DisconnectGuard<C: Send + 'static, D: Send + 'static = Close> {
    /// `None` once `disconnect` has begun.
    consumer: Option<C>,
    /// The `disconnect` that runs; `None` once it has finished.
    running: Option<DisconnectHook>,
    start: fn(C, D) -> DisconnectHook,
    /// How the connection ended if the guard is dropped.
    dropped: fn() -> D,
    handle: Option<ConnectionHandle>,
}

pub(super) type DisconnectHook = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<C: Send + 'static, D: Send + 'static> DisconnectGuard<C, D> {
    pub(super) fn new(
        consumer: C,
        start: fn(C, D) -> DisconnectHook,
        dropped: fn() -> D,
        handle: Option<ConnectionHandle>,
    ) -> Self {
        Self {
            consumer: Some(consumer),
            running: None,
            start,
            dropped,
            handle,
        }
    }

    /// Returns the handle of the connection.
    pub(super) fn connection(&self) -> Option<&ConnectionHandle> {
        self.handle.as_ref()
    }

    /// Runs the consumer's `disconnect`, which consumes it.
    pub(super) async fn disconnect(&mut self, end: impl Into<D>) {
        if let Some(consumer) = self.consumer.take() {
            self.running = Some((self.start)(consumer, end.into()));
        }
        if let Some(running) = &mut self.running {
            running.await;
            self.running = None;
        }
    }
}

impl<C: Send + 'static, D: Send + 'static> Deref for DisconnectGuard<C, D> {
    type Target = C;

    fn deref(&self) -> &C {
        let consumer = self.consumer.as_ref();
        consumer.expect("`disconnect` comes last")
    }
}

impl<C: Send + 'static, D: Send + 'static> DerefMut for DisconnectGuard<C, D> {
    fn deref_mut(&mut self) -> &mut C {
        let consumer = self.consumer.as_mut();
        consumer.expect("`disconnect` comes last")
    }
}

impl<C: Send + 'static, D: Send + 'static> Drop for DisconnectGuard<C, D> {
    fn drop(&mut self) {
        // Without a runtime nothing can run: the process is ending.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let running = match (self.running.take(), self.consumer.take()) {
            (Some(running), _) => running,
            (None, Some(consumer)) => (self.start)(consumer, (self.dropped)()),
            (None, None) => return,
        };
        let handle = self.handle.take();
        let rest = async move {
            running.await;
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
            Ok(Ok(())) => {}
            Ok(Err(panic)) => {
                log_limited!(error, error = %panic, "a consumer's disconnect panicked")
            }
            Err(_) => log_limited!(
                warn,
                "a consumer's disconnect took too long and was dropped"
            ),
        }
    })
}
