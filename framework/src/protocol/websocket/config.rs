//! The limits of one WebSocket, and their defaults.

use super::{rate_limit::RateLimit, send_queue::SlowClient};
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// The limits of a WebSocket.
///
/// Set them on a route, a router or a consumer with [`with`](crate::ApplicationExt::with).
///
/// ```
/// use seaway::{ApplicationExt, protocol::{RateLimit, WebSocket, WebSocketConfig}, routing::PathRouter};
/// use std::time::Duration;
///
/// let limits = WebSocketConfig::new()
///     .max_message_size(64 * 1024)
///     .max_fragments(1024)
///     .send_buffer(256 * 1024)
///     .connect_timeout(Duration::from_secs(5))
///     .close_timeout(Duration::from_secs(2))
///     .grace(Duration::from_secs(2))
///     .heartbeat(Duration::from_secs(30), Duration::from_secs(10))
///     .idle_timeout(Duration::from_secs(60 * 60))
///     .max_age(Duration::from_secs(24 * 60 * 60))
///     .rate_limit(RateLimit::frames(20));
/// let router = PathRouter::<WebSocket>::new().with(limits);
/// ```
#[derive(Clone, Debug)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct WebSocketConfig {
    pub(crate) max_message_size: usize,
    pub(crate) max_fragments: u32,
    pub(crate) send_buffer: usize,
    pub(crate) send_messages: usize,
    pub(crate) slow_client: SlowClient,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) connect_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) compression: Option<Compression>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
}

/// The settings of compression; see
/// [`compression`](WebSocketConfig::compression).
///
/// ```
/// use seaway::protocol::{Compression, WebSocketConfig};
///
/// let limits = WebSocketConfig::new().compression(Compression::new().threshold(1024));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it has an effect only in a `WebSocketConfig`"]
pub struct Compression {
    pub(super) threshold: usize,
}

impl Compression {
    /// Creates settings with the defaults.
    pub fn new() -> Self {
        Self { threshold: 512 }
    }

    /// Sets the smallest message that is compressed, in bytes (default: 512).
    ///
    /// Short messages cost more CPU than they save bytes.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// The intervals after which a silent client is pinged, and disconnected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self {
            max_message_size: 1024 * 1024,
            max_fragments: 128 * 1024,
            send_buffer: 64 * 1024,
            send_messages: 1024,
            slow_client: SlowClient::Wait(Duration::from_secs(60)),
            heartbeat: Some(Heartbeat {
                interval: Duration::from_secs(20),
                timeout: Duration::from_secs(20),
            }),
            connect_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            compression: None,
            rate_limit: None,
            idle_timeout: None,
            max_age: None,
        }
    }
}

impl WebSocketConfig {
    /// Creates a configuration with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the defaults, one copy for all WebSockets.
    pub(crate) fn shared() -> Arc<Self> {
        static DEFAULT: LazyLock<Arc<WebSocketConfig>> = LazyLock::new(Arc::default);
        DEFAULT.clone()
    }

