//! The sender of one WebSocket: its queue, shared by all tasks that send to the client.

use super::{
    config::WebSocketConfig,
    extension::Deflate,
    send_queue::{Bounds, DropReason, Importance, Offer, Outbound, SendQueue, Sent, SlowClient},
    waiting_sends::WaitingSends,
};
use crate::{
    codec::IntoMessage,
    error::{Error, ErrorKind, Result},
    message::{Close, Message},
    metric,
    waker::{store_waker, wake},
};
use std::{
    fmt,
    hash::Hash,
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};
use tokio::{
    sync::oneshot::{self, Receiver},
    task::yield_now,
    time::timeout,
};

/// A handle that sends on a WebSocket; clones send on the same one.
///
/// ```
/// use seaway::{Context, Json, Result};
///
/// /// Sends three numbers to the client, while the consumer handles other messages.
/// async fn count(ctx: &mut Context) -> Result<()> {
///     let sender = ctx.sender();
///     tokio::spawn(async move {
///         for number in 1..=3 {
///             sender.send(Json(number)).await?;
///         }
///         sender.close(1000)
///     });
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Sender(Arc<SenderState>);

struct SenderState {
    config: Arc<WebSocketConfig>,
    deflate: Option<Deflate>,
    /// Whether the queue has a close: checked on every step of the driver, so it needs no lock.
    closing: AtomicBool,
    /// Whether the queue is at least half full: checked on every step of the driver, too.
    is_filling: AtomicBool,
    /// How often the client has accepted something; it wraps around.
    progress: AtomicU32,
    outgoing: Mutex<Outgoing>,
}

/// The queue, and the tasks at both of its ends.
#[derive(Default)]
struct Outgoing {
    queue: SendQueue,
    over: bool,
    waiting: WaitingSends,
    /// The task of the connection, if it sleeps while another task sends.
    driver: Option<Waker>,
}

/// The origin of a queued message.
#[derive(Clone, Copy)]
pub(crate) enum SendSource {
    /// A handler, inside the connection's own task, which writes as soon as the handler waits.
    Handler,
    /// Any other task: the connection's task has to be woken.
    Anyone,
}

impl SenderState {
    fn bounds(&self) -> Bounds {
        Bounds {
            bytes: self.config.send_buffer,
            messages: self.config.send_messages,
            policy: self.config.slow_client,
            is_awaited: false,
        }
    }
}

impl Sender {
    pub(super) fn new(config: Arc<WebSocketConfig>, deflate: Option<Deflate>) -> Self {
        Self(Arc::new(SenderState {
            config,
            deflate,
            closing: AtomicBool::new(false),
            is_filling: AtomicBool::new(false),
            progress: AtomicU32::new(0),
            outgoing: Mutex::default(),
        }))
    }

    /// Sends a message: text, bytes, [`Json`](crate::Json), or any other [`IntoMessage`].
    ///
    /// It is queued and written together with all others that are queued, in order. If more bytes
    /// are queued than [`send_buffer`](super::WebSocketConfig::send_buffer) allows, or as many
    /// messages as [`send_messages`](super::WebSocketConfig::send_messages), the policy of
    /// [`slow_client`](super::WebSocketConfig::slow_client) applies: by default `send` waits for
    /// room. Before any other policy applies, `send` lets other tasks run once.
    ///
    /// With `SlowClient::DropOldest` and `DropNewest` a drop is not an error: `send` returns `Ok`,
    /// and [`dropped`](Sender::dropped) counts the message. [`send_volatile`](Sender::send_volatile)
    /// and [`send_latest`](Sender::send_latest) return what happened to theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the connection is closed or closing, which the policy may cause.
    /// [`ErrorKind::Codec`] if the message cannot be encoded.
    ///
    /// # Cancel safety
    /// Safe: the message is queued whole or not at all.
    pub async fn send(&self, message: impl IntoMessage) -> Result<()> {
        self.queue(message.into_message()?, SendSource::Anyone)
            .await
    }

