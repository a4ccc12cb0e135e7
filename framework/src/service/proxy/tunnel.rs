//! A WebSocket that is passed through, byte by byte.

use super::frames::FramePosition;
use crate::{
    byte_stream::{ByteStream, has_hung_up},
    message::Close,
    protocol::{UpgradedStream, close_frame},
};
use std::{
    future::{Future, poll_fn},
    ops::Range,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::ReadBuf,
    time::{Instant, Sleep, sleep},
};

/// How long one side may take to end after the other.
const CLOSING: Duration = Duration::from_secs(5);

/// How many bytes of each direction are under way.
const BUFFER: usize = 8 * 1024;

/// How often a direction is read and written in a row, before other tasks run.
const TURNS: usize = 32;

/// How long the sides of a tunnel may take.
pub(super) struct TunnelLimits {
    /// How long one may read nothing of what waits for it.
    pub(super) write_timeout: Duration,
    /// How long both may take to end once the tunnel is being closed.
    pub(super) close_timeout: Duration,
}

/// Copies between the client and the server until both have ended, one has for 5 s, or one has read
/// nothing for too long of what the other has sent.
///
/// Once `closing` has completed, both get this close after the frame that is under way, and nothing
/// that the other has sent later.
pub(super) async fn run(
    client: UpgradedStream,
    server: UpgradedStream,
    limits: TunnelLimits,
    closing: impl Future<Output = Close>,
) {
    let mut closing = pin!(closing);
    let mut upward = Direction::new(&client);
    let mut downward = Direction::new(&server);
    let (mut client, mut server) = (client.io, server.io);
    let mut is_closing = false;
    let mut end: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if !is_closing && let Poll::Ready(close) = closing.as_mut().poll(cx) {
            is_closing = true;
            downward.close(close_frame(&close));
            upward.close(masked(close_frame(&close)));
            end.get_or_insert_with(|| Box::pin(sleep(limits.close_timeout)));
        }
        let stall = limits.write_timeout;
        let directions = [
            upward.poll(&mut *client, &mut *server, stall, cx),
            downward.poll(&mut *server, &mut *client, stall, cx),
        ];
        if directions.contains(&Poll::Ready(Ended::Stalled)) {
            return Poll::Ready(());
        }
        let done = directions.iter().filter(|direction| direction.is_ready());
        match done.count() {
            0 => {}
            1 => _ = end.get_or_insert_with(|| Box::pin(sleep(CLOSING))),
            _ => return Poll::Ready(()),
        }
        match &mut end {
            Some(end) => end.as_mut().poll(cx),
            None => Poll::Pending,
        }
    })
    .await;
}

/// One direction of a tunnel: from a source to a sink.
struct Direction {
    buffer: Box<[u8]>,
    /// What of the buffer is not written yet.
    rest: Range<usize>,
    stage: CopyStage,
    /// Whether a sink that buffers (TLS, HTTP/2) must still be flushed.
    is_unflushed: bool,
    stall: Option<Box<SinkWait>>,
    gate: Gate,
}

#[derive(Clone, Copy)]
enum CopyStage {
    Copying,
    /// The source has ended, or has failed: there is nobody to tell.
    ShuttingDown,
    Done,
}

/// What a direction has done, or waits for.
enum CopyStep {
    Progress,
    WaitsForSource,
    WaitsForSink,
    Done,
}

/// How a direction has ended.
#[derive(Clone, Copy, PartialEq)]
enum Ended {
    Done,
    /// The sink has read nothing for too long, or for 5 s after the source has gone.
    Stalled,
}

/// A wait for the sink.
struct SinkWait {
    since: Instant,
    alarm: Pin<Box<Sleep>>,
}

/// The place where a close frame is inserted.
#[derive(Default)]
struct Gate {
    position: FramePosition,
    /// The close frame, once there is one.
    close: Option<Vec<u8>>,
    /// Whether a close frame has been inserted, or need not be, since the source has sent one: what
    /// else the source sends is discarded.
    is_shut: bool,
}

impl Direction {
    fn new(source: &UpgradedStream) -> Self {
        let mut buffer = source.early.to_vec();
        let rest = 0..buffer.len();
        buffer.resize(BUFFER.max(rest.end), 0);
        Self {
            buffer: buffer.into(),
            rest,
            stage: CopyStage::Copying,
            is_unflushed: false,
            stall: None,
            gate: Gate::default(),
        }
    }

    /// Inserts a close frame at the next end of a frame.
    fn close(&mut self, frame: Vec<u8>) {
        self.gate.close = Some(frame);
    }

