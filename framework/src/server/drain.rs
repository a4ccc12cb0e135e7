//! Leaving in good order: who is still here, and how they learn that the server stops.

use super::{half_close::HalfClose, tasks::Tasks};
use crate::protocol::{Host, Stop};
use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

/// Everyone who is connected, and the word that the server stops.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    is_stopping: Arc<AtomicBool>,
    stop: CancellationToken,
    visitors: TaskTracker,
    tasks: Tasks,
}

impl Drain {
    /// Tells everyone to leave.
    pub(crate) fn begin(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.stop.cancel();
        self.visitors.close();
    }

    /// How many are connected.
    pub(crate) fn visitors(&self) -> usize {
        self.visitors.len()
    }

    /// Waits until all have left, or `limit` has passed: how many are then still here.
    pub(crate) async fn finish(&self, limit: Duration) -> usize {
        _ = tokio::time::timeout(limit, self.visitors.wait()).await;
        self.visitors()
    }

    /// Drops what still serves a client. Its consumers' goodbyes begin, and are waited for as visitors.
    pub(crate) fn cut_off(&self) {
        self.tasks.cut_off();
    }

    /// Resolves when the server stops.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// A place for one connection.
    pub(crate) fn handle(
        &self,
        client: Option<SocketAddr>,
        permit: OwnedSemaphorePermit,
    ) -> ConnectionHandle {
        ConnectionHandle {
            client,
            taken: Arc::new(Taken {
                drain: self.clone(),
                half_close: HalfClose::default(),
                _present: self.visitors.token(),
                _permit: permit,
            }),
        }
    }
}

/// One connection's place. Its requests find it as [`handle`](super::handle), and a conversation keeps it; when the last
/// clone is dropped the place is free.
///
/// It is no extension of each request: that would be three allocations for each.
#[derive(Clone)]
pub(crate) struct ConnectionHandle {
    /// Where the connection came from.
    pub(crate) client: Option<SocketAddr>,
    taken: Arc<Taken>,
}

struct Taken {
    drain: Drain,
    half_close: HalfClose,
    _present: TaskTrackerToken,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionHandle {
    /// Resolves when the server stops.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.taken.drain.stopping()
    }

    /// Tells a conversation when the server stops.
    pub(crate) fn stop(&self) -> Stop {
        self.taken.stop()
    }

    /// Records that the client has closed its sending side while a request is served.
    pub(super) fn note_half_close(&self) {
        self.taken.half_close.note();
    }

    /// Spawns a task that serves this connection, until it is cut off. It keeps the place for as long as it runs.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.taken.drain.tasks.spawn(task, self.taken.clone());
    }

    /// The place, for a conversation that may outlive its request.
    pub(crate) fn host(self) -> Arc<dyn Host> {
        self.taken
    }
}

impl Host for Taken {
    fn stop(&self) -> Stop {
        Stop::new(self.drain.is_stopping.clone(), self.drain.stopping())
    }

    fn half_close(&self) -> Stop {
        self.half_close.signal()
    }
}