    /// Sends a message that may be dropped if the client reads slowly, such as the position of a
    /// pointer.
    ///
    /// ```
    /// # fn example(sender: &seaway::protocol::Sender) -> seaway::Result<()> {
    /// sender.send_volatile("7,12")?;
    /// # Ok(()) }
    /// ```
    ///
    /// It never waits; a full queue drops it, or drops it later for the sake of any other message.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn send_volatile(&self, message: impl IntoMessage) -> Result<Sent> {
        let message = message.into_message()?;
        self.try_queue(message, Importance::Volatile, SendSource::Anyone)
    }

    /// Sends a message that replaces a queued one with the same key, such as a price or a score.
    ///
    /// ```
    /// # fn example(sender: &seaway::protocol::Sender) -> seaway::Result<()> {
    /// sender.send_latest("acme", "9.95")?;
    /// # Ok(()) }
    /// ```
    ///
    /// It takes the place of an older one of the same key that is still queued. It never waits; a
    /// queue that is full without the older one drops the new one, unless the policy makes room, or
    /// closes the connection.
    ///
    /// # Errors
    /// As [`send`](Sender::send).
    pub fn send_latest(&self, key: impl Hash, message: impl IntoMessage) -> Result<Sent> {
        let message = message.into_message()?;
        self.try_queue(message, Importance::latest(key), SendSource::Anyone)
    }

    /// Returns how many messages to this client were dropped or replaced since it connected.
    pub fn dropped(&self) -> u64 {
        self.outgoing().queue.dropped()
    }

    pub(crate) async fn queue(&self, message: Message, source: SendSource) -> Result<()> {
        let bounds = self.0.bounds();
        let waits = matches!(bounds.policy, SlowClient::Wait(_));
        if !waits && self.is_filling() && self.outgoing().queue.is_full(bounds) {
            // Called from a hook, this lets the connection's task write: a client is slow only if that
            // makes no room. From another task or thread it may make none.
            yield_now().await;
        }
        match self.queue_or_wait(self.compress(message), source)? {
            None => Ok(()),
            // Boxed: few sends wait, and every hook that sends holds this future.
            Some((queued, limit)) => Box::pin(self.wait(queued, limit)).await,
        }
    }

    /// Queues a message for code that blocks its thread meanwhile.
    ///
    /// The client must make room within the limit of the policy: a thread that one reading a byte
    /// now and then could hold for ever may be one of a pool that all connections share.
    pub(crate) async fn queue_blocking(&self, message: Message) -> Result<()> {
        let queueing = self.queue(message, SendSource::Anyone);
        let SlowClient::Wait(limit) = self.0.config.slow_client else {
            return queueing.await;
        };
        match timeout(limit, queueing).await {
            Ok(queued) => queued,
            Err(_) => {
                self.close_slow();
                Err(Error::closed())
            }
        }
    }

    pub(crate) fn try_queue(
        &self,
        message: Message,
        importance: Importance,
        source: SendSource,
    ) -> Result<Sent> {
        match self.offer(self.compress(message), importance, source)? {
            Offered::Done(sent) => Ok(sent),
            Offered::Full(mut outgoing, ..) => {
                outgoing.queue.count_dropped(DropReason::Newest);
                metric::unsent(DropReason::Newest.name(), 1);
                Ok(Sent::Dropped)
            }
        }
    }

    /// Queues a message, or returns what to wait for and the policy's limit.
    fn queue_or_wait(
        &self,
        message: Outbound,
        source: SendSource,
    ) -> Result<Option<(Receiver<()>, Duration)>> {
        match self.offer(message, Importance::Normal, source)? {
            Offered::Done(_) => Ok(None),
            Offered::Full(mut outgoing, message, limit) => {
                Ok(Some((outgoing.waiting.push(message), limit)))
            }
        }
    }

    fn offer(
        &self,
        message: Outbound,
        importance: Importance,
        source: SendSource,
    ) -> Result<Offered<'_>> {
        let mut outgoing = self.outgoing();
        if outgoing.is_closed() {
            return Err(Error::closed());
        }
        let bounds = Bounds {
            is_awaited: !outgoing.waiting.is_empty(),
            ..self.0.bounds()
        };
        let before = outgoing.queue.drops();
        let offer = outgoing.queue.offer(message, importance, bounds);
        let after = outgoing.queue.drops();
        if after != before {
            for reason in DropReason::ALL {
                let dropped = after[reason as usize] - before[reason as usize];
                metric::unsent(reason.name(), dropped);
            }
        }
        if outgoing.queue.is_half_full(bounds) {
            self.0.is_filling.store(true, Ordering::Relaxed);
            metric::queue_filled(outgoing.queue.percent(bounds));
        }
        match offer {
            Offer::Done(sent) => {
                let driver = outgoing.driver_for(source);
                drop(outgoing);
                wake(driver);
                Ok(Offered::Done(sent))
            }
            Offer::Full(message, limit) => Ok(Offered::Full(outgoing, message, limit)),
            Offer::Close => {
                drop(outgoing);
                self.close_slow();
                Err(Error::closed())
            }
        }
    }

    /// Waits until a message is queued, and closes the connection once the client has accepted
    /// nothing for the policy's limit.
    async fn wait(&self, queued: Receiver<()>, limit: Duration) -> Result<()> {
        let mut waiting = Waits {
            sender: self,
            queued,
        };
        loop {
            let progress = self.progress();
            match timeout(limit, &mut waiting.queued).await {
                Ok(queued) => return queued.map_err(|_| Error::closed()),
                Err(_) if progress == self.progress() => break,
                Err(_) => {}
            }
        }
        self.close_slow();
        Err(Error::closed())
    }

    /// Returns how often the client has accepted something; it wraps around.
    fn progress(&self) -> u32 {
        self.0.progress.load(Ordering::Relaxed)
    }

    /// Records that the client has accepted something.
    pub(crate) fn record_progress(&self) {
        self.0.progress.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the connection of a client that reads too slowly. What it has not read is dropped.
    fn close_slow(&self) {
        let mut outgoing = self.outgoing();
        if outgoing.is_closed() {
            return;
        }
        let unsent = outgoing.queue.clear();
        metric::unsent("closed", unsent);
        let close = Close::new(Close::TRY_AGAIN, "the client reads too slowly");
        self.set_close(outgoing, close);
    }

    fn set_close(&self, mut outgoing: MutexGuard<'_, Outgoing>, close: Close) {
        outgoing.queue.set_close(close);
        self.0.closing.store(true, Ordering::Release);
        notify_all(outgoing);
    }

    /// Compresses a message for which that is worth it, in the task that sends it.
    fn compress(&self, message: Message) -> Outbound {
        let Some((deflate, compression)) = self.0.deflate.zip(self.0.config.compression) else {
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
        let outgoing = self.outgoing();
        if outgoing.is_closed() {
            return Err(Error::closed());
        }
        self.set_close(outgoing, close);
        Ok(())
    }

    /// Returns whether sends fail, because this side is closing or the connection has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.outgoing().is_closed()
    }

    /// Returns whether this side is closing.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// Returns whether the queue is at least half full, so that it should be written even though the
    /// consumer is not idle: otherwise a burst of events would fill the queue of a fast client.
    pub(crate) fn is_filling(&self) -> bool {
        self.0.is_filling.load(Ordering::Relaxed)
    }

    /// Returns the code and reason with which this side is closing, if it is.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.outgoing().queue.close().cloned()
    }

    /// Ends the queue: drops its messages, and those of the sends that wait, which then fail.
    pub(crate) fn end(&self) {
        let mut outgoing = self.outgoing();
        outgoing.over = true;
        let unsent = outgoing.queue.clear();
        notify_all(outgoing);
        metric::unsent("disconnected", unsent);
    }

    /// Calls `take` with the queue, for a transport, and stores the task to wake when a message is
    /// queued.
    pub(crate) fn drain<T>(&self, cx: &Context<'_>, take: impl FnOnce(&mut SendQueue) -> T) -> T {
        let mut outgoing = self.outgoing();
        store_waker(&mut outgoing.driver, cx);
        let taken = take(&mut outgoing.queue);
        let bounds = self.0.bounds();
        let queued = outgoing.queue_waiting(bounds);
        if !outgoing.queue.is_half_full(bounds) {
            self.0.is_filling.store(false, Ordering::Relaxed);
        }
        drop(outgoing);
        if !queued.is_empty() {
            // What was queued just now is still to be taken.
            cx.waker().wake_by_ref();
        }
        for queued in queued {
            // A send that was cancelled meanwhile is queued all the same.
            _ = queued.send(());
        }
        taken
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        let lock = self.0.outgoing.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

/// What happened to an offered message.
enum Offered<'a> {
    Done(Sent),
    /// The queue is full; wait for as long as the client accepts something within this time.
    Full(MutexGuard<'a, Outgoing>, Outbound, Duration),
}

/// A send that waits for room. If it is dropped before its message is queued, the message is
/// dropped too.
struct Waits<'a> {
    sender: &'a Sender,
    queued: Receiver<()>,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        if !self.queued.is_terminated() {
            self.queued.close();
            self.sender.outgoing().waiting.remove_cancelled();
        }
    }
}

