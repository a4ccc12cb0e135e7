//! The bytes of one connection: when it was last heard, and reading in turns with the rest of the process.

use redis::{PushKind, Value};
use std::{
    future::Future,
    io, mem,
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
    /// Milliseconds after `opened`, when this process was last behind with reading; [`NEVER`] if it has not been.
    behind: AtomicU64,
    has_ended: AtomicBool,
    ended: Notify,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            behind: AtomicU64::new(NEVER),
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

    /// Returns whether this process was behind with reading when, or shortly before, bytes came last: the other side may
    /// have had more to send than the systems between would take.
    pub(super) fn is_behind(&self) -> bool {
        let (behind, heard) = (&self.behind, &self.heard);
        match behind.load(Ordering::Relaxed) {
            NEVER => false,
            behind => heard.load(Ordering::Relaxed).saturating_sub(behind) <= CATCHING_UP_MS,
        }
    }

    fn hear(&self, is_behind: bool) {
        let millis = self.opened.elapsed().as_millis();
        let millis = u64::try_from(millis).unwrap_or(NEVER - 1).min(NEVER - 1);
        self.heard.store(millis, Ordering::Relaxed);
        if is_behind {
            self.behind.store(millis, Ordering::Relaxed);
        }
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.ended.notify_one();
    }
}

/// No time in milliseconds.
const NEVER: u64 = u64::MAX;

/// How many bytes in a row, each read as long as its buffer, make a backlog: less than the first window of a TCP connection
/// over Ethernet (64,240 bytes on Linux), the smallest that there is. With less, the other side had nothing left to send.
const BACKLOG: u64 = 32 * 1024;

/// For how long after a backlog the other side may still have something left to send, although reads are short again: Redis
/// writes in turns with its other clients.
const CATCHING_UP_MS: u64 = 100;

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
    row: Row,
}

/// How many bytes were read since a read last left nothing behind.
///
/// A read that is shorter than its buffer has emptied the system's. That nothing can be read now says less: a runtime
/// lets a task that has read much wait as well.
#[derive(Default)]
struct Row {
    bytes: u64,
    is_over: bool,
}

impl Row {
    /// Notes one read; returns whether what came in a row makes a backlog.
    fn note(&mut self, read: usize, room: usize) -> bool {
        if mem::replace(&mut self.is_over, read < room) {
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(read as u64);
        self.bytes >= BACKLOG
    }
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
            row: Row::default(),
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
            io,
            pulse,
            chunk,
            row,
            ..
        } = &mut *self;
        let room = most.min(buf.remaining());
        let mut part = ReadBuf::new(&mut chunk[..room]);
        let read = ready!(Pin::new(io).poll_read(cx, &mut part));
        let part = part.filled();
        if read.is_ok() && !part.is_empty() {
            pulse.hear(row.note(part.len(), room));
            buf.put_slice(part);
        } else {
            pulse.end();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The reads that came last, as bytes read and room in the buffer.
    fn is_backlog(reads: &[(usize, usize)]) -> bool {
        let mut row = Row::default();
        reads
            .iter()
            .fold(false, |_, (read, room)| row.note(*read, *room))
    }

    #[test]
    fn only_full_reads_in_a_row_make_a_backlog() {
        let (full, short) = ((CHUNK, CHUNK), (CHUNK - 1, CHUNK));

        assert!(is_backlog(&[full; 2]));
        assert!(!is_backlog(&[full; 1]));
        assert!(
            !is_backlog(&[short; 100]),
            "each has emptied the system's buffer"
        );
        assert!(is_backlog(&[full, full, (10, CHUNK)]), "the end of the row");
        assert!(!is_backlog(&[full, full, (10, CHUNK), (10, CHUNK)]));
        assert!(is_backlog(&[(BUSY_CHUNK, BUSY_CHUNK); 8]));
    }

    #[test]
    fn a_backlog_is_remembered_until_bytes_come_without_one() {
        let pulse = Pulse::new();

        pulse.hear(false);
        assert!(!pulse.is_behind());
        pulse.hear(true);
        pulse.hear(false);
        assert!(pulse.is_behind(), "Redis may still have something to send");
        pulse.behind.store(0, Ordering::Relaxed);
        pulse.heard.store(CATCHING_UP_MS + 1, Ordering::Relaxed);
        assert!(!pulse.is_behind());
    }
}
