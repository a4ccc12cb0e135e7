//! The open connections of a server, and their shutdown.

use super::{batches::Batches, client_stream::ClientStream, place::Place};
use crate::{
    error::{Error, ErrorKind, Result},
    protocol::{ConnectionHandle, ServerConnection, Signal, SignalWatch, UpgradedStream},
};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// How long a request may take to arrive that was on the way when the server stopped: on a connection
/// that had just been opened, or on one over HTTP/1 that was kept after another request.
pub(super) const ON_THE_WAY: Duration = Duration::from_millis(250);

/// The open connections of a server, and the signals that end them.
pub(super) struct Drain {
    stop: Signal,
    /// When WebSockets, event streams and waiting requests close after the stop.
    batches: Batches,
    abort: Signal,
    connections: TaskTracker,
    /// How long WebSocket clients are asked to wait before they reconnect.
    retry_after: Option<Duration>,
    write_timeout: Duration,
}

impl Drain {
    pub(super) fn new(
        retry_after: Option<Duration>,
        close_over: Duration,
        write_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            stop: Signal::default(),
            batches: Batches::over(close_over),
            abort: Signal::default(),
            connections: TaskTracker::new(),
            retry_after,
            write_timeout,
        })
    }

    /// Notifies all connections that the server stops: those without an open request end, a short
    /// time later.
    pub(super) fn begin(&self) {
        self.stop.set();
        self.connections.close();
    }

    /// Closes WebSockets, event streams and waiting requests in batches; returns when the last batch closes, or when
    /// all connections have ended.
    pub(super) async fn close_in_batches(&self) {
        tokio::select! {
            () = self.batches.close() => {}
            () = self.connections.wait() => {}
        }
    }

    /// Returns the number of connections for which something still runs.
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Waits until all connections have ended, or `limit` has passed; returns how many are left.
    pub(super) async fn finish(&self, limit: Duration) -> usize {
        _ = tokio::time::timeout(limit, self.connections.wait()).await;
        self.connections()
    }

    /// Aborts the tasks that still serve a connection, each at its await, and those that they may
    /// still spawn. The `disconnect` hooks of their consumers then start, and
    /// [`finish`](Drain::finish) waits for them, too.
    pub(super) fn abort(&self) {
        self.batches.close_at_once();
        self.abort.set();
    }

    /// Completes once the server stops, a short time later: a request that was on the way when it
    /// stopped has then arrived.
    pub(super) async fn first_bytes_overdue(&self) {
        self.stop.wait().await;
        tokio::time::sleep(ON_THE_WAY).await;
    }

    /// Runs a task that leads to a connection. It counts as one meanwhile.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.connections.spawn(task);
    }

    /// Adds a connection, which has this place in the limits.
    pub(super) fn open(self: &Arc<Self>, place: Place) -> Connection {
        Connection(Arc::new(TrackedConnection {
            drain: self.clone(),
            batch: self.batches.assign(),
            state: Mutex::new(TrackedState {
                place,
                half_close: None,
            }),
            _present: self.connections.token(),
        }))
    }
}

/// An open connection, for which the drain waits until the last clone is dropped.
#[derive(Clone)]
pub(super) struct Connection(Arc<TrackedConnection>);

struct TrackedConnection {
    drain: Arc<Drain>,
    batch: u16,
    state: Mutex<TrackedState>,
    _present: TaskTrackerToken,
}

struct TrackedState {
    place: Place,
    /// Created when it is first needed, and dropped when the connection leaves HTTP/1.
    half_close: Option<Signal>,
}

impl Connection {
    /// Returns the address of the client, if it has one.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        self.0.client()
    }

    /// Completes as [`Drain::first_bytes_overdue`] does.
    pub(super) async fn first_bytes_overdue(&self) {
        self.0.drain.first_bytes_overdue().await;
    }

    /// Returns a signal that is set when the server stops, before its batch closes.
    pub(super) fn stopping(&self) -> SignalWatch {
        self.0.drain.stop.watch()
    }

    /// Returns whether the server stops.
    pub(super) fn is_stopping(&self) -> bool {
        self.0.drain.stop.is_set()
    }

    /// Takes the place of a connection that leaves HTTP, for its stream: a service that takes the
    /// stream from hyper itself, such as axum's, holds nothing else of the connection.
    pub(super) fn take_place(&self) -> Place {
        self.0.lock().place.take()
    }

    /// Records that the client has closed its sending side while a request is served.
    pub(super) fn record_half_close(&self) {
        self.0.half_close_signal().set();
    }

    /// Returns the handle for the applications that serve this connection.
    pub(super) fn handle(&self) -> ConnectionHandle {
        ConnectionHandle::new(self.server())
    }

    /// Returns what the server does for this connection.
    pub(super) fn server(&self) -> Arc<dyn ServerConnection> {
        self.0.clone()
    }

    /// Spawns a task that holds the connection while it runs, until [`Drain::abort`].
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        ConnectionHandle::spawn(Some(&self.handle()), task);
    }
}

impl TrackedConnection {
    fn half_close_signal(&self) -> Signal {
        self.lock().half_close.get_or_insert_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, TrackedState> {
        let lock = self.state.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl ServerConnection for TrackedConnection {
    fn client(&self) -> Option<SocketAddr> {
        self.lock().place.client()
    }

    fn closing(&self) -> SignalWatch {
        self.drain.batches.watch(self.batch)
    }

    fn retry_after(&self) -> Option<Duration> {
        self.drain.retry_after
    }

    fn write_timeout(&self) -> Duration {
        self.drain.write_timeout
    }

    fn half_close(&self) -> SignalWatch {
        self.half_close_signal().watch()
    }

    fn aborted(&self) -> SignalWatch {
        self.drain.abort.watch()
    }

    /// Returns the bare stream: the stream around it follows HTTP. Its place comes back, since what
    /// gets the stream holds the connection.
    fn upgraded_stream(&self, upgraded: Upgraded) -> Result<UpgradedStream> {
        let parts = match upgraded.downcast::<TokioIo<ClientStream>>() {
            Ok(parts) => parts,
            Err(upgraded) => return Ok(upgraded.into()),
        };
        let stream = parts.io.into_inner();
        {
            let mut state = self.lock();
            state.half_close = None;
            if let Some(place) = stream.take_place() {
                state.place = place;
            }
        }
        let socket = stream.into_socket();
        let socket = socket.ok_or_else(|| Error::new(ErrorKind::Closed, "the client left"))?;
        Ok(UpgradedStream {
            io: socket.into_stream(),
            early: parts.read_buf,
        })
    }
}