    fn poll(
        &mut self,
        source: &mut dyn ByteStream,
        sink: &mut dyn ByteStream,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        for _ in 0..TURNS {
            match self.step(source, sink, cx) {
                CopyStep::Progress => self.stall = None,
                CopyStep::WaitsForSource => {
                    self.stall = None;
                    return Poll::Pending;
                }
                CopyStep::WaitsForSink => {
                    return self.poll_stall(source, limit, cx).map(|()| Ended::Stalled);
                }
                CopyStep::Done => return Poll::Ready(Ended::Done),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn step(
        &mut self,
        source: &mut dyn ByteStream,
        sink: &mut dyn ByteStream,
        cx: &mut Context<'_>,
    ) -> CopyStep {
        match self.stage {
            CopyStage::Copying => {
                self.insert_close();
                match self.rest.is_empty() {
                    true => self.read(source, sink, cx),
                    false => self.write(sink, cx),
                }
            }
            CopyStage::ShuttingDown => match Pin::new(sink).poll_shutdown(cx) {
                Poll::Ready(_) => self.advance_to(CopyStage::Done),
                Poll::Pending => CopyStep::WaitsForSink,
            },
            CopyStage::Done => CopyStep::Done,
        }
    }

    fn advance_to(&mut self, stage: CopyStage) -> CopyStep {
        self.stage = stage;
        CopyStep::Progress
    }

    /// Replaces what is not written yet by a close frame, if one is due and no frame is under way.
    fn insert_close(&mut self) {
        let gate = &mut self.gate;
        if gate.position.is_between_frames()
            && let Some(close) = gate.close.take()
        {
            gate.is_shut = true;
            self.rest = 0..0;
            if !gate.position.has_closed() {
                self.buffer[..close.len()].copy_from_slice(&close);
                self.rest = 0..close.len();
            }
        }
    }

    /// Reads, with nothing left to write.
    fn read(
        &mut self,
        source: &mut dyn ByteStream,
        sink: &mut dyn ByteStream,
        cx: &mut Context<'_>,
    ) -> CopyStep {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match Pin::new(source).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                if !self.gate.is_shut {
                    self.rest = 0..buffer.filled().len();
                }
                CopyStep::Progress
            }
            Poll::Ready(_) => self.advance_to(CopyStage::ShuttingDown),
            Poll::Pending if !self.is_unflushed => CopyStep::WaitsForSource,
            Poll::Pending => match Pin::new(sink).poll_flush(cx) {
                Poll::Ready(Ok(())) => {
                    self.is_unflushed = false;
                    CopyStep::WaitsForSource
                }
                Poll::Ready(Err(_)) => self.advance_to(CopyStage::Done),
                Poll::Pending => CopyStep::WaitsForSink,
            },
        }
    }

    /// Writes what was read: no further than the frame that is under way, if a close frame is due.
    fn write(&mut self, sink: &mut dyn ByteStream, cx: &mut Context<'_>) -> CopyStep {
        let mut bytes = &self.buffer[self.rest.clone()];
        if self.gate.close.is_some() {
            bytes = &bytes[..self.gate.position.rest_of_frame(bytes)];
        }
        match Pin::new(sink).poll_write(cx, bytes) {
            Poll::Ready(Ok(count @ 1..)) => {
                if !self.gate.is_shut {
                    self.gate.position.pass(&bytes[..count]);
                }
                self.rest.start += count;
                self.is_unflushed = true;
                CopyStep::Progress
            }
            Poll::Ready(_) => self.advance_to(CopyStage::Done),
            Poll::Pending => CopyStep::WaitsForSink,
        }
    }

    /// Polls for the end of a wait for the sink. Meanwhile nothing is read, so the end of the
    /// source, which may be behind bytes that were not read, is looked for.
    fn poll_stall(
        &mut self,
        source: &dyn ByteStream,
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let stall = self.stall.get_or_insert_with(|| {
            Box::new(SinkWait {
                since: Instant::now(),
                alarm: Box::pin(sleep(limit.min(CLOSING))),
            })
        });
        while stall.alarm.as_mut().poll(cx).is_ready() {
            let rest = limit.saturating_sub(stall.since.elapsed());
            if rest.is_zero() || has_hung_up(source) {
                return Poll::Ready(());
            }
            stall.alarm.set(sleep(rest.min(CLOSING)));
        }
        Poll::Pending
    }
}

/// Masks a close frame, as clients have to (RFC 6455, 5.3).
fn masked(frame: Vec<u8>) -> Vec<u8> {
    let key = fastrand::u32(..).to_be_bytes();
    let payload = frame[2..].iter().zip(key.iter().cycle());
    let payload = payload.map(|(byte, key)| byte ^ key);
    let header = [frame[0], frame[1] | 0x80];
    header.into_iter().chain(key).chain(payload).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::future::pending;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::oneshot,
        task::JoinHandle,
    };

