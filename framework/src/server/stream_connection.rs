//! The connection of an application that a stream of HTTP/2 has opened, such as a WebSocket.

use crate::{
    error::Result,
    protocol::{
        ConnectionHandle, ServerConnection, Signal, SignalWatch, UpgradedStream,
        WeakConnectionHandle,
    },
};
use hyper::upgrade::Upgraded;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The connection that the application of an extended CONNECT gets: that of its client, and a
/// signal of its own end.
///
/// hyper writes for such an application in a task of its own, which does not notice its end while
/// the client reads nothing.
pub(super) struct StreamConnection(Arc<OpenedStream>);

struct OpenedStream {
    client: Arc<dyn ServerConnection>,
    /// Whether the application writes to the stream. It keeps this connection until it has ended;
    /// a service that takes hyper's `OnUpgrade` itself, such as axum's, does not.
    is_taken: AtomicBool,
    ended: Signal,
}

impl StreamConnection {
    pub(super) fn new(client: Arc<dyn ServerConnection>) -> Self {
        Self(Arc::new(OpenedStream {
            client,
            is_taken: AtomicBool::new(false),
            ended: Signal::default(),
        }))
    }

    /// Returns the handle for the application.
    pub(super) fn handle(&self) -> WeakConnectionHandle {
        ConnectionHandle::new(self.0.clone()).downgrade()
    }

    /// Returns a signal that is set once nothing is left of an application that wrote to the
    /// stream.
    pub(super) fn ended(&self) -> SignalWatch {
        self.0.ended.watch()
    }
}

impl Drop for OpenedStream {
    fn drop(&mut self) {
        if *self.is_taken.get_mut() {
            self.ended.set();
        }
    }
}

impl ServerConnection for OpenedStream {
    fn client(&self) -> Option<SocketAddr> {
        self.client.client()
    }

    fn closing(&self) -> SignalWatch {
        self.client.closing()
    }

    fn retry_after(&self) -> Option<Duration> {
        self.client.retry_after()
    }

    fn write_timeout(&self) -> Duration {
        self.client.write_timeout()
    }

    fn half_close(&self) -> SignalWatch {
        self.client.half_close()
    }

    fn aborted(&self) -> SignalWatch {
        self.client.aborted()
    }

    fn upgraded_stream(&self, upgraded: Upgraded) -> Result<UpgradedStream> {
        self.is_taken.store(true, Ordering::Relaxed);
        self.client.upgraded_stream(upgraded)
    }
}
