//! A WebSocket over a byte stream: reads, writes, and sends heartbeats.

use super::{
    config::WebSocketConfig,
    extension::Deflate,
    heartbeat::{HeartbeatAction, Liveness},
    outgoing::Sender,
    reader::{Control, Incoming, Reader},
    socket::Transport,
    thread_buffers::with_input,
    writer::Writer,
};
use crate::{
    message::{Close, Message},
    refusal_log::{Outcome, Peer, Rule},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The server's end of a WebSocket over a byte stream.
pub(crate) struct ByteTransport<IO> {
    io: IO,
    reader: Reader,
    writer: Writer,
    liveness: Liveness,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether the client broke the protocol: it may still be sending then.
    broke_protocol: bool,
    peer: Peer,
    config: Arc<WebSocketConfig>,
}

/// How often the socket is read in a row without a complete message.
const READS: usize = 16;

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> ByteTransport<IO> {
    /// Creates a transport; `early` are the bytes that were read after the handshake.
    pub(crate) fn new(
        io: IO,
        early: &[u8],
        config: Arc<WebSocketConfig>,
        deflate: Option<Deflate>,
        peer: Peer,
    ) -> Self {
        let mut reader = Reader::new(config.max_message_size, deflate.is_some());
        reader.feed(early);
        Self {
            io,
            reader,
            writer: Writer::default(),
            liveness: Liveness::default(),
            timer: config
                .heartbeat
                .map(|heartbeat| Box::pin(sleep(heartbeat.interval))),
            broke_protocol: false,
            peer,
            config,
        }
    }

    /// Reads once. The error is the close of a connection that has ended.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let Self { io, reader, .. } = self;
        let read = with_input(|bytes| {
            let mut buffer = ReadBuf::new(bytes);
            ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
            reader.feed(buffer.filled());
            Poll::Ready(Ok::<_, std::io::Error>(buffer.filled().len()))
        });
        match ready!(read) {
            Ok(1..) => {
                self.liveness.heard();
                Poll::Ready(Ok(()))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(Close::from(Close::ABNORMAL))),
        }
    }

    /// Sends a ping to a silent client when one is due; returns an error if the client does not
    /// respond to it.
    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        let (Some(timer), Some(heartbeat)) = (&mut self.timer, self.config.heartbeat) else {
            return Ok(());
        };
        while timer.as_mut().poll(cx).is_ready() {
            // A client that sends but does not read is disconnected like a silent one.
            if self.writer.is_stuck() {
                self.liveness.disregard();
            }
            let wait = match self.liveness.tick() {
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

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Transport for ByteTransport<IO> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Close>> {
        let mut reads = 0;
        loop {
            match self.reader.next() {
                Ok(Some(Incoming::Message(message))) => return Poll::Ready(Ok(message)),
                Ok(Some(Incoming::Control(control))) => self.control(control)?,
                Ok(None) => {
                    if reads == READS {
                        // A client that sends much without completing a message: yield to
                        // the other tasks of this thread, and to the heartbeat.
                        cx.waker().wake_by_ref();
                    } else if let Poll::Ready(filled) = self.poll_fill(cx) {
                        filled?;
                        reads += 1;
                        continue;
                    }
                    self.poll_heartbeat(cx)?;
                    if self.writer.has_controls() {
                        // A ping or pong is written now: otherwise it would wait for the next
                        // event. The driver flushes what the consumer sends.
                        _ = self.writer.poll_write(&mut self.io, None, cx)?;
                    }
                    return Poll::Pending;
                }
                Err(violation) => {
                    self.writer.close(&violation);
                    self.broke_protocol = true;
                    let rule = match violation.code {
                        Close::TOO_LARGE => Rule::MessageSize,
                        _ => Rule::Protocol,
                    };
                    let outcome = Outcome::Close(violation.code);
                    self.peer.refused(rule, outcome, Some(&violation.reason));
                    return Poll::Ready(Err(violation));
                }
            }
        }
    }

    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        self.writer.poll_write(&mut self.io, Some(sender), cx)
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        // Nothing is read now, so silence proves nothing.
        self.liveness.heard();
        match self.poll_heartbeat(cx) {
            Ok(()) => Poll::Pending,
            Err(close) => Poll::Ready(close),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.writer.poll_write(&mut self.io, None, cx)).is_err() {
            return Poll::Ready(());
        }
        if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        // Closing a socket with unread bytes resets it, and the reset may overtake our close frame:
        // read until a client that broke the protocol stops sending. The caller bounds the wait.
        while self.broke_protocol {
            let Self { io, .. } = self;
            let read = with_input(|bytes| {
                let mut buffer = ReadBuf::new(bytes);
                ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok::<_, std::io::Error>(buffer.filled().len()))
            });
            self.broke_protocol = matches!(ready!(read), Ok(1..));
        }
        Poll::Ready(())
    }
}