    /// Sets the largest message a client may send, in bytes, whole or in fragments (default: 1
    /// MiB).
    ///
    /// The connection is closed with 1009 before a larger one is read.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        assert!(
            bytes > 0,
            "max_message_size must be above zero; use 1 if clients only send empty messages"
        );
        self.max_message_size = bytes;
        self
    }

    /// Sets the largest number of frames in which a client may send one message (default: 131,072).
    ///
    /// The connection is closed with 1009 at the next frame. Without this bound a client could send
    /// empty fragments for ever, which `max_message_size` does not count.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn max_fragments(mut self, count: u32) -> Self {
        assert!(
            count > 0,
            "max_fragments must be above zero; use 1 if each message must be one frame"
        );
        self.max_fragments = count;
        self
    }

    /// Sets how many bytes may be queued for a client that reads slowly (default: 64 KiB).
    ///
    /// The message that exceeds the bound is still accepted whole; then the policy of
    /// [`slow_client`](WebSocketConfig::slow_client) applies.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        assert!(
            bytes > 0,
            "send_buffer must be above zero; use 1 to queue one message at a time"
        );
        self.send_buffer = bytes;
        self
    }

    /// Sets how many messages may be queued for a client that reads slowly (default: 1,024).
    ///
    /// At the bound the policy of [`slow_client`](WebSocketConfig::slow_client) applies.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn send_messages(mut self, count: usize) -> Self {
        assert!(
            count > 0,
            "send_messages must be above zero; use 1 to queue one message at a time"
        );
        self.send_messages = count;
        self
    }

    /// Sets what happens when the queue of a client that reads slowly is full (default: the sender
    /// waits, and the connection is closed with 1013 once the client has accepted nothing for 60 s).
    ///
    /// Each message that is dropped at the bounds counts in
    /// [`Sender::dropped`](super::Sender::dropped), and in the metric
    /// `seaway_websocket_messages_dropped_total` by reason; one that is dropped with its connection
    /// counts in the metric only.
    ///
    /// ```
    /// use seaway::protocol::{SlowClient, WebSocketConfig};
    ///
    /// // Positions on a map: only the newest matter.
    /// let limits = WebSocketConfig::new().send_messages(32).slow_client(SlowClient::DropOldest);
    /// ```
    pub fn slow_client(mut self, policy: SlowClient) -> Self {
        self.slow_client = policy;
        self
    }

    /// Sets how fast a client may send (default: as fast as its messages are handled).
    ///
    /// From a client that sends faster, the server reads more slowly, so that TCP slows it down, or
    /// [closes](RateLimit::close) the connection with 1008. One that has hung
    /// up is read at this rate for [`grace`](WebSocketConfig::grace), and the rest is dropped; over
    /// TLS and HTTP/2 the server detects that only once it has read everything.
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Closes the connection with 1001 when the client has sent no message for this time (default:
    /// never).
    ///
    /// Pongs do not count: a page that is merely open is idle.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = Some(limit);
        self
    }

    /// Closes the connection with 1001 after this time, whatever it does (default: never), so that
    /// clients spread over new servers.
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.max_age = Some(limit);
        self
    }

    /// Enables compression with clients that offer permessage-deflate (RFC 7692; default: off).
    ///
    /// Neither side keeps its window between messages. An idle connection therefore owns no
    /// compressor (each thread has one of 400 KB), and a message whose clones go to many
    /// connections, as to the members of a group, is compressed once per process: 2,048 compressed
    /// messages of at most 256 KiB are kept for that, and 16 MiB, as long as others still have the
    /// message. For clients that limit the window (`server_max_window_bits`; browsers do not), it
    /// is compressed for a window of 12 or 9 bits as well. Messages are sent uncompressed if
    /// compression makes them no smaller.
    ///
    /// What the client sends may inflate to
    /// [`max_message_size`](WebSocketConfig::max_message_size), and to 100 times its own size if
    /// that is more than 64 KiB; the connection is closed with 1009 at either bound.
    ///
    /// Do not compress secrets together with text that another party chooses: the compressed size
    /// reveals whether they are alike (RFC 7692, 9).
    ///
    /// ```
    /// use seaway::protocol::{Compression, WebSocketConfig};
    ///
    /// let limits = WebSocketConfig::new().compression(Compression::new());
    /// ```
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets when a silent client is pinged, and when it is disconnected (default: 20 s and 20 s).
    ///
    /// A client that sends nothing for `interval` gets a ping. If it sends nothing at all for
    /// another `timeout`, the connection ends with 1006. The defaults are below the 60 s after
    /// which proxies drop silent connections.
    ///
    /// # Panics
    /// If one of them is zero. To send no pings at all, use
    /// [`no_heartbeat`](WebSocketConfig::no_heartbeat).
    #[track_caller]
    pub fn heartbeat(mut self, interval: Duration, timeout: Duration) -> Self {
        assert!(
            !interval.is_zero() && !timeout.is_zero(),
            "the interval and the timeout of the heartbeat must be above zero; use no_heartbeat() to send no pings"
        );
        self.heartbeat = Some(Heartbeat { interval, timeout });
        self
    }

    /// Disables pings.
    ///
    /// A client that disconnects without a close frame is then detected only when something is sent
    /// to it.
    pub fn no_heartbeat(mut self) -> Self {
        self.heartbeat = None;
        self
    }

    /// Sets how long a consumer's `connect` may take (default: 10 s).
    ///
    /// At the bound the client gets 503.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long to wait for the client's half of the closing handshake (RFC 6455, 7.1.1;
    /// default: 5 s).
    ///
    /// At the bound the connection is dropped.
    pub fn close_timeout(mut self, limit: Duration) -> Self {
        self.close_timeout = limit;
        self
    }

    /// Sets how long hooks may still run once the client has disconnected, the connection was
    /// closed remotely, or the server stops (default: 5 s).
    ///
    /// At the bound the hook's future is dropped at an await, and `disconnect` runs.
    pub fn grace(mut self, limit: Duration) -> Self {
        self.grace = limit;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_bound_of_zero_panics_at_its_setter() {
        type Set = fn(WebSocketConfig) -> WebSocketConfig;
        let setters: [(&str, Set); 5] = [
            ("max_message_size", |config| config.max_message_size(0)),
            ("max_fragments", |config| config.max_fragments(0)),
            ("send_buffer", |config| config.send_buffer(0)),
            ("send_messages", |config| config.send_messages(0)),
            ("heartbeat", |config| {
                config.heartbeat(Duration::ZERO, Duration::from_secs(1))
            }),
        ];
        for (name, set) in setters {
            let set = catch_unwind(|| drop(set(WebSocketConfig::new())));

            assert!(set.is_err(), "{name}");
        }
    }
}
