//! The byte stream of one connection: when bytes last arrived, of which value, and backpressure on
//! reading.

use super::framing::{Malformed, ReplyFraming};
use redis::{PushKind, Value};
use std::{
    future::Future,
    io, mem,
    pin::Pin,
    sync::{
        Arc, OnceLock,
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

/// The state of one connection's stream: when bytes last arrived, of which value, and whether it
/// has ended.
pub(crate) struct Activity {
    opened: Instant,
    /// When bytes last arrived, in milliseconds after `opened`.
    received_at: AtomicU64,
    /// When a value last began or ended, in milliseconds after `opened`.
    value_at: AtomicU64,
    /// How many bytes have arrived of a value that is not whole yet.
    arrived: AtomicU64,
    /// When this process last had a read backlog, in milliseconds after `opened`; [`NEVER`] if it
    /// has had none.
    backlog_at: AtomicU64,
    has_ended: AtomicBool,
    /// Whether Redis has ended a subscription that this process needs.
    is_unsubscribed: AtomicBool,
    /// Whether bytes that the peer had sent may not have arrived.
    is_incomplete: AtomicBool,
    ended: Notify,
    malformed: OnceLock<Malformed>,
    /// The first line, if it is an error.
    first_error: OnceLock<String>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            received_at: AtomicU64::new(0),
            value_at: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            backlog_at: AtomicU64::new(NEVER),
            has_ended: AtomicBool::new(false),
            is_unsubscribed: AtomicBool::new(false),
            is_incomplete: AtomicBool::new(false),
            ended: Notify::new(),
            malformed: OnceLock::new(),
            first_error: OnceLock::new(),
        })
    }

    /// Returns when bytes last arrived; the time of opening if none have.
    pub(crate) fn last_received(&self) -> Instant {
        self.opened + Duration::from_millis(self.received_at.load(Ordering::Relaxed))
    }

    /// Returns how many bytes have arrived of a value that is not whole yet, and how long ago it
    /// began; 0 bytes if there is none.
    pub(super) fn unfinished_value(&self) -> (u64, Duration) {
        // The time is read last, and is at least as new: if the value ends meanwhile, another one
        // does not get its age.
        let arrived = self.arrived.load(Ordering::Acquire);
        let began = self.opened + Duration::from_millis(self.value_at.load(Ordering::Relaxed));
        (arrived, began.elapsed())
    }

    /// Returns why the stream could not be read further, if it was not the peer that ended it.
    pub(super) fn malformed(&self) -> Option<Malformed> {
        self.malformed.get().copied()
    }

    /// Returns the first line that arrived, if it is an error: the redis crate drops that of a server
    /// that closes the connection at once.
    pub(super) fn first_error(&self) -> Option<&str> {
        self.first_error.get().map(String::as_str)
    }

    /// Records the first bytes that arrived.
    fn record_first(&self, bytes: &[u8]) {
        if let Some(error) = bytes.strip_prefix(b"-") {
            let line = error
                .split(|byte| *byte == b'\r')
                .next()
                .unwrap_or_default();
            let line = &line[..line.len().min(LONGEST_ERROR)];
            _ = self
                .first_error
                .set(String::from_utf8_lossy(line).into_owned());
        }
    }

    fn now(&self) -> u64 {
        let millis = self.opened.elapsed().as_millis();
        u64::try_from(millis).unwrap_or(NEVER - 1).min(NEVER - 1)
    }

    /// Waits until the connection has ended: closed, reset, or failed. Everything received before
    /// has been passed on.
    pub(crate) async fn ended(&self) {
        while !self.has_ended.load(Ordering::Acquire) {
            self.ended.notified().await;
        }
    }

    /// Returns whether this process had a read backlog when bytes last arrived, or shortly before:
    /// the peer may have had more to send than the network buffers in between would take.
    pub(super) fn had_backlog(&self) -> bool {
        let (backlog_at, received_at) = (&self.backlog_at, &self.received_at);
        match backlog_at.load(Ordering::Relaxed) {
            NEVER => false,
            backlog_at => {
                received_at
                    .load(Ordering::Relaxed)
                    .saturating_sub(backlog_at)
                    <= CATCHING_UP_MS
            }
        }
    }

    /// Records a read: whether it leaves a backlog, whether a value has begun or ended in it, and
    /// how many bytes have arrived of the one that is not whole yet.
    fn record_read(&self, had_backlog: bool, has_boundary: bool, arrived: u64) {
        let millis = self.now();
        self.received_at.store(millis, Ordering::Relaxed);
        if has_boundary {
            self.value_at.store(millis, Ordering::Relaxed);
        }
        self.arrived.store(arrived, Ordering::Release);
        if had_backlog {
            self.backlog_at.store(millis, Ordering::Relaxed);
        }
    }

    /// Records that bytes of the peer may not have arrived, or arrived late: the connection was
    /// reset, or this process was suspended when it ended.
    pub(super) fn mark_incomplete(&self) {
        self.is_incomplete.store(true, Ordering::Relaxed);
    }

    /// Returns whether bytes of the peer may not have arrived, or arrived late.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_incomplete.load(Ordering::Relaxed)
    }

    /// Ends the connection, because Redis has ended a subscription that this process needs.
    pub(super) fn end_unsubscribed(&self) {
        self.is_unsubscribed.store(true, Ordering::Relaxed);
        self.end();
    }

    /// Returns whether the connection has ended for that reason.
    pub(super) fn is_unsubscribed(&self) -> bool {
        self.is_unsubscribed.load(Ordering::Relaxed)
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.ended.notify_one();
    }
}

