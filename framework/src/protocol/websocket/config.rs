//! The limits of one WebSocket, and their defaults.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// The limits of a WebSocket: set them on a route, a router or a consumer with
/// [`with`](crate::ApplicationExt::with).
///
/// ```
/// use seaway::{ApplicationExt, protocol::{WebSocket, WebSocketConfig}, routing::PathRouter};
/// use std::time::Duration;
///
/// let limits = WebSocketConfig::new()
///     .max_message_size(64 * 1024)
///     .heartbeat(Duration::from_secs(30), Duration::from_secs(10));
/// let router = PathRouter::<WebSocket>::new().with(limits);
/// ```
#[derive(Clone, Debug)]
pub struct WebSocketConfig {
    pub(crate) max_message_size: usize,
    pub(crate) send_buffer: usize,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) connect_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) grace: Duration,
}

/// When to ping a silent client, and when to give it up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            max_message_size: 1024 * 1024,
            send_buffer: 64 * 1024,
            heartbeat: Some(Heartbeat {
                interval: Duration::from_secs(20),
                timeout: Duration::from_secs(20),
            }),
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(5),
        }
    }
}

impl WebSocketConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The defaults, one copy for all sockets.
    pub(crate) fn shared() -> Arc<Self> {
        static DEFAULT: LazyLock<Arc<WebSocketConfig>> = LazyLock::new(Arc::default);
        DEFAULT.clone()
    }

    /// The largest message a client may send, in bytes, whole or in fragments. Default 1 MiB.
    /// One that is larger ends the conversation with 1009 before it is read.
    #[must_use]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// How many bytes may wait for a client that reads slowly. Default 64 KiB.
    /// At the bound `send` waits; the message that passes it is still taken whole.
    #[must_use]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes.max(1);
        self
    }

    /// Pings a client that was silent for `interval` and ends the conversation with 1006 if nothing at all is heard
    /// for another `timeout`. Default 20 s and 20 s: below the 60 s after which proxies drop silent connections.
    ///
    /// # Panics
    /// If one of them is zero: no client answers in no time. For no pings at all see
    /// [`no_heartbeat`](WebSocketConfig::no_heartbeat).
    #[must_use]
    #[track_caller]
    pub fn heartbeat(mut self, interval: Duration, timeout: Duration) -> Self {
        assert!(
            !interval.is_zero() && !timeout.is_zero(),
            "no client answers a heartbeat in no time; use no_heartbeat() to send none"
        );
        self.heartbeat = Some(Heartbeat { interval, timeout });
        self
    }

    /// Never pings. A client that vanishes without a word is then noticed only when something is sent to it.
    #[must_use]
    pub fn no_heartbeat(mut self) -> Self {
        self.heartbeat = None;
        self
    }

    /// How long a consumer's `connect` may take. Default 10 s; at the bound the client is answered 503.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long to wait for a client's half of the closing handshake (RFC 6455, 7.1.1). Default 5 s; at the bound the
    /// connection is cut.
    #[must_use]
    pub fn close_timeout(mut self, limit: Duration) -> Self {
        self.close_timeout = limit;
        self
    }

    /// How long handlers may still run once the client has left or the server stops. Default 5 s; at the bound the
    /// handler's future is dropped at an await, and `disconnect` runs.
    #[must_use]
    pub fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }
}
