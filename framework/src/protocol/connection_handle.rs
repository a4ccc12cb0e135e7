//! The handle of a connection: what its server does for the applications that it runs.

use super::signal::SignalWatch;
use crate::{byte_stream::ByteStream, error::Result};
use bytes::Bytes;
use http::Extensions;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
    time::Duration,
};

/// The handle of a connection that `serve` accepted. On shutdown the server waits until all clones
/// are dropped.
#[derive(Clone)]
pub(crate) struct ConnectionHandle {
    connection: Arc<dyn ServerConnection>,
    /// The client of the request, if a trusted proxy has forwarded it.
    forwarded: Option<Box<SocketAddr>>,
}

/// The handle of a connection as it is in the extensions of its requests; under another server
/// there is none. It keeps nothing: an application may keep the extensions for longer than the
/// connection lasts.
#[derive(Clone)]
pub(crate) struct WeakConnectionHandle {
    connection: Weak<dyn ServerConnection>,
    forwarded: Option<Box<SocketAddr>>,
}

/// The server's side of a [`ConnectionHandle`].
pub(crate) trait ServerConnection: Send + Sync {
    /// Returns the address of the client, if it has one.
    fn client(&self) -> Option<SocketAddr>;

    /// Returns a signal that is set when the server stops and closes this connection.
    fn closing(&self) -> SignalWatch;

    /// Returns how long clients are to wait before they reconnect after the server has stopped.
    fn retry_after(&self) -> Option<Duration>;

    /// Returns how long a client may read nothing while bytes are waiting for it.
    fn write_timeout(&self) -> Duration;

    /// Returns a signal that is set when the client closes its sending side (TCP FIN).
    fn half_close(&self) -> SignalWatch;

    /// Returns a signal that is set when the server aborts the tasks of its connections.
    fn aborted(&self) -> SignalWatch;

    /// Returns the stream below the one that hyper releases for another protocol.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has disconnected.
    fn upgraded_stream(&self, upgraded: Upgraded) -> Result<UpgradedStream>;
}

/// The stream of a connection that has left HTTP.
pub(crate) struct UpgradedStream {
    pub(crate) io: Box<dyn ByteStream>,
    /// The bytes that were read after the request.
    pub(crate) early: Bytes,
}

impl ConnectionHandle {
    #[cfg(feature = "server")]
    pub(crate) fn new(connection: Arc<dyn ServerConnection>) -> Self {
        Self {
            connection,
            forwarded: None,
        }
    }

    /// Returns the handle of the connection on which a request with these extensions arrived.
    pub(crate) fn of(extensions: &Extensions) -> Option<Self> {
        let handle: &WeakConnectionHandle = extensions.get()?;
        Some(Self {
            connection: handle.connection.upgrade()?,
            forwarded: handle.forwarded.clone(),
        })
    }

    /// Removes the handle from the extensions of a request, which keep no memory if nothing else is
    /// in them.
    pub(crate) fn remove(extensions: &mut Extensions) {
        extensions.remove::<WeakConnectionHandle>();
        if extensions.is_empty() {
            *extensions = Extensions::new();
        }
    }

    #[cfg(feature = "server")]
    pub(crate) fn downgrade(&self) -> WeakConnectionHandle {
        WeakConnectionHandle {
            connection: Arc::downgrade(&self.connection),
            forwarded: self.forwarded.clone(),
        }
    }

    /// Returns the address of the client, if it has one.
    pub(crate) fn client(&self) -> Option<SocketAddr> {
        let forwarded = self.forwarded.as_deref().copied();
        forwarded.or_else(|| self.connection.client())
    }

    /// Returns the address at the other end of the connection: that of a trusted proxy, not that of
    /// its client.
    #[cfg(feature = "proxy")]
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        self.connection.client()
    }

    pub(crate) fn closing(&self) -> SignalWatch {
        self.connection.closing()
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.connection.retry_after()
    }

    /// Waits until the server closes this connection, and returns the close for an open WebSocket.
    #[cfg(feature = "proxy")]
    pub(crate) async fn stopped(&self) -> crate::message::Close {
        self.closing().wait().await;
        crate::message::Close::going_away(self.retry_after())
    }

    #[cfg_attr(not(feature = "proxy"), expect(dead_code))]
    pub(crate) fn write_timeout(&self) -> Duration {
        self.connection.write_timeout()
    }

    pub(crate) fn half_close(&self) -> SignalWatch {
        self.connection.half_close()
    }

    /// Spawns a task that serves a connection; without a handle it belongs to no server.
    pub(crate) fn spawn(handle: Option<&Self>, task: impl Future<Output = ()> + Send + 'static) {
        match handle {
            // Boxed, since tokio aligns a task to 128 bytes: with a pointer it takes no more, and
            // glibc does not reuse the memory of a large aligned task.
            Some(handle) => _ = tokio::spawn(Box::pin(handle.hold(task))),
            None => _ = tokio::spawn(task),
        }
    }

    /// Returns a task that holds the connection while it runs, until the server aborts it.
    pub(crate) fn hold<F: Future>(&self, task: F) -> Held<F> {
        Held {
            task,
            abort: self.connection.aborted(),
            _connection: self.connection.clone(),
        }
    }

    /// Returns the stream that hyper releases for another protocol, without the layers that only
    /// HTTP needs where the server is ours.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has disconnected.
    pub(crate) fn upgraded_stream(
        handle: Option<&Self>,
        upgraded: Upgraded,
    ) -> Result<UpgradedStream> {
        match handle {
            Some(handle) => handle.connection.upgraded_stream(upgraded),
            None => Ok(UpgradedStream::from(upgraded)),
        }
    }
}

pin_project! {
    /// A task that holds its connection, and ends, at an await, when the server aborts it.
    pub(crate) struct Held<F> {
        #[pin]
        task: F,
        abort: SignalWatch,
        _connection: Arc<dyn ServerConnection>,
    }
}

impl<F: Future> Future for Held<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let held = self.project();
        match held.abort.poll(cx) {
            true => Poll::Ready(()),
            false => held.task.poll(cx).map(drop),
        }
    }
}

impl WeakConnectionHandle {
    /// Returns the handle of a request that a trusted proxy has forwarded for this client.
    #[cfg(feature = "server")]
    pub(crate) fn forwarded_for(mut self, client: Option<SocketAddr>) -> Self {
        self.forwarded = client.map(Box::new);
        self
    }
}

impl From<Upgraded> for UpgradedStream {
    fn from(upgraded: Upgraded) -> Self {
        Self {
            io: Box::new(TokioIo::new(upgraded)),
            early: Bytes::new(),
        }
    }
}
