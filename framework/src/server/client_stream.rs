//! The byte stream between a client and hyper.

use super::{
    framing::RequestFraming,
    place::Place,
    preface::Preface,
    socket::{AcceptedStream, HalfClosed},
    traffic::Traffic,
};
use crate::metric;
use bytes::BufMut;
use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The byte stream between a client and hyper.
///
/// It replays the [`Preface`], records in [`Traffic`] how writing proceeds, and over HTTP/1 follows
/// the framing of the requests. While a complete request is being served it hides the end of the
/// stream (FIN) from hyper, which would drop the request: the client may have closed only its
/// sending side, and wait for the response (RFC 9112, 9.6). An end behind bytes that hyper does not
/// read is looked for on demand.
pub(super) struct ClientStream {
    side: Side,
    preface: Preface,
    /// `None` over HTTP/2, where the end of the stream ends the connection.
    framing: Option<RequestFraming>,
    traffic: Arc<Traffic>,
    /// An error behind bytes that were returned: it is returned next.
    failed: Option<io::Error>,
}

/// The largest write of several parts, in bytes, that is copied into one: the kernel takes longer to
/// import the parts than the copy takes.
const SMALL_WRITE: usize = 512;

/// The sides of the connection that are open.
enum Side {
    Both(AcceptedStream),
    /// The client has closed its sending side.
    Sending(HalfClosed),
    None,
}

impl ClientStream {
    pub(super) fn new(socket: AcceptedStream, preface: Preface, traffic: Arc<Traffic>) -> Self {
        let framing = (!preface.is_http_2()).then(RequestFraming::default);
        Self {
            side: Side::Both(socket),
            preface,
            framing,
            traffic,
            failed: None,
        }
    }

    /// Returns the place of a connection that has left HTTP.
    pub(super) fn take_place(&self) -> Option<Place> {
        self.traffic.take_place()
    }

    /// Returns the socket, for a protocol that follows HTTP; `None` if the client has closed its
    /// sending side.
    pub(super) fn into_socket(self) -> Option<AcceptedStream> {
        match self.side {
            Side::Both(socket) => Some(socket),
            Side::Sending(_) | Side::None => None,
        }
    }

    /// Returns whether a complete request is being served, and no other has begun.
    fn serves_a_complete_request(&self) -> bool {
        let framing = self.framing.as_ref();
        self.traffic.is_serving() && framing.is_some_and(RequestFraming::is_between_requests)
    }

    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        if !self.preface.is_empty() {
            self.preface.replay(buffer);
        }
        if let Side::Both(socket) = &mut self.side
            && buffer.remaining() > 0
        {
            let received = Pin::new(socket).poll_read(cx, buffer);
            if buffer.filled().len() == before {
                ready!(received)?;
            } else if let Poll::Ready(Err(error)) = received {
                self.failed = Some(error);
            }
        }
        let read = &buffer.filled()[before..];
        metric::ByteCounters::http().received(read.len());
        if read.is_empty() {
            return self.poll_end(cx);
        }
        if let Some(framing) = &mut self.framing {
            framing.feed(read);
            if let Some(request) = framing.ambiguous() {
                self.traffic.record_ambiguous(request);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Checks a stream that is not read for its end, which stays behind what is unread; the error is
    /// that of a connection which has failed.
    fn check_end(&self) -> io::Result<()> {
        if let Side::Both(socket) = &self.side
            && self.traffic.takes_check()
            && socket.has_hung_up()?
        {
            self.traffic.record_half_close();
        }
        Ok(())
    }

    /// Handles the end of the stream: hides it while a request is served, and then waits for a
    /// reset.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.serves_a_complete_request() {
            return Poll::Ready(Ok(()));
        }
        self.side = match mem::replace(&mut self.side, Side::None) {
            Side::Both(socket) => {
                self.traffic.record_half_close();
                Side::Sending(socket.half_close())
            }
            other => other,
        };
        let Side::Sending(socket) = &mut self.side else {
            return Poll::Ready(Ok(()));
        };
        let error = ready!(socket.reset.as_mut().poll(cx));
        self.side = Side::None;
        Poll::Ready(Err(error))
    }

    fn record_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                metric::ByteCounters::http().sent(count);
                self.traffic.record_written(count);
                // hyper reads again after the response only if it is woken, and the client will
                // send nothing that would wake it.
                if matches!(self.side, Side::Sending(_)) {
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.traffic.record_blocked(),
        }
        written
    }

    /// Records whether a stream that buffers (TLS) waits for the client to read what was written.
    fn record_flush(&self, flushed: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        self.traffic.record_flush(flushed.is_pending());
        flushed
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let received = self.poll_receive(cx, buffer);
        self.traffic.record_read(received.is_pending());
        received
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.side {
            Side::Both(socket) => Pin::new(socket).poll_write(cx, bytes),
            Side::Sending(socket) => Pin::new(&mut socket.write).poll_write(cx, bytes),
            Side::None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.record_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size: usize = bytes.iter().map(|part| part.len()).sum();
        if size <= SMALL_WRITE {
            let mut joined = [0; SMALL_WRITE];
            let mut rest = &mut joined[..];
            for part in bytes {
                rest.put_slice(part);
            }
            return self.poll_write(cx, &joined[..size]);
        }
        let written = match &mut self.side {
            Side::Both(socket) => Pin::new(socket).poll_write_vectored(cx, bytes),
            Side::Sending(socket) => Pin::new(&mut socket.write).poll_write_vectored(cx, bytes),
            Side::None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.record_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes in each poll, also if it does not read.
        self.check_end()?;
        let flushed = match &mut self.side {
            Side::Both(socket) => Pin::new(socket).poll_flush(cx),
            Side::Sending(socket) => Pin::new(&mut socket.write).poll_flush(cx),
            Side::None => Poll::Ready(Ok(())),
        };
        self.record_flush(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = match &mut self.side {
            Side::Both(socket) => Pin::new(socket).poll_shutdown(cx),
            Side::Sending(socket) => Pin::new(&mut socket.write).poll_shutdown(cx),
            Side::None => Poll::Ready(Ok(())),
        };
        self.record_flush(shut_down)
    }
}
