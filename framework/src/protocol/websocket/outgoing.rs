//! What waits to be sent on one socket: bounded, shared by whoever may speak.

use crate::{
    error::{Error, ErrorKind, Result},
    message::{Close, Message},
    waker::note,
};
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

/// The right to speak on a socket. Clones speak on the same one.
///
/// ```
/// use seaway::{Context, Result};
///
/// /// Counts to three for the client, while the consumer goes on with its turns.
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
pub struct Sender(Arc<Shared>);

struct Shared {
    limit: usize,
    /// Whether `outgoing.close` is set: asked at every turn, so it takes no lock.
    closing: AtomicBool,
    outgoing: Mutex<Outgoing>,
}

/// What waits to be sent, in order. Transports empty it.
#[derive(Default)]
pub(crate) struct Outgoing {
    messages: VecDeque<Message>,
    bytes: usize,
    close: Option<Close>,
    over: bool,
    /// Senders that wait for room.
    waiting: Vec<Waker>,
    /// The conversation's task, if it sleeps while somebody else speaks.
    driver: Option<Waker>,
}

/// Who queues a message.
#[derive(Clone, Copy)]
pub(crate) enum Speaker {
    /// A handler, inside the conversation's own task: that task writes as soon as the handler rests.
    Handler,
    /// Anyone else: the conversation's task has to be woken.
    Anyone,
}

/// What a queued message costs besides its payload, so that a flood of empty ones is bounded too.
const FRAME_COST: usize = 64;

impl Sender {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Shared {
            limit,
            closing: AtomicBool::new(false),
            outgoing: Mutex::default(),
        }))
    }

    /// Queues a message; it leaves together with whatever else is queued, in order.
    /// Waits while more bytes are queued than [`send_buffer`](super::WebSocketConfig::send_buffer) allows.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the conversation is over or closing.
    ///
    /// # Cancel safety
    /// Safe: the message is queued whole or not at all.
    pub async fn send(&self, message: impl Into<Message>) -> Result<()> {
        self.queue(message.into(), Speaker::Anyone).await
    }

    pub(crate) async fn queue(&self, message: Message, speaker: Speaker) -> Result<()> {
        let mut message = Some(message);
        poll_fn(|cx| self.poll_queue(&mut message, speaker, cx)).await
    }

    fn poll_queue(
        &self,
        message: &mut Option<Message>,
        speaker: Speaker,
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
            outgoing.push(message, speaker);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the conversation once everything queued has left. What is sent afterwards is refused.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if it is over already, [`ErrorKind::Codec`] if the code may not travel.
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

    /// Whether this side has decided to end.
    pub(crate) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Acquire)
    }

    /// How this side has decided to end, if it has.
    pub(crate) fn closing(&self) -> Option<Close> {
        self.outgoing().close.clone()
    }

    /// Nothing more will leave: what waits is dropped, whoever waits is told.
    pub(crate) fn end(&self) {
        let mut outgoing = self.outgoing();
        outgoing.over = true;
        outgoing.messages = VecDeque::new();
        outgoing.bytes = 0;
        outgoing.wake_all();
    }

    /// Lets a transport take what waits, and remembers whom to wake when more comes.
    pub(crate) fn drain<T>(&self, cx: &Context<'_>, take: impl FnOnce(&mut Outgoing) -> T) -> T {
        let mut outgoing = self.outgoing();
        note(&mut outgoing.driver, cx);
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

impl Outgoing {
    fn push(&mut self, message: Message, speaker: Speaker) {
        self.bytes += message.payload().len() + FRAME_COST;
        self.messages.push_back(message);
        // One wake is enough until the driver has looked.
        if let (Speaker::Anyone, Some(driver)) = (speaker, self.driver.take()) {
            driver.wake();
        }
    }

    fn wake_all(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// The next message to write.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.payload().len() + FRAME_COST;
        // An idle socket shall not keep the memory of its busiest moment.
        if self.messages.is_empty() && self.messages.capacity() > 8 {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    /// How to end, once all messages are written.
    pub(crate) fn close(&self) -> Option<&Close> {
        self.close.as_ref()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
