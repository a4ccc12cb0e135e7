//! The bytes of one connection: when it was last heard, and reading in turns with the rest of the process.

use redis::{PushKind, Value};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, Sleep, sleep},
};

/// What the bytes of one connection tell: when something came last, and whether the other side has closed it.
pub(crate) struct Pulse {
    opened: Instant,
    /// Milliseconds after `opened`.
    heard: AtomicU64,
    /// How many bytes came in a row, without a moment in which nothing waited to be read.
    in_a_row: AtomicU64,
    has_ended: AtomicBool,
    ended: Notify,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            in_a_row: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            ended: Notify::new(),
        })
    }

    /// Returns when bytes came last; the time of opening if none have.
    pub(crate) fn last_heard(&self) -> Instant {
        self.opened + Duration::from_millis(self.heard.load(Ordering::Relaxed))
    }

    /// Waits until the connection has ended: closed, reset, or failed. Everything received before has been handed on.
    pub(crate) async fn ended(&self) {
        while !self.has_ended.load(Ordering::Acquire) {
            self.ended.notified().await;
        }
    }

    /// Returns whether so much came in a row that the other side may have had more to send than the systems between
    /// would take.
    pub(super) fn is_behind(&self) -> bool {
        self.in_a_row.load(Ordering::Relaxed) >= BACKLOG
    }

    fn hear(&self, bytes: usize) {
        self.in_a_row.fetch_add(bytes as u64, Ordering::Relaxed);
        let millis = self.opened.elapsed().as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.heard.store(millis, Ordering::Relaxed);
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.ended.notify_one();
    }
}

/// How many bytes in a row make a backlog: less than the smallest receive buffer that a system chooses by itself. With less,
/// the other side had nothing left to send.
const BACKLOG: u64 = 64 * 1024;

/// How much one read may take. What it brings is handled before anything else runs on this thread.
const CHUNK: usize = 16 * 1024;

/// How much one read may take while every message has many receivers: about 45 short messages, less than the 128 that
/// a receiver handles in one turn of its own.
const BUSY_CHUNK: usize = 4 * 1024;

/// How many deliveries to mailboxes a connection makes before it gives the other tasks a turn.
const DELIVERIES_PER_TURN: u64 = 4096;

/// How soon to ask again whether there is room for what comes next.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// Takes what Redis sends unasked.
pub(crate) trait Inbox: Send + Sync + 'static {
    /// Takes a push. It runs inside the connection's driver and must not block.
    fn take(&self, kind: PushKind, data: Vec<Value>);

    /// Returns how many deliveries to receivers were made so far.
    fn deliveries(&self) -> u64;

    /// Returns whether the receivers have room for what comes next. While they have not, nothing is read.
    fn has_room(&self) -> bool;
}

/// Ignores what Redis sends unasked.
pub(crate) struct NoInbox;

impl Inbox for NoInbox {
    fn take(&self, _: PushKind, _: Vec<Value>) {}

    fn deliveries(&self) -> u64 {
        0
    }

    fn has_room(&self) -> bool {
        true
    }
}

/// A stream that notes its life in a [`Pulse`], and reads in turns with its receivers: a burst must not fill the mailboxes
/// of a thousand consumers before they have had a turn to empty them.
pub(super) struct Stream<S> {
    io: S,
    pulse: Arc<Pulse>,
    inbox: Arc<dyn Inbox>,
    /// The count of deliveries at the last turn.
    counted: u64,
    is_busy: bool,
    waiting: Option<Pin<Box<Sleep>>>,
    chunk: Box<[u8]>,
}

impl<S> Stream<S> {
    pub(super) fn new(io: S, pulse: Arc<Pulse>, inbox: Arc<dyn Inbox>) -> Self {
        Self {
            io,
            pulse,
            counted: inbox.deliveries(),
            inbox,
            is_busy: false,
            waiting: None,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        }
    }

    /// Ready when it is this connection's turn to read.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.inbox.deliveries();
        let made = now.wrapping_sub(self.counted);
        self.is_busy = made >= DELIVERIES_PER_TURN / 4;
        if made >= DELIVERIES_PER_TURN {
            self.counted = now;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        while !self.inbox.has_room() {
            let again = || Box::pin(sleep(ASK_AGAIN));
            ready!(self.waiting.get_or_insert_with(again).as_mut().poll(cx));
            self.waiting = None;
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(cx));
        let most = if self.is_busy { BUSY_CHUNK } else { CHUNK };
        let Self {
            io, pulse, chunk, ..
        } = &mut *self;
        let mut part = ReadBuf::new(&mut chunk[..most.min(buf.remaining())]);
        let Poll::Ready(read) = Pin::new(io).poll_read(cx, &mut part) else {
            pulse.in_a_row.store(0, Ordering::Relaxed);
            return Poll::Pending;
        };
        match &read {
            Ok(()) if !part.filled().is_empty() => {
                pulse.hear(part.filled().len());
                buf.put_slice(part.filled());
            }
            Ok(()) | Err(_) => pulse.end(),
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Wakes the task that waits for the end, in every case.
impl<S> Drop for Stream<S> {
    fn drop(&mut self) {
        self.pulse.end();
    }
}
