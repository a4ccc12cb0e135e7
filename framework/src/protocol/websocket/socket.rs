//! An open WebSocket: messages in, messages out, and its close.

use super::{
    super::{connection_handle::ConnectionHandle, signal::SignalWatch},
    config::WebSocketConfig,
    extension::Deflate,
    outgoing::{SendSource, Sender},
};
use crate::{
    byte_stream::HangUpTimer,
    codec::IntoMessage,
    error::{Error, Result},
    message::{Close, Message},
    metric,
    waker::yield_to_others,
};
use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    task::coop::{consume_budget, has_budget_remaining, unconstrained},
    time::{Sleep, sleep},
};

/// The transport of the messages: bytes on the server, memory in the test communicators.
pub(crate) trait Transport: Send {
    /// Sets the limits of the WebSocket, before anything else is called.
    fn configure(&mut self, config: &Arc<WebSocketConfig>) {
        _ = config;
    }

    /// Receives the client's next message, or the close with which it left. Not polled again after
    /// that.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Close>>;

    /// Writes queued messages; pending while the client cannot accept all of them. An error means
    /// that the client has disconnected.
    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>>;

    /// Polls for a client that has hung up behind what was not received, or does not read either;
    /// called instead of `poll_receive` while too much is read ahead, at least each
    /// `HANG_UP_CHECK`.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>>;

    /// Polls the timers of the connection while messages arrive without a pause; otherwise
    /// `poll_receive` and `poll_stalled` do. An error is the close of a connection whose time is
    /// over.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        _ = cx;
        Ok(())
    }

    /// Ends the connection once both sides have sent a close frame.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Shows the failure of a hook to the peer, if that is a test.
    fn explain(&self, failure: fmt::Arguments<'_>) {
        _ = failure;
    }
}

/// An open WebSocket.
///
/// While [`receive`](Socket::receive) or [`send`](Socket::send) is awaited, it also responds to
/// pings and writes queued messages. A consumer's driver does this for you; only an
/// [`Application`](crate::Application) of your own uses a `Socket` directly.
///
/// ```
/// use seaway::{Close, Result, protocol::Socket};
///
/// /// Echoes each message, until the client sends "stop".
/// async fn echo(mut socket: Socket) -> Result<Close> {
///     while let Some(message) = socket.receive().await {
///         if message.payload() == b"stop" {
///             break;
///         }
///         socket.send(message).await?;
///     }
///     Ok(socket.close(1000).await)
/// }
/// ```
pub struct Socket {
    transport: Box<dyn Transport>,
    sender: Sender,
    stop: Option<SignalWatch>,
    /// How long the client is to wait before it reconnects, if the server stops.
    retry_after: Option<Duration>,
    config: Arc<WebSocketConfig>,
    /// `None` if it would be empty, as on an idle connection.
    ahead: Option<Box<Ahead>>,
    /// The close with which the client left.
    left: Option<Box<Close>>,
    /// Until when `send` accepts messages once the server stops, or the client has hung up behind
    /// messages that were not received.
    grace: Option<Pin<Box<Sleep>>>,
    _counted: metric::OpenSocket,
}

/// Messages that were read while a handler was busy.
#[derive(Default)]
struct Ahead {
    messages: VecDeque<Message>,
    bytes: usize,
    /// Whether the client has hung up, behind messages that were not read.
    has_hung_up: bool,
    /// Runs while reading pauses.
    check: HangUpTimer,
}

/// How much is read while a handler is busy, so that a close frame behind it is detected. Past
/// either bound reading pauses, and TCP slows the client down, until the handler is done.
const AHEAD_FRAMES: usize = 64;
const AHEAD_BYTES: usize = 64 * 1024;

/// How many messages of a client that does not close are ignored in a row.
const IGNORED: usize = 256;