/// The number of bytes of the first error that are kept.
const LONGEST_ERROR: usize = 200;

/// The value for no time.
const NEVER: u64 = u64::MAX;

/// The number of bytes, from reads in a row that each fill their buffer, that make a backlog: less
/// than the first window of a TCP connection over Ethernet (64,240 bytes on Linux), the smallest
/// that there is. With less, the peer had nothing left to send.
const BACKLOG: u64 = 32 * 1024;

/// How long after a backlog the peer may still have data to send, although reads are short again,
/// in milliseconds: Redis alternates between its clients when it writes.
const CATCHING_UP_MS: u64 = 100;

/// The maximum size of one read, in bytes. Its content is handled before anything else runs on this
/// thread.
const CHUNK: usize = 16 * 1024;

/// The maximum size of one read, in bytes, while every message has many receivers: about 45 short
/// messages, less than the 128 that a receiver handles before it yields.
const BUSY_CHUNK: usize = 4 * 1024;

/// The number of deliveries to mailboxes that a connection makes before it yields to other tasks.
const DELIVERIES_PER_POLL: u64 = 4096;

/// The interval at which a stream asks again whether receivers have room.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// A receiver of Redis' pushes.
pub(crate) trait PushReceiver: Send + Sync + 'static {
    /// Handles a push. It runs inside the connection's driver and must not block.
    fn push(&self, kind: PushKind, data: Vec<Value>);

    /// Returns whether this process needs the subscription to a sharded channel that Redis has
    /// ended. Then the connection is replaced: all its subscriptions are renewed, and the gap is
    /// handled as any other. Redis ends them without a request when the slot of the channel is
    /// assigned to a node, be it the same one; and a request under way may have taken the end of
    /// one for its own reply.
    fn needs(&self, _channel: &[u8]) -> bool {
        false
    }

    /// Returns how many deliveries to receivers were made so far.
    fn deliveries(&self) -> u64;

    /// Returns whether the receivers have room for more. While they have not, nothing is read.
    fn has_room(&self) -> bool;
}

/// An inbox that ignores all pushes.
pub(crate) struct NoInbox;

impl PushReceiver for NoInbox {
    fn push(&self, _: PushKind, _: Vec<Value>) {}

    fn deliveries(&self) -> u64 {
        0
    }

    fn has_room(&self) -> bool {
        true
    }
}

/// A stream that records its activity in a [`Activity`], ends at a value that is too large, and
/// yields to its receivers: a burst must not fill the mailboxes of a thousand consumers before they
/// have been scheduled to empty them.
pub(super) struct MonitoredStream<S> {
    io: S,
    activity: Arc<Activity>,
    inbox: Arc<dyn PushReceiver>,
    /// The count of deliveries when the stream last yielded.
    counted: u64,
    is_busy: bool,
    waiting: Option<Pin<Box<Sleep>>>,
    chunk: Box<[u8]>,
    full_reads: FullReads,
    framing: ReplyFraming,
    has_read: bool,
}

