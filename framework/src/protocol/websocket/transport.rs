//! A WebSocket over a byte stream: reads, writes, and sends heartbeats.

use super::{
    config::WebSocketConfig,
    extension::Deflate,
    heartbeat::{HeartbeatAction, Liveness},
    lifetime::Lifetime,
    outgoing::Sender,
    rate_limit::Rate,
    reader::{Control, Incoming, Reader},
    socket::Transport,
    writer::Writer,
};
use crate::{
    byte_stream::{ByteStream, HangUpTimer, has_hung_up},
    message::{Close, Message},
    metric,
    rejection_log::{Peer, Rejected, Rule},
    waker::yield_to_others,
};
use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// The server's end of a WebSocket over a byte stream.
pub(crate) struct ByteTransport {
    io: Box<dyn ByteStream>,
    reader: Reader,
    writer: Writer,
    liveness: Liveness,
    timer: Option<Pin<Box<Sleep>>>,
    rate: Option<Box<LimitedRate>>,
    lifetime: Option<Box<Lifetime>>,
    /// Whether this side has closed without waiting for the client, which may still be sending:
    /// what it sends is read and ignored.
    discards_input: bool,
    peer: Peer,
    config: Arc<WebSocketConfig>,
}

/// A client's rate, and the pause of a client that sends too fast.
struct LimitedRate {
    rate: Rate,
    closes: bool,
    pause: Option<Pin<Box<Sleep>>>,
    /// Runs during a pause.
    check: HangUpTimer,
    /// Until when a client that hung up during a pause is read.
    grace: Option<Pin<Box<Sleep>>>,
}

/// The size of the read buffer, in bytes. A socket's default receive buffer holds more; a larger
/// read buffer was not faster.
const READ_BUFFER: usize = 64 * 1024;

thread_local! {
    /// One for all connections of a thread, so that an idle connection holds none.
    static READING: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER].into_boxed_slice());
}

/// How often the socket is read in a row without a complete message.
const READS: usize = 16;

/// How many control frames and fragments are handled in a row: one read may contain 10,000.
const FRAMES: usize = 256;

impl ByteTransport {
    /// Creates a transport; `early` are the bytes that were read after the handshake.
    pub(crate) fn new(
        io: Box<dyn ByteStream>,
        early: &[u8],
        config: Arc<WebSocketConfig>,
        deflate: Option<Deflate>,
        peer: Peer,
    ) -> Self {
        let (size, fragments) = (config.max_message_size, config.max_fragments);
        let mut reader = Reader::new(size, fragments, deflate.is_some());
        reader.feed(early);
        Self {
            io,
            reader,
            writer: Writer::default(),
            liveness: Liveness::default(),
            timer: config
                .heartbeat
                .map(|heartbeat| Box::pin(sleep(heartbeat.interval))),
            rate: config.rate_limit.map(|limit| {
                Box::new(LimitedRate {
                    rate: Rate::new(limit, Instant::now()),
                    closes: limit.closes(),
                    pause: None,
                    check: HangUpTimer::default(),
                    grace: None,
                })
            }),
            lifetime: Lifetime::new(&config),
            discards_input: false,
            peer,
            config,
        }
    }