impl Socket {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        handle: Option<&ConnectionHandle>,
        config: Arc<WebSocketConfig>,
        deflate: Option<Deflate>,
    ) -> Self {
        Self {
            transport,
            sender: Sender::new(config.clone(), deflate),
            stop: handle.map(ConnectionHandle::closing),
            retry_after: handle.and_then(ConnectionHandle::retry_after),
            config,
            ahead: None,
            left: None,
            grace: None,
            _counted: metric::OpenSocket::new(),
        }
    }

    /// Shows the failure of a hook to the peer, if that is a test: no real client sees it.
    pub(crate) fn explain(&self, failure: fmt::Arguments<'_>) {
        self.transport.explain(failure);
    }

    /// Returns a sender of this connection, for other tasks.
    ///
    /// In the task that owns the socket, use [`send`](Socket::send): nothing else writes what is
    /// queued there, so a [`Sender::send`] that waits for room would wait until the limit of
    /// [`slow_client`](super::WebSocketConfig::slow_client).
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits for the client's next message; `None` once it has disconnected, this side has closed,
    /// or the server stops.
    ///
    /// The message comes from an untrusted client. Its size is limited; its content is not.
    ///
    /// # Cancel safety
    /// Safe: if another `select!` branch wins, nothing that was received is lost.
    pub async fn receive(&mut self) -> Option<Message> {
        poll_fn(|cx| {
            if pin!(consume_budget()).poll(cx).is_pending() {
                self.serve_busy(cx);
                return Poll::Pending;
            }
            if let Poll::Ready(message) = self.poll_receive(cx) {
                return Poll::Ready(message);
            }
            self.flush(cx);
            // The flush may have detected a disconnect, or another task may have queued a close
            // meanwhile.
            match self.is_ending(cx) {
                true => Poll::Ready(None),
                false => Poll::Pending,
            }
        })
        .await
    }

    /// Sends a message, and writes it at once if the client accepts it.
    ///
    /// The bounds and policies are those of [`Sender::send`]. It also serves the connection, while
    /// it waits for room and otherwise once: it responds to pings and to a close frame, and reads
    /// ahead up to 64 messages or 64 KiB. Behind these it sees nothing, so an application whose
    /// client sends messages calls [`receive`](Socket::receive) too.
    ///
    /// # Errors
    /// As [`Sender::send`]; also [`ErrorKind::Closed`](crate::ErrorKind::Closed) once
    /// [`grace`](super::WebSocketConfig::grace) has passed since the first call after the server
    /// began to close this connection.
    ///
    /// # Cancel safety
    /// Safe: the message is queued whole or not at all.
    pub async fn send(&mut self, message: impl IntoMessage) -> Result<()> {
        let message = message.into_message()?;
        let sender = self.sender.clone();
        let mut sending = pin!(sender.queue(message, SendSource::Handler));
        poll_fn(|cx| {
            if self.grace.is_some() && self.poll_grace(cx).is_ready() {
                return Poll::Ready(Err(Error::closed()));
            }
            let sent = sending.as_mut().poll(cx);
            let served = match sent.is_ready() {
                // An application that only sends waits nowhere else, and must not starve others.
                true => self.poll_ahead_in_budget(cx),
                false => self.poll_ahead(cx),
            };
            match served.is_ready() && self.poll_grace(cx).is_ready() && sent.is_pending() {
                true => Poll::Ready(Err(Error::closed())),
                false => sent,
            }
        })
        .await
    }

    /// Completes some time after the first call, as for a hook that still runs when the server
    /// stops or the client has left.
    fn poll_grace(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.config.grace;
        let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(limit)));
        grace.as_mut().poll(cx)
    }

    /// Closes the connection, unless it is closing already, and waits for the client's half of the
    /// closing handshake; returns the close that ended it.
    ///
    /// It is async because it performs the closing handshake (RFC 6455, 7.1.2); [`Sender::close`]
    /// only queues the close frame. A client that does not respond is disconnected after
    /// [`close_timeout`](super::WebSocketConfig::close_timeout). The side that closed first decides
    /// the code.
    ///
    /// While the server stops, [`Close::NORMAL`] is sent as [`Close::AWAY`], or as
    /// [`Close::RESTART`] with [`retry_after`](crate::Serve::retry_after), so that clients
    /// reconnect; any other code is sent as it is. A code that must not be sent
    /// ([`is_sendable`](Close::is_sendable)) becomes [`Close::ERROR`].
    ///
    /// # Cancel safety
    /// Not safe: if the future is dropped, the connection ends without the handshake.
    pub async fn close(mut self, close: impl Into<Close>) -> Close {
        if self.left.is_none() && !self.has_hung_up() {
            let stopping = poll_fn(|cx| Poll::Ready(self.is_stopping(cx))).await;
            let close = match close.into() {
                close if stopping && close.code == Close::NORMAL => {
                    Close::going_away(self.retry_after)
                }
                close => close,
            };
            // If this side was closing before, that close is kept; a code that must not be sent is
            // our own failure.
            if self.sender.close(close).is_err() {
                _ = self.sender.close(Close::ERROR);
            }
        }
        let ours = self.sender.closing();
        let limit = self.config.close_timeout;
        // A client that does not send its half of the handshake is disconnected.
        _ = tokio::time::timeout(limit, poll_fn(|cx| self.poll_finish(cx))).await;
        self.sender.end();
        let theirs = self.left.take().map(|close| *close);
        let close = ours.or(theirs);
        let close = close.unwrap_or_else(|| Close::from(Close::ABNORMAL));
        tracing::debug!(target: "seaway::access", code = close.code, "a WebSocket ended");
        close
    }

    pub(crate) fn config(&self) -> &Arc<WebSocketConfig> {
        &self.config
    }

    /// Receives the next message without writing anything: the caller flushes when it has nothing
    /// left to do.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.is_ending(cx) {
            return Poll::Ready(None);
        }
        self.poll_message(cx)
    }

    /// The same, for a caller that has just checked that the connection is not ending.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if let Some(ahead) = &mut self.ahead {
            let message = ahead.pop();
            if ahead.messages.is_empty() {
                self.ahead = None;
            }
            return Poll::Ready(message);
        }
        match ready!(self.transport.poll_receive(cx)) {
            Ok(message) => Poll::Ready(Some(message)),
            Err(close) => {
                // Messages that were queued before the client's close frame are sent before ours.
                self.flush(cx);
                self.leave(close);
                Poll::Ready(None)
            }
        }
    }

    /// Serves the connection while a handler is busy: writes, responds to pings, reads ahead.
    /// Completes once the client has disconnected or the server stops.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match has_budget_remaining() {
            true => self.poll_ahead_in_budget(cx),
            // The handler waits only because it has used up the budget of the task, without which
            // no socket and no timer is ready.
            false => pin!(unconstrained(poll_fn(|cx| self.poll_ahead_in_budget(cx)))).poll(cx),
        }
    }

    fn poll_ahead_in_budget(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.flush(cx);
        while self.left.is_none() {
            if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.is_full()) {
                ahead.check.poll(cx);
                match self.transport.poll_stalled(cx) {
                    // What it sent before is still received, if the handler ends in time.
                    Poll::Ready(Ok(())) => ahead.has_hung_up = true,
                    Poll::Ready(Err(close)) => self.leave(close),
                    Poll::Pending => {}
                }
                break;
            }
            match self.transport.poll_receive(cx) {
                Poll::Ready(Ok(message)) => {
                    self.ahead.get_or_insert_default().push(message);
                }
                Poll::Ready(Err(close)) => {
                    // The response to a close frame does not wait for the handler.
                    self.flush(cx);
                    self.leave(close);
                }
                Poll::Pending => break,
            }
        }
        if self.left.is_some() || self.has_hung_up() || self.is_stopping(cx) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Writes queued messages as far as possible.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) {
        if self.left.is_some() {
            return;
        }
        if let Poll::Ready(Err(close)) = self.transport.poll_flush(&self.sender, cx) {
            self.leave(close);
        }
    }

    /// Writes queued messages as far as possible, and ends a connection whose time is over: for a
    /// client that never pauses, and so never leaves time for it.
    pub(crate) fn serve_busy(&mut self, cx: &mut Context<'_>) {
        // A task that has used up its budget finds no socket and no timer ready.
        let serving = unconstrained(poll_fn(|cx| {
            self.flush(cx);
            if self.left.is_none()
                && let Err(close) = self.transport.poll_timers(cx)
            {
                self.flush(cx);
                self.leave(close);
            }
            Poll::Ready(())
        }));
        _ = pin!(serving).poll(cx);
    }

    /// Writes queued messages if they fill much of the queue, though more are about to be queued.
    pub(crate) fn flush_early(&mut self, cx: &mut Context<'_>) {
        if self.sender.is_filling() {
            self.flush(cx);
        }
    }

    /// Returns whether nothing more is to be received: this side has closed, the server stops, or
    /// the client has disconnected and all its messages were received.
    pub(crate) fn is_ending(&mut self, cx: &mut Context<'_>) -> bool {
        self.has_ended() || self.is_stopping(cx)
    }

    /// The same, without having the task woken once the server stops.
    pub(crate) fn has_ended(&self) -> bool {
        self.sender.is_closing()
            || self.stop.as_ref().is_some_and(SignalWatch::is_set)
            || (self.left.is_some() && self.ahead.is_none())
    }

    /// Returns whether sends fail, because this side is closing or the connection has ended.
    pub(crate) fn refuses_sends(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns whether the client is known to have hung up, behind messages that were not read.
    fn has_hung_up(&self) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.has_hung_up)
    }

    fn leave(&mut self, close: Close) {
        self.sender.end();
        self.left = Some(Box::new(close));
    }

    fn is_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        self.stop.as_mut().is_some_and(|stop| stop.poll(cx))
    }

    /// Writes what is queued, our close frame last; then waits for the client's, and ignores its
    /// other messages.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.flush(cx);
        let mut ignored = 0;
        while self.left.is_none() {
            if ignored == IGNORED {
                yield_to_others(cx);
                return Poll::Pending;
            }
            match ready!(self.transport.poll_receive(cx)) {
                Ok(_) => ignored += 1,
                Err(close) => self.left = Some(Box::new(close)),
            }
        }
        match &self.left {
            // The client has disconnected: there is no close frame to send.
            Some(close) if close.code == Close::ABNORMAL => Poll::Ready(()),
            _ => self.transport.poll_shutdown(cx),
        }
    }
}

impl Ahead {
    fn is_full(&self) -> bool {
        self.messages.len() >= AHEAD_FRAMES || self.bytes >= AHEAD_BYTES
    }

    fn push(&mut self, message: Message) {
        self.bytes += message.payload().len();
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload().len();
        Some(message)
    }
}

/// Senders that still exist fail from now on.
impl Drop for Socket {
    fn drop(&mut self) {
        self.sender.end();
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