impl Outgoing {
    fn is_closed(&self) -> bool {
        self.over || self.queue.close().is_some()
    }

    /// Takes out the waker of the connection's task, for a message of another one. One wake is
    /// enough until it has polled the queue.
    fn driver_for(&mut self, source: SendSource) -> Option<Waker> {
        match source {
            SendSource::Anyone => self.driver.take(),
            SendSource::Handler => None,
        }
    }

    /// Queues messages that wait, as far as there is room; returns whom to notify once the lock is
    /// released.
    fn queue_waiting(&mut self, bounds: Bounds) -> Vec<oneshot::Sender<()>> {
        let mut queued = Vec::new();
        while !self.waiting.is_empty() && !self.queue.is_full(bounds) {
            let Some(send) = self.waiting.pop() else {
                break;
            };
            if !send.queued.is_closed() {
                _ = self.queue.offer(send.message, Importance::Normal, bounds);
                queued.push(send.queued);
            }
        }
        queued
    }
}

/// Releases the lock, wakes the connection's task, and fails all sends that wait.
fn notify_all(mut outgoing: MutexGuard<'_, Outgoing>) {
    let waiting = mem::take(&mut outgoing.waiting);
    let driver = outgoing.driver.take();
    drop(outgoing);
    drop(waiting);
    wake(driver);
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
