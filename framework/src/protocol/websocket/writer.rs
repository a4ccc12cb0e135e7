//! The output of a WebSocket: everything queued for a connection leaves in one write.

use super::{
    outgoing::Sender,
    send_queue::{Outbound, SendQueue},
};
use crate::{message::Close, metric, waker::yield_to_others};
use bytes::{Buf, Bytes};
use std::{
    cell::RefCell,
    io::IoSlice,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// How many bytes are gathered for one write. More would only wait in the kernel.
const BATCH: usize = 64 * 1024;

/// How many bytes are written at once to a stream of HTTP/2, of which hyper and h2 hold up to four
/// writes. A larger one would become several DATA frames anyway (RFC 9113, 4.2).
const COPIED: usize = 16 * 1024;

/// How many batches are written in a row: other tasks may queue as fast as the client reads.
const BATCHES: usize = 64;

/// How many bytes of the write buffer a thread keeps: not those of one huge message.
const KEPT_BUFFER: usize = 256 * 1024;

thread_local! {
    /// One for all connections of a thread, so that an idle connection holds none.
    static WRITING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Payloads of at least this size, in bytes, are written without a copy: the members of a group
/// share them. A smaller one is cheaper to copy.
const SHARED: usize = 16 * 1024;

/// How many pongs may wait to be written.
const PONGS: usize = 64;

/// The pending output of this side besides its messages: control frames, and bytes that the socket
/// did not accept yet.
#[derive(Default)]
pub(super) struct Writer {
    /// Boxed, since most connections never have any.
    rest: Option<Box<Batch<Vec<u8>>>>,
    ping: bool,
    pongs: Vec<Bytes>,
    /// The close frame that is to be written; boxed, since it is the last.
    close: Option<Box<Close>>,
    /// Whether the close frame is written: nothing follows it (RFC 6455, 5.5.1).
    has_closed: bool,
    /// Whether the socket has accepted bytes since the last call of `is_stuck`.
    has_written: bool,
    /// The same, since the last call of `take_progress`.
    has_progressed: bool,
    /// Whether bytes are not flushed yet: they wait here, or in a stream that buffers (TLS, HTTP/2).
    unflushed: bool,
}

/// Bytes that are written together: encoded frames, and the payload of a last, large one.
struct Batch<H> {
    head: H,
    /// Number of bytes of the head that are written.
    written: usize,
    tail: Bytes,
}

impl Writer {
    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    pub(super) fn pong(&mut self, payload: Bytes) {
        // A client that pings without reading: the newest ping is the one to respond to (RFC 6455,
        // 5.5.3).
        if self.pongs.len() == PONGS {
            self.pongs.clear();
        }
        self.pongs.push(payload);
    }

    /// Queues a close frame for a reason of this side.
    pub(super) fn close(&mut self, close: &Close) {
        self.close.get_or_insert_with(|| Box::new(close.clone()));
    }

    /// Responds to the client's close frame with its own code (RFC 6455, 5.5.1).
    pub(super) fn reply_close(&mut self, close: &Close) {
        self.close(&Close::from(close.code));
    }

    /// Returns whether a ping or pong is to be written.
    pub(super) fn has_controls(&self) -> bool {
        self.ping || !self.pongs.is_empty()
    }

    /// Returns whether bytes wait for the client and it has accepted none since the last call.
    pub(super) fn is_stuck(&mut self) -> bool {
        let has_written = std::mem::take(&mut self.has_written);
        self.unflushed && !has_written
    }

    /// Returns whether the socket has accepted bytes since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progressed)
    }

    /// Writes control frames, and the messages queued at `sender`; pending while the socket is
    /// full.
    pub(super) fn poll_write<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        sender: Option<&Sender>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Close>> {
        for _ in 0..BATCHES {
            if let Some(mut rest) = self.rest.take()
                && self.poll_batch(&mut rest, io, cx)?.is_pending()
            {
                self.rest = Some(rest);
                return Poll::Pending;
            }
            let complete: Poll<Result<bool, Close>> = with_output(|output| {
                let tail = self.gather(sender, output, cx);
                // A full batch: there may be more.
                let is_last = output.len() < BATCH && tail.is_empty();
                self.unflushed |= !output.is_empty();
                let mut batch = Batch {
                    head: &mut *output,
                    written: 0,
                    tail,
                };
                if self.poll_batch(&mut batch, io, cx)?.is_pending() {
                    self.rest = Some(Box::new(batch.into_rest()));
                    return Poll::Pending;
                }
                Poll::Ready(Ok(is_last))
            });
            if ready!(complete)? {
                if self.unflushed {
                    ready!(Pin::new(io).poll_flush(cx)).map_err(|_| gone())?;
                    self.unflushed = false;
                }
                return Poll::Ready(Ok(()));
            }
        }
        yield_to_others(cx);
        Poll::Pending
    }

    /// Writes a batch; pending while the socket is full.
    fn poll_batch<IO: AsyncWrite + Unpin, H: AsRef<[u8]>>(
        &mut self,
        batch: &mut Batch<H>,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Close>> {
        while !batch.is_empty() {
            ready!(batch.poll_write(io, cx))?;
            self.has_written = true;
            self.has_progressed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Encodes the next output; returns the payload that follows it.
    fn gather(&mut self, sender: Option<&Sender>, output: &mut Vec<u8>, cx: &Context<'_>) -> Bytes {
        if self.has_closed {
            return Bytes::new();
        }
        for payload in std::mem::take(&mut self.pongs) {
            control_frame(Control::Pong, &payload, output);
        }
        if std::mem::take(&mut self.ping) {
            control_frame(Control::Ping, &[], output);
        }
        if let Some(sender) = sender {
            match sender.drain(cx, |queue| frames(queue, output)) {
                // More are queued: they come before a close frame.
                Frames::Batch => return Bytes::new(),
                // Nothing may come between the header of a frame and its payload.
                Frames::Payload(payload) => return payload,
                Frames::All(close) => {
                    if let Some(close) = close {
                        self.close(&close);
                    }
                }
            }
        }
        if let Some(close) = &self.close {
            control_frame(Control::Close, &close_payload(close), output);
            self.has_closed = true;
        }
        Bytes::new()
    }
}

impl<H: AsRef<[u8]>> Batch<H> {
    fn is_empty(&self) -> bool {
        self.written == self.head.as_ref().len() && self.tail.is_empty()
    }

    fn poll_write<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Close>> {
        let head = &self.head.as_ref()[self.written..];
        let tail = &self.tail[..self.tail.len().min(BATCH)];
        // A stream of HTTP/2 accepts, and copies, all that it is given.
        let copies = !io.is_write_vectored();
        let io = Pin::new(io);
        let writing = match (head.is_empty(), tail.is_empty()) {
            (false, _) if copies => io.poll_write(cx, &head[..head.len().min(COPIED)]),
            (true, _) if copies => io.poll_write(cx, &tail[..tail.len().min(COPIED)]),
            (_, true) => io.poll_write(cx, head),
            (true, false) => io.poll_write(cx, tail),
            (false, false) => io.poll_write_vectored(cx, &[IoSlice::new(head), IoSlice::new(tail)]),
        };
        let Ok(count @ 1..) = ready!(writing) else {
            return Poll::Ready(Err(gone()));
        };
        metric::ByteCounters::websocket().sent(count);
        let of_head = count.min(head.len());
        self.written += of_head;
        self.tail.advance(count - of_head);
        Poll::Ready(Ok(()))
    }

    /// Returns what is not written yet.
    fn into_rest(self) -> Batch<Vec<u8>> {
        Batch {
            head: self.head.as_ref()[self.written..].to_vec(),
            written: 0,
            tail: self.tail,
        }
    }
}

/// What was taken from a queue.
enum Frames {
    /// As many frames as are written at once.
    Batch,
    /// Frames, and the header of one with this payload.
    Payload(Bytes),
    /// All frames, and the close that follows them.
    All(Option<Close>),
}

/// Encodes queued messages, up to a batch or a payload that is not copied.
fn frames(queue: &mut SendQueue, output: &mut Vec<u8>) -> Frames {
    while output.len() < BATCH {
        let Some(message) = queue.pop() else {
            return Frames::All(queue.close().cloned());
        };
        let (is_text, is_deflated) = match &message {
            Outbound::Plain(message) => (message.is_text(), false),
            Outbound::Deflated { is_text, .. } => (*is_text, true),
        };
        let data = if is_text { Data::Text } else { Data::Binary };
        let header = FrameHeader {
            rsv1: is_deflated,
            opcode: OpCode::Data(data),
            ..FrameHeader::default()
        };
        let payload = message.payload();
        encode_header(header, payload.len(), output);
        if payload.len() >= SHARED {
            return Frames::Payload(payload.clone());
        }
        output.extend_from_slice(payload);
    }
    Frames::Batch
}

/// Returns the close frame of a server.
#[cfg(feature = "proxy")]
pub(crate) fn close_frame(close: &Close) -> Vec<u8> {
    let mut frame = Vec::new();
    control_frame(Control::Close, &close_payload(close), &mut frame);
    frame
}

/// Returns the payload of a close frame: nothing for a close without a code.
fn close_payload(close: &Close) -> Vec<u8> {
    if close.code == Close::NO_STATUS {
        return Vec::new();
    }
    let mut payload = Vec::with_capacity(2 + close.reason().len());
    payload.extend_from_slice(&close.code.to_be_bytes());
    payload.extend_from_slice(close.reason().as_bytes());
    payload
}

fn control_frame(control: Control, payload: &[u8], output: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode: OpCode::Control(control),
        ..FrameHeader::default()
    };
    encode_header(header, payload.len(), output);
    output.extend_from_slice(payload);
}

fn encode_header(header: FrameHeader, length: usize, output: &mut Vec<u8>) {
    let written = header.format(length as u64, output);
    written.expect("writing to a Vec cannot fail");
}

fn gone() -> Close {
    Close::from(Close::ABNORMAL)
}

/// Calls `write` with this thread's write buffer, which is empty.
fn with_output<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    WRITING.with_borrow_mut(|output| {
        output.clear();
        let written = write(output);
        if output.capacity() > KEPT_BUFFER {
            *output = Vec::new();
        }
        written
    })
}

#[cfg(test)]
mod tests {
    use super::{super::WebSocketConfig, *};
    use crate::message::Message;
    use std::{future::poll_fn, io};

    /// A stream that accepts a number of bytes at a time, and is full after each.
    struct Narrow {
        accepts: usize,
        is_full: bool,
        received: Vec<u8>,
        /// Where the bytes were that were written last.
        last: *const u8,
        flushes: usize,
        /// Whether it buffers, and the client reads nothing.
        holds_back: bool,
    }

    impl Narrow {
        fn new(accepts: usize) -> Self {
            Self {
                accepts,
                is_full: false,
                received: Vec::new(),
                last: std::ptr::null(),
                flushes: 0,
                holds_back: false,
            }
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.is_full = !self.is_full;
            if !self.is_full {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let before = self.received.len();
            for slice in slices {
                let room = self.accepts - (self.received.len() - before);
                self.received
                    .extend_from_slice(&slice[..room.min(slice.len())]);
                self.last = slice.as_ptr();
            }
            Poll::Ready(Ok(self.received.len() - before))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            match self.holds_back {
                true => Poll::Pending,
                false => Poll::Ready(Ok(())),
            }
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    async fn write(writer: &mut Writer, sender: &Sender, io: &mut Narrow) {
        let writing = poll_fn(|cx| writer.poll_write(io, Some(sender), cx)).await;
        assert!(writing.is_ok());
    }

    #[tokio::test]
    async fn small_and_large_frames_arrive_whole_and_in_order_however_little_a_socket_accepts() {
        let payloads = [1, SHARED, 2, SHARED + 1, SHARED - 1, 3].map(|length| vec![7_u8; length]);
        let mut expected = Vec::new();
        control_frame(Control::Ping, &[], &mut expected);
        for payload in &payloads {
            let header = FrameHeader {
                opcode: OpCode::Data(Data::Binary),
                ..FrameHeader::default()
            };
            encode_header(header, payload.len(), &mut expected);
            expected.extend_from_slice(payload);
        }
        control_frame(Control::Close, &1000_u16.to_be_bytes(), &mut expected);

        for accepts in [1, 3, 1000, SHARED + 7, usize::MAX / 2] {
            let sender = Sender::new(WebSocketConfig::shared(), None);
            let (mut writer, mut io) = (Writer::default(), Narrow::new(accepts));
            writer.ping();
            for payload in &payloads {
                sender.send(Message::from(payload.clone())).await.unwrap();
            }
            sender.close(Close::NORMAL).unwrap();

            write(&mut writer, &sender, &mut io).await;

            assert!(io.received == expected, "{accepts} at a time");
        }
    }

    #[tokio::test]
    async fn a_large_payload_is_written_without_a_copy_even_after_a_full_socket() {
        let sender = Sender::new(WebSocketConfig::shared(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(2));
        let payload = Bytes::from(vec![7; SHARED]);
        sender.send(Message::Binary(payload.clone())).await.unwrap();

        write(&mut writer, &sender, &mut io).await;

        let end = payload.as_ptr_range().end;
        assert!(payload.as_ptr_range().contains(&io.last) && io.last < end);
    }

    #[tokio::test]
    async fn what_follows_a_batch_of_exactly_the_largest_size_is_written_too() {
        const HEADER: usize = 4;
        let config = WebSocketConfig::new().send_buffer(2 * BATCH);
        let sender = Sender::new(config.into(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(usize::MAX / 2));
        let frames = BATCH / (SHARED / 2);
        for _ in 0..frames {
            let payload = vec![7; SHARED / 2 - HEADER];
            sender.send(Message::from(payload)).await.unwrap();
        }
        sender.send(Message::from(vec![7])).await.unwrap();

        write(&mut writer, &sender, &mut io).await;

        assert_eq!(io.received.len(), BATCH + 3);
    }

    #[tokio::test]
    async fn a_close_frame_follows_all_batches_that_are_queued() {
        let config = WebSocketConfig::new().send_buffer(10 * BATCH);
        let sender = Sender::new(config.into(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(usize::MAX / 2));
        let payload = vec![7; 1000];
        let count = 3 * BATCH / payload.len();
        for _ in 0..count {
            sender.send(Message::from(payload.clone())).await.unwrap();
        }
        writer.reply_close(&Close::NORMAL.into());

        write(&mut writer, &sender, &mut io).await;

        let close = [0x88, 2, 0x03, 0xe8];
        assert_eq!(io.received.len(), count * (4 + payload.len()) + close.len());
        assert!(io.received.ends_with(&close));
    }

    #[tokio::test]
    async fn the_control_frames_of_the_rfc_are_written_byte_for_byte() {
        let sender = Sender::new(WebSocketConfig::shared(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(usize::MAX / 2));
        assert!(!writer.has_controls());
        writer.pong(Bytes::from_static(b"Hello"));
        writer.pong(Bytes::new());
        assert!(writer.has_controls());
        writer.close(&Close::new(Close::AWAY, "bye"));

        write(&mut writer, &sender, &mut io).await;
        assert!(!writer.has_controls());
        writer.ping();
        assert!(writer.has_controls());
        writer.close(&Close::NORMAL.into());
        write(&mut writer, &sender, &mut io).await;

        // Nothing follows a close frame.
        assert_eq!(io.received, b"\x8a\x05Hello\x8a\x00\x88\x05\x03\xe9bye");
    }

    #[tokio::test]
    async fn a_close_frame_is_answered_with_its_code_alone() {
        for (code, expected) in [
            (1001, &b"\x88\x02\x03\xe9"[..]),
            (Close::NO_STATUS, b"\x88\x00"),
        ] {
            let sender = Sender::new(WebSocketConfig::shared(), None);
            let (mut writer, mut io) = (Writer::default(), Narrow::new(usize::MAX / 2));
            writer.reply_close(&Close::new(code, "bye"));

            write(&mut writer, &sender, &mut io).await;

            assert_eq!(io.received, expected, "{code}");
        }
    }

    #[tokio::test]
    async fn a_client_that_pings_without_reading_gets_a_response_to_its_newest_pings() {
        let sender = Sender::new(WebSocketConfig::shared(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(usize::MAX / 2));
        for number in 0..=PONGS {
            writer.pong(Bytes::from(vec![number as u8]));
        }

        write(&mut writer, &sender, &mut io).await;

        assert_eq!(io.received, [0x8a, 1, PONGS as u8]);
    }

    #[tokio::test]
    async fn a_stream_is_flushed_after_output_and_only_then() {
        let sender = Sender::new(WebSocketConfig::shared(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(3));

        write(&mut writer, &sender, &mut io).await;
        assert_eq!(io.flushes, 0);
        sender.send(Message::text("hello")).await.unwrap();
        write(&mut writer, &sender, &mut io).await;
        assert_eq!(io.flushes, 1);
        write(&mut writer, &sender, &mut io).await;
        assert_eq!(io.flushes, 1);
    }

    #[tokio::test]
    async fn a_writer_is_stuck_while_its_client_accepts_nothing() {
        let sender = Sender::new(WebSocketConfig::shared(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(3));
        let mut poll = |writer: &mut Writer| {
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            writer.poll_write(&mut io, Some(&sender), cx).is_pending()
        };
        assert!(!poll(&mut writer));
        assert!(!writer.is_stuck(), "it has nothing to write");
        sender.send(Message::text("hello")).await.unwrap();

        // The client accepts three bytes of seven, then another three, and then the last one.
        for _ in 0..2 {
            assert!(poll(&mut writer));
            assert!(!writer.is_stuck());
            assert!(writer.is_stuck());
        }
        assert!(!poll(&mut writer));
        assert!(!writer.is_stuck());
    }

    #[tokio::test]
    async fn a_writer_is_stuck_while_its_client_reads_nothing_of_what_a_stream_buffers() {
        let sender = Sender::new(WebSocketConfig::shared(), None);
        let (mut writer, mut io) = (Writer::default(), Narrow::new(usize::MAX / 2));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        io.holds_back = true;
        sender.send(Message::text("hello")).await.unwrap();

        assert!(writer.poll_write(&mut io, Some(&sender), cx).is_pending());
        assert!(!writer.is_stuck(), "the stream has just accepted bytes");
        assert!(writer.poll_write(&mut io, Some(&sender), cx).is_pending());
        assert!(writer.is_stuck());

        io.holds_back = false;
        // The first poll finds the socket full.
        _ = writer.poll_write(&mut io, Some(&sender), cx);
        assert!(writer.poll_write(&mut io, Some(&sender), cx).is_ready());
        assert!(!writer.is_stuck());
    }
}
