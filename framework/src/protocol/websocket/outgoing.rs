//! The outgoing queue of one WebSocket: bounded, and shared by all its senders.

use super::{
    config::{Compression, WebSocketConfig},
    extension::Deflate,
};
use crate::{
    error::{Error, ErrorKind, Result},
    message::{Close, Message},
    waker::store_waker,
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// A handle that sends on a WebSocket; clones send on the same one.
///
/// ```
/// use seaway::{Context, Result};
///
/// /// Sends three numbers to the client, while the consumer handles other messages.
/// async fn count(ctx: &mut Context) -> Result<()> {
///     let sender = ctx.sender();
///     tokio::spawn(async move {
///         for number in 1..=3 {
///             sender.send(number.to_string()).await?;
///         }
///         sender.close(1000)
///     });
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Sender(Arc<SenderState>);

struct SenderState {
    limit: usize,
    compression: Option<(Deflate, Compression)>,
    /// Whether `outgoing.close` is set: checked on every turn of the driver, so it needs no lock.
    closing: AtomicBool,
    outgoing: Mutex<Outgoing>,
}

/// The outgoing messages, in order. Transports empty the queue.
#[derive(Default)]
pub(crate) struct Outgoing {
    messages: VecDeque<Outbound>,
    bytes: usize,
    close: Option<Close>,
    over: bool,
    /// Senders that wait for room.
    waiting: Vec<Waker>,
    /// The task of the connection, if it sleeps while another task sends.
    driver: Option<Waker>,
}

/// A message to write.
pub(crate) enum Outbound {
    Plain(Message),
    /// A compressed payload (RFC 7692, 6.1), only on connections that negotiated it.
    Deflated {
        is_text: bool,
        payload: Bytes,
    },
}

/// The origin of a queued message.
#[derive(Clone, Copy)]
pub(crate) enum SendSource {
    /// A handler, inside the connection's own task, which writes as soon as the handler waits.
    Handler,
    /// Any other task: the connection's task has to be woken.
    Anyone,
}

/// The cost of a queued message besides its payload, in bytes, so that a flood of empty ones is
/// bounded, too.
const FRAME_COST: usize = 64;

impl Sender {
    pub(super) fn new(config: &WebSocketConfig, deflate: Option<Deflate>) -> Self {
        Self(Arc::new(SenderState {
            limit: config.send_buffer,
            compression: deflate.zip(config.compression),
            closing: AtomicBool::new(false),
            outgoing: Mutex::default(),
        }))
    }

    /// Sends a message.
    ///
    /// It is queued and written together with all others that are queued, in order. Waits while
    /// more bytes are queued than [`send_buffer`](super::WebSocketConfig::send_buffer) allows.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the connection is closed or closing.
    ///
    /// # Cancel safety
    /// Cancel safe: the message is queued whole or not at all.
    pub async fn send(&self, message: impl Into<Message>) -> Result<()> {
        self.queue(message.into(), SendSource::Anyone).await
    }

    pub(crate) async fn queue(&self, message: Message, source: SendSource) -> Result<()> {
        let mut message = Some(self.compress(message));
        poll_fn(|cx| self.poll_queue(&mut message, source, cx)).await
    }

    fn poll_queue(
        &self,
        message: &mut Option<Outbound>,
        source: SendSource,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let mut outgoing = self.outgoing();
        if outgoing.over || outgoing.close.is_some() {
            return Poll::Ready(Err(Error::closed()));
        }
        if outgoing.bytes >= self.0.limit {
            let waker = cx.waker();
            if !outgoing.waiting.iter().any(|one| one.will_wake(waker)) {
                outgoing.waiting.push(waker.clone());
            }
            return Poll::Pending;
        }
        if let Some(message) = message.take() {
            outgoing.push(message, source);
        }
        Poll::Ready(Ok(()))
    }

    /// Compresses a message for which that is worth it, in the task that sends it.
    fn compress(&self, message: Message) -> Outbound {
        let Some((deflate, compression)) = self.0.compression else {
            return Outbound::Plain(message);
        };
        if message.payload().len() < compression.threshold {
            return Outbound::Plain(message);
        }
        match deflate.compress(message.shared_payload()) {
            Some(payload) => Outbound::Deflated {
                is_text: message.is_text(),
                payload,
            },
            None => Outbound::Plain(message),
        }
    }

    /// Closes the connection once everything queued is written.
    ///
    /// Later sends fail.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if it is closed or closing already, [`ErrorKind::Codec`] if the code
    /// must not be sent.
    pub fn close(&self, close: impl Into<Close>) -> Result<()> {
        let close = close.into();
        if !close.is_sendable() {
            return Err(Error::new(
                ErrorKind::Codec,
                format!(
                    "a close frame may not carry {}; use 1000 or 3000 to 4999 (RFC 6455, 7.4)",
                    close.code
                ),
            ));
        }
        let mut outgoing = self.outgoing();
        if outgoing.over || outgoing.close.is_some() {
            return Err(Error::closed());
        }
        outgoing.close = Some(close);
        self.0.closing.store(true, Ordering::Release);
        outgoing.wake_all();
        Ok(())
    }

    /// Returns whether this side is closing.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// Returns the code and reason with which this side is closing, if it is.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.outgoing().close.clone()
    }

    /// Ends the queue: drops its messages, and wakes all senders that wait, which then fail.
    pub(crate) fn end(&self) {
        let mut outgoing = self.outgoing();
        outgoing.over = true;
        outgoing.messages = VecDeque::new();
        outgoing.bytes = 0;
        outgoing.wake_all();
    }

    /// Calls `take` with the queue, for a transport, and stores the task to wake when a message is
    /// queued.
    pub(crate) fn drain<T>(&self, cx: &Context<'_>, take: impl FnOnce(&mut Outgoing) -> T) -> T {
        let mut outgoing = self.outgoing();
        store_waker(&mut outgoing.driver, cx);
        let taken = take(&mut outgoing);
        if outgoing.bytes < self.0.limit {
            outgoing.waiting.drain(..).for_each(Waker::wake);
        }
        taken
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        let lock = self.0.outgoing.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Outbound {
    pub(super) fn payload(&self) -> &[u8] {
        match self {
            Self::Plain(message) => message.payload(),
            Self::Deflated { payload, .. } => payload,
        }
    }
}

impl Outgoing {
    fn push(&mut self, message: Outbound, source: SendSource) {
        self.bytes += message.payload().len() + FRAME_COST;
        self.messages.push_back(message);
        // One wake is enough until the driver has polled the queue.
        if let (SendSource::Anyone, Some(driver)) = (source, self.driver.take()) {
            driver.wake();
        }
    }

    fn wake_all(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Removes the next message to write.
    pub(crate) fn pop(&mut self) -> Option<Outbound> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload().len() + FRAME_COST;
        // An idle connection must not keep the memory of its peak.
        if self.messages.is_empty() && self.messages.capacity() > 8 {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    /// Returns the close to send once all messages are written.
    pub(crate) fn close(&self) -> Option<&Close> {
        self.close.as_ref()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
