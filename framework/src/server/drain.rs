//! The open connections of a server, and their shutdown signal.

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

/// The open connections of a server, and their shutdown signal.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    is_stopping: Arc<AtomicBool>,
    stop: CancellationToken,
    visitors: TaskTracker,
    tasks: Tasks,
}

impl Drain {
    /// Notifies all connections that the server stops.
    pub(crate) fn begin(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.stop.cancel();
        self.visitors.close();
    }

    /// Returns the number of connections for which something still runs.
    pub(crate) fn visitors(&self) -> usize {
        self.visitors.len()
    }

    /// Waits until all connections have ended, or `limit` has passed; returns how many are left.
    pub(crate) async fn finish(&self, limit: Duration) -> usize {
        _ = tokio::time::timeout(limit, self.visitors.wait()).await;
        self.visitors()
    }

    /// Aborts the tasks that still serve a connection. The `disconnect` hooks of their consumers
    /// then start, and [`finish`](Drain::finish) waits for them, too.
    pub(crate) fn cut_off(&self) {
        self.tasks.cut_off();
    }

    /// Completes when the server stops.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    /// Creates the handle of a new connection.
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

/// A handle to one connection. Requests get it from [`handle`](super::handle), and an application
/// that may outlive its request keeps a clone. When the last clone is dropped, the connection's
/// permit is released.
///
/// It is not an extension of each request, which would cost three allocations per request.
#[derive(Clone)]
pub(crate) struct ConnectionHandle {
    /// The address of the client.
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
    /// Completes when the server stops.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        self.taken.drain.stopping()
    }

    /// Returns a signal that is set when the server stops.
    pub(crate) fn stop(&self) -> Stop {
        self.taken.stop()
    }

    /// Records that the client has closed its sending side while a request is served.
    pub(super) fn note_half_close(&self) {
        self.taken.half_close.note();
    }

    /// Spawns a task that serves this connection, until [`Drain::cut_off`] aborts it. The task
    /// holds the connection while it runs.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.taken.drain.tasks.spawn(task, self.taken.clone());
    }

    /// Returns the connection as the host of an application that may outlive its request.
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