    /// A running tunnel with its two ends.
    struct Ends {
        client: DuplexStream,
        server: DuplexStream,
        close: oneshot::Sender<Close>,
        tunnel: JoinHandle<Duration>,
    }

    /// Starts a tunnel whose sides take this many bytes without reading them. Its task returns how
    /// long it ran.
    fn tunnel(room: usize) -> Ends {
        let (client, of_client) = duplex(room);
        let (server, of_server) = duplex(room);
        let (close, closing) = oneshot::channel();
        let stream = |io| UpgradedStream {
            io: Box::new(io),
            early: Bytes::new(),
        };
        let limits = TunnelLimits {
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(3),
        };
        let closing = async {
            match closing.await {
                Ok(close) => close,
                Err(_) => pending().await,
            }
        };
        let began = Instant::now();
        let running = run(stream(of_client), stream(of_server), limits, closing);
        let tunnel = tokio::spawn(async move {
            running.await;
            began.elapsed()
        });
        Ends {
            client,
            server,
            close,
            tunnel,
        }
    }

    async fn read(stream: &mut DuplexStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_frame_follows_the_frame_that_is_under_way_and_nothing_follows_it() {
        let mut ends = tunnel(1024);
        ends.server.write_all(b"\x82\x04ab").await.unwrap();
        assert_eq!(read(&mut ends.client, 4).await, b"\x82\x04ab");

        ends.close.send(Close::new(4000, "bye")).unwrap();
        // The tunnel has the close when it has nothing else to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
        ends.server.write_all(b"cd\x82\x02ef").await.unwrap();

        assert_eq!(read(&mut ends.client, 9).await, b"cd\x88\x05\x0f\xa0bye");
        let mut close = read(&mut ends.server, 11).await;
        assert_eq!(close[..2], [0x88, 0x85]);
        let key = [close[2], close[3], close[4], close[5]];
        let payload = close[6..].iter_mut().zip(key.iter().cycle());
        payload.for_each(|(byte, key)| *byte ^= key);
        assert_eq!(close[6..], *b"\x0f\xa0bye");
        // Nor does the server get anything else of the client.
        ends.client.write_all(b"\x81\x80abcd").await.unwrap();
        ends.client.shutdown().await.unwrap();
        assert_eq!(ends.server.read(&mut [0]).await.unwrap(), 0);
        ends.server.write_all(b"\x88\x00").await.unwrap();
        drop(ends.server);
        assert_eq!(ends.client.read(&mut [0]).await.unwrap(), 0);
        drop(ends.client);
        assert!(ends.tunnel.await.unwrap() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_close_frame_follows_that_of_the_server() {
        let mut ends = tunnel(1024);
        ends.server.write_all(b"\x88\x02\x03\xe8").await.unwrap();
        assert_eq!(read(&mut ends.client, 4).await, b"\x88\x02\x03\xe8");

        ends.close.send(Close::new(4000, "bye")).unwrap();

        assert_eq!(ends.client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(ends.tunnel.await.unwrap(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_close_waits_for_the_close_timeout_at_most() {
        for begun in [&b""[..], b"\x82\x04ab"] {
            let mut ends = tunnel(1024);
            ends.server.write_all(begun).await.unwrap();

            ends.close.send(Close::new(4000, "bye")).unwrap();

            assert_eq!(ends.tunnel.await.unwrap(), Duration::from_secs(3));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_may_read_nothing_for_the_write_timeout() {
        for is_client_silent in [true, false] {
            let mut ends = tunnel(64);
            let (writer, reader) = match is_client_silent {
                true => (&mut ends.server, &mut ends.client),
                false => (&mut ends.client, &mut ends.server),
            };
            // Until all buffers are full.
            let writing = writer.write_all(&[0; 100_000]);
            _ = tokio::time::timeout(Duration::from_secs(20), writing).await;
            read(reader, 10).await;

            let lasted = ends.tunnel.await.unwrap();

            assert_eq!(lasted, Duration::from_secs(50), "{is_client_silent}");
        }
    }
}