    /// Reads once. The error is the close of a connection that has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let Self { io, reader, .. } = self;
        let read = READING.with_borrow_mut(|bytes| {
            let mut buffer = ReadBuf::new(bytes);
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            reader.feed(buffer.filled());
            Poll::Ready(Ok::<_, std::io::Error>(buffer.filled().len()))
        });
        match ready!(read) {
            Ok(bytes @ 1..) => {
                metric::ByteCounters::websocket().received(bytes);
                self.liveness.received();
                Poll::Ready(self.record_rate(bytes))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(Close::from(Close::ABNORMAL))),
        }
    }

    /// Sends a ping to a silent client when one is due; returns an error if the client does not
    /// respond to it. While nothing is read, its response is not seen.
    fn poll_heartbeat(&mut self, is_reading: bool, cx: &mut Context<'_>) -> Result<(), Close> {
        let (Some(timer), Some(heartbeat)) = (&mut self.timer, self.config.heartbeat) else {
            return Ok(());
        };
        while timer.as_mut().poll(cx).is_ready() {
            // A client that sends but does not read is disconnected like a silent one.
            let is_stuck = self.writer.is_stuck();
            if is_stuck {
                self.liveness.disregard();
            }
            let action = match is_reading || is_stuck {
                true => self.liveness.tick(),
                // So that TCP notices a client that has vanished.
                false => self.liveness.ping_unheard(),
            };
            let wait = match action {
                HeartbeatAction::Wait => heartbeat.interval,
                HeartbeatAction::Ping => {
                    self.writer.ping();
                    heartbeat.timeout
                }
                HeartbeatAction::Disconnect => {
                    return Err(Close::new(Close::ABNORMAL, "the heartbeat timed out"));
                }
            };
            timer.set(sleep(wait));
        }
        Ok(())
    }

    /// Records what was received, for the client's rate limit.
    fn record_rate(&mut self, bytes: usize) -> Result<(), Close> {
        let frames = self.reader.take_frames();
        let Some(limited) = &mut self.rate else {
            return Ok(());
        };
        let Some(wait) = limited.rate.record(frames, bytes, Instant::now()) else {
            return Ok(());
        };
        if !limited.closes {
            limited.pause = Some(Box::pin(sleep(wait)));
            return Ok(());
        }
        Err(self.end(
            Close::new(Close::POLICY, "the client sends too fast"),
            Rule::Rate,
        ))
    }

    /// Waits until a client that sends too fast may send again. What one that has hung up sent
    /// before is read for a while, at the same rate; the error is the close of its connection.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let Some(limited) = &mut self.rate else {
            return Poll::Ready(Ok(()));
        };
        if let Some(pause) = &mut limited.pause
            && pause.as_mut().poll(cx).is_pending()
        {
            limited.check.poll(cx);
            if limited.grace.is_none() && has_hung_up(&*self.io) {
                limited.grace = Some(Box::pin(sleep(self.config.grace)));
            }
            let Some(grace) = &mut limited.grace else {
                return Poll::Pending;
            };
            let ended = grace.as_mut().poll(cx);
            return ended.map(|()| Err(Close::from(Close::ABNORMAL)));
        }
        limited.pause = None;
        Poll::Ready(Ok(()))
    }

    /// Closes the connection for a rule that the client has broken.
    fn end(&mut self, close: Close, rule: Rule) -> Close {
        self.writer.close(&close);
        self.discards_input = true;
        let outcome = Rejected::Close(close.code);
        self.peer.log_rejection(rule, outcome, Some(close.reason()));
        close
    }

    fn poll_timers(&mut self, is_reading: bool, cx: &mut Context<'_>) -> Result<(), Close> {
        if let Some(lifetime) = &mut self.lifetime
            && let Poll::Ready(close) = lifetime.poll(self.config.idle_timeout, cx)
        {
            self.writer.close(&close);
            self.discards_input = true;
            return Err(close);
        }
        self.poll_heartbeat(is_reading, cx)
    }

    /// Polls what happens while there is nothing to read, or while it is not read.
    fn poll_idle(
        &mut self,
        is_reading: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Message, Close>> {
        self.poll_timers(is_reading, cx)?;
        if self.writer.has_controls() {
            // A ping or pong is written now: otherwise it would wait for the next event. The driver
            // flushes what the consumer sends.
            _ = self.writer.poll_write(&mut self.io, None, cx)?;
        }
        Poll::Pending
    }

    fn control(&mut self, control: Control) -> Result<(), Close> {
        match control {
            Control::Ping(payload) => self.writer.pong(payload),
            Control::Pong => {}
            Control::Close(close) => {
                self.writer.reply_close(&close);
                return Err(close);
            }
        }
        Ok(())
    }
}

