//! An open WebSocket: messages in, messages out, and how it ended.

use super::{config::WebSocketConfig, outgoing::Sender, stop::Stop};
use crate::{
    message::{Close, Message},
    metric,
};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// What carries the messages: the server's over bytes, the testing kit's in memory.
pub(crate) trait Transport: Send {
    /// The client's next message, or how it left. Not polled again once it has left.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Close>>;

    /// Writes what waits; pending while the client cannot take it all.
    /// An error means that the client is gone.
    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>>;

    /// While nothing is read because too much is read already: how the client is given up, if it takes nothing either.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Close>;

    /// Ends the connection once both sides have said goodbye.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// An open WebSocket.
///
/// Pings are answered and queued messages written while [`receive`](Socket::receive) is awaited.
/// Consumers are driven for you; an [`Application`](crate::Application) of your own holds one of these.
///
/// ```
/// use seaway::{Close, Result, protocol::Socket};
///
/// /// Says what it hears, until it hears "stop".
/// async fn echo(mut socket: Socket) -> Result<Close> {
///     let sender = socket.sender();
///     while let Some(message) = socket.receive().await {
///         if message.payload() == b"stop" {
///             break;
///         }
///         sender.send(message).await?;
///     }
///     Ok(socket.close(1000).await)
/// }
/// ```
pub struct Socket {
    transport: Box<dyn Transport>,
    sender: Sender,
    stop: Option<Stop>,
    config: Arc<WebSocketConfig>,
    /// Frames that were read while a handler was busy.
    ahead: VecDeque<Message>,
    ahead_bytes: usize,
    /// How the client left, once it has.
    left: Option<Close>,
    _counted: metric::OpenSocket,
}

/// How much is read while a handler is busy, so that a goodbye behind it is seen. Past either bound reading pauses,
/// and TCP slows the client down, until the handler is done.
const AHEAD_FRAMES: usize = 64;
const AHEAD_BYTES: usize = 64 * 1024;

impl Socket {
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        stop: Option<Stop>,
        config: Arc<WebSocketConfig>,
    ) -> Self {
        Self {
            transport,
            sender: Sender::new(config.send_buffer),
            stop,
            config,
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            left: None,
            _counted: metric::OpenSocket::new(),
        }
    }

    /// The right to speak on this socket, for this task or others.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Waits for the client's next message; `None` once it has left, this side has closed, or the server stops.
    ///
    /// # Cancel safety
    /// Safe: if another `select!` branch wins, nothing that was received is lost.
    ///
    /// # Trust
    /// The message is whatever the client sent. Its size is bounded; its meaning is not.
    pub async fn receive(&mut self) -> Option<Message> {
        poll_fn(|cx| match self.poll_receive(cx) {
            Poll::Ready(message) => Poll::Ready(message),
            Poll::Pending => {
                self.flush(cx);
                // Writing may have found the client gone, or a close that another task has queued meanwhile.
                if self.is_ending(cx) {
                    return Poll::Ready(None);
                }
                Poll::Pending
            }
        })
        .await
    }

    /// Closes, if nobody has yet, and waits for the client's half of the closing handshake; returns how it ended.
    ///
    /// The side that closed first decides the code.
    pub async fn close(mut self, close: impl Into<Close>) -> Close {
        if self.left.is_none() {
            let stopping = poll_fn(|cx| Poll::Ready(self.is_stopping(cx))).await;
            let close = if stopping {
                Close::new(Close::AWAY, "the server is going away")
            } else {
                close.into()
            };
            // If somebody closed before, their word stands; a code that may not travel is our own failure.
            if self.sender.close(close).is_err() {
                _ = self.sender.close(Close::ERROR);
            }
        }
        let ours = self.sender.closing();
        let limit = self.config.close_timeout;
        // A client that keeps its half of the handshake to itself is cut off.
        _ = tokio::time::timeout(limit, poll_fn(|cx| self.poll_finish(cx))).await;
        self.sender.end();
        let theirs = self.left.take();
        ours.or(theirs)
            .unwrap_or_else(|| Close::from(Close::ABNORMAL))
    }

    pub(crate) fn config(&self) -> &Arc<WebSocketConfig> {
        &self.config
    }

    /// The next message without writing anything: the caller flushes when it has nothing left to do.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        if self.is_ending(cx) {
            return Poll::Ready(None);
        }
        if let Some(message) = self.ahead.pop_front() {
            self.ahead_bytes -= message.payload().len();
            if self.ahead.is_empty() {
                self.ahead = VecDeque::new();
            }
            return Poll::Ready(Some(message));
        }
        match ready!(self.transport.poll_receive(cx)) {
            Ok(message) => Poll::Ready(Some(message)),
            Err(close) => {
                // What was queued before the goodbye still goes out before ours.
                self.flush(cx);
                self.leave(close);
                Poll::Ready(None)
            }
        }
    }

    /// Keeps the conversation alive while a handler is busy: writes, answers pings, reads ahead.
    /// Ready once the client has left or the server stops.
    pub(crate) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.flush(cx);
        while self.left.is_none() {
            if self.ahead.len() >= AHEAD_FRAMES || self.ahead_bytes >= AHEAD_BYTES {
                if let Poll::Ready(close) = self.transport.poll_stalled(cx) {
                    self.leave(close);
                }
                break;
            }
            match self.transport.poll_receive(cx) {
                Poll::Ready(Ok(message)) => {
                    self.ahead_bytes += message.payload().len();
                    self.ahead.push_back(message);
                }
                Poll::Ready(Err(close)) => {
                    // The answer to a goodbye does not wait for the handler.
                    self.flush(cx);
                    self.leave(close);
                }
                Poll::Pending => break,
            }
        }
        if self.left.is_some() || self.is_stopping(cx) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Writes what it can of what is queued.
    pub(crate) fn flush(&mut self, cx: &mut Context<'_>) {
        if self.left.is_some() {
            return;
        }
        if let Poll::Ready(Err(close)) = self.transport.poll_flush(&self.sender, cx) {
            self.leave(close);
        }
    }

    /// Whether nothing more is to be heard: this side has closed, the server stops, or the client has left and all it
    /// said was heard.
    pub(crate) fn is_ending(&mut self, cx: &mut Context<'_>) -> bool {
        let closed = self.sender.is_closing() || self.is_stopping(cx);
        closed || (self.left.is_some() && self.ahead.is_empty())
    }

    fn leave(&mut self, close: Close) {
        self.sender.end();
        self.left = Some(close);
    }

    fn is_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        self.stop.as_mut().is_some_and(|stop| stop.poll(cx))
    }

    /// Writes what is queued, our close last; then listens for the client's, passing over what it still says.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.flush(cx);
        while self.left.is_none() {
            match ready!(self.transport.poll_receive(cx)) {
                Ok(_) => {}
                Err(close) => self.left = Some(close),
            }
        }
        match &self.left {
            // Nobody is there any more to say goodbye to.
            Some(close) if close.code == Close::ABNORMAL => Poll::Ready(()),
            _ => self.transport.poll_shutdown(cx),
        }
    }
}

/// Whoever still holds a sender is told that nobody writes any more.
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