/// The number of bytes read since a read last emptied the system's buffer.
///
/// A read that is shorter than its buffer has emptied the system's. A pending read proves less: the
/// runtime also suspends a task that has read much.
#[derive(Default)]
struct FullReads {
    bytes: u64,
    is_over: bool,
}

impl FullReads {
    /// Records one read; returns whether the bytes read in a row make a backlog.
    fn record(&mut self, read: usize, room: usize) -> bool {
        if mem::replace(&mut self.is_over, read < room) {
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(read as u64);
        self.bytes >= BACKLOG
    }
}

impl<S> MonitoredStream<S> {
    /// Values may have `max_value` bytes.
    pub(super) fn new(
        io: S,
        activity: Arc<Activity>,
        inbox: Arc<dyn PushReceiver>,
        max_value: usize,
    ) -> Self {
        Self {
            io,
            activity,
            counted: inbox.deliveries(),
            inbox,
            is_busy: false,
            waiting: None,
            chunk: vec![0; CHUNK].into_boxed_slice(),
            full_reads: FullReads::default(),
            framing: ReplyFraming::new(max_value),
            has_read: false,
        }
    }

    /// Returns `Ready` when this connection may read.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.inbox.deliveries();
        let made = now.wrapping_sub(self.counted);
        self.is_busy = made >= DELIVERIES_PER_POLL / 4;
        if made >= DELIVERIES_PER_POLL {
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

impl<S: AsyncRead + Unpin> AsyncRead for MonitoredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_turn(cx));
        let most = if self.is_busy { BUSY_CHUNK } else { CHUNK };
        let Self {
            io,
            activity,
            chunk,
            full_reads,
            framing,
            has_read,
            ..
        } = &mut *self;
        let room = most.min(buf.remaining());
        let mut part = ReadBuf::new(&mut chunk[..room]);
        let read = ready!(Pin::new(io).poll_read(cx, &mut part));
        let part = part.filled();
        if read.is_err() || part.is_empty() {
            // TLS reports so that the peer has ended without saying so, after all its bytes.
            let is_end = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
            if read.as_ref().is_err_and(|error| !is_end(error)) {
                activity.mark_incomplete();
            }
            activity.end();
            return Poll::Ready(read);
        }
        if !mem::replace(has_read, true) {
            activity.record_first(part);
        }
        match framing.read(part) {
            Ok(has_boundary) => {
                let had_backlog = full_reads.record(part.len(), room);
                activity.record_read(had_backlog, has_boundary, framing.arrived());
                buf.put_slice(part);
                Poll::Ready(Ok(()))
            }
            Err(malformed) => {
                _ = activity.malformed.set(malformed);
                activity.end();
                let error = io::Error::new(io::ErrorKind::InvalidData, malformed.to_string());
                Poll::Ready(Err(error))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MonitoredStream<S> {
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
impl<S> Drop for MonitoredStream<S> {
    fn drop(&mut self) {
        self.activity.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether the last of these reads ends in a backlog; each is the bytes read and the
    /// room in the buffer.
    fn is_backlog(reads: &[(usize, usize)]) -> bool {
        let mut full_reads = FullReads::default();
        reads
            .iter()
            .fold(false, |_, (read, room)| full_reads.record(*read, *room))
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
        assert!(
            is_backlog(&[full, full, (10, CHUNK)]),
            "the end of the full reads"
        );
        assert!(!is_backlog(&[full, full, (10, CHUNK), (10, CHUNK)]));
        assert!(is_backlog(&[(BUSY_CHUNK, BUSY_CHUNK); 8]));
    }

    #[test]
    fn a_backlog_counts_until_bytes_arrive_without_one() {
        let activity = Activity::new();

        activity.record_read(false, true, 0);
        assert!(!activity.had_backlog());
        activity.record_read(true, true, 0);
        activity.record_read(false, true, 0);
        assert!(
            activity.had_backlog(),
            "Redis may still have something to send"
        );
        activity.backlog_at.store(0, Ordering::Relaxed);
        activity
            .received_at
            .store(CATCHING_UP_MS + 1, Ordering::Relaxed);
        assert!(!activity.had_backlog());
    }
}