impl Transport for ByteTransport {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Close>> {
        let (mut reads, mut frames) = (0, 0);
        loop {
            if frames == FRAMES {
                yield_to_others(cx);
                return self.poll_idle(true, cx);
            }
            match self.poll_pause(cx) {
                Poll::Ready(paused) => paused?,
                Poll::Pending => return self.poll_idle(false, cx),
            }
            match self.reader.next() {
                Ok(Some(incoming)) => {
                    frames += 1;
                    self.record_rate(0)?;
                    match incoming {
                        Incoming::Fragment => {}
                        Incoming::Message(message) => {
                            if let Some(lifetime) = &mut self.lifetime {
                                lifetime.received();
                            }
                            return Poll::Ready(Ok(message));
                        }
                        Incoming::Control(control) => self.control(control)?,
                    }
                }
                Ok(None) => {
                    if reads == READS {
                        yield_to_others(cx);
                    } else if let Poll::Ready(filled) = self.poll_fill(cx) {
                        filled?;
                        reads += 1;
                        continue;
                    }
                    return self.poll_idle(true, cx);
                }
                Err(violation) => {
                    let rule = match violation.code {
                        Close::TOO_LARGE => Rule::MessageSize,
                        _ => Rule::Protocol,
                    };
                    return Poll::Ready(Err(self.end(violation, rule)));
                }
            }
        }
    }

    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let flushed = self.writer.poll_write(&mut self.io, Some(sender), cx);
        if self.writer.take_progress() {
            sender.record_progress();
        }
        if flushed.is_pending() {
            // A close that another task queues still wakes this one.
            sender.drain(cx, |_| ());
        }
        flushed
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        if has_hung_up(&*self.io) {
            return Poll::Ready(Ok(()));
        }
        self.poll_idle(false, cx).map_ok(|_| ())
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        // Whether the client is read is unknown here, so its silence proves nothing.
        ByteTransport::poll_timers(self, false, cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.writer.poll_write(&mut self.io, None, cx)).is_err() {
            return Poll::Ready(());
        }
        if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        // Closing a socket with unread bytes resets it, and the reset may overtake our close frame:
        // read until a client that still sends has seen it. The caller bounds the wait.
        let mut reads = 0;
        while self.discards_input {
            if reads == READS {
                yield_to_others(cx);
                return Poll::Pending;
            }
            reads += 1;
            let Self { io, .. } = self;
            let read = READING.with_borrow_mut(|bytes| {
                let mut buffer = ReadBuf::new(bytes);
                ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok::<_, std::io::Error>(buffer.filled().len()))
            });
            self.discards_input = matches!(ready!(read), Ok(1..));
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;
    use std::{
        io,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
    };

    /// A client that sends the same frames without end.
    struct Flood {
        frames: &'static [u8],
        reads: Arc<AtomicUsize>,
    }

    impl AsyncRead for Flood {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.reads.fetch_add(1, Relaxed);
            while buffer.remaining() >= self.frames.len() {
                buffer.put_slice(self.frames);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Flood {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_flood_of_frames_without_a_message_is_not_read_without_a_pause() {
        for (kind, frames) in [
            ("ping", &b"\x89\x80\0\0\0\0"[..]),
            ("pong", b"\x8a\x80\0\0\0\0"),
            ("fragment", b"\x00\x80\0\0\0\0"),
        ] {
            let reads = Arc::<AtomicUsize>::default();
            let flood = Flood {
                frames,
                reads: reads.clone(),
            };
            let first_fragment = b"\x02\x80\0\0\0\0";
            let config = WebSocketConfig::shared();
            let peer = Peer::without_request(None);
            let mut transport =
                ByteTransport::new(Box::new(flood), first_fragment, config, None, peer);

            let received = transport.poll_receive(&mut Context::from_waker(&noop_waker()));

            assert!(received.is_pending(), "{kind}");
            assert_eq!(reads.load(Relaxed), 1, "{kind}");
        }
    }
}
