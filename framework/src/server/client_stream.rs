//! The byte stream between a client and hyper.

use super::{framing::Framing, preface::Preface, traffic::Traffic};
use std::{
    future::Future,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The byte stream between a client and hyper.
///
/// It replays the [`Preface`], records in [`Traffic`] how writing proceeds, and over HTTP/1 follows
/// the framing of the requests. While a complete request is being served it hides the end of the
/// stream (FIN) from hyper, which would drop the request: the client may have closed only its
/// sending side, and wait for the response (RFC 9112, 9.6).
pub(super) struct ClientStream {
    socket: Socket,
    preface: Preface,
    /// `None` over HTTP/2, where the end of the stream ends the connection.
    framing: Option<Framing>,
    traffic: Arc<Traffic>,
}

enum Socket {
    Open(TcpStream),
    HalfClosed {
        write: OwnedWriteHalf,
        reset: Pin<Box<dyn Future<Output = io::Error> + Send>>,
    },
    Closed,
}

impl ClientStream {
    pub(super) fn new(socket: TcpStream, preface: Preface, traffic: Arc<Traffic>) -> Self {
        let framing = (!preface.is_http_2()).then(Framing::default);
        Self {
            socket: Socket::Open(socket),
            preface,
            framing,
            traffic,
        }
    }

    /// Returns the socket, for a protocol that follows HTTP; `None` if the client has closed its
    /// sending side.
    pub(super) fn into_socket(self) -> Option<TcpStream> {
        match self.socket {
            Socket::Open(socket) => Some(socket),
            Socket::HalfClosed { .. } | Socket::Closed => None,
        }
    }

    /// Returns whether a complete request is being served, and no other has begun.
    fn serves_a_complete_request(&self) -> bool {
        let framing = self.framing.as_ref();
        !self.traffic.awaits_head() && framing.is_some_and(Framing::is_between_requests)
    }

    /// Handles the end of the stream: hides it while a request is served, and then waits for a
    /// reset.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.serves_a_complete_request() {
            return Poll::Ready(Ok(()));
        }
        self.socket = match mem::replace(&mut self.socket, Socket::Closed) {
            Socket::Open(socket) => {
                self.traffic.record_half_close();
                let (read, write) = socket.into_split();
                let reset = Box::pin(reset(read));
                Socket::HalfClosed { write, reset }
            }
            other => other,
        };
        let Socket::HalfClosed { reset, .. } = &mut self.socket else {
            return Poll::Ready(Ok(()));
        };
        let error = ready!(reset.as_mut().poll(cx));
        self.socket = Socket::Closed;
        Poll::Ready(Err(error))
    }

    fn record_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.traffic.record_written(count);
                // hyper reads again after the response only if it is woken, and the client will
                // send nothing that would wake it.
                if matches!(self.socket, Socket::HalfClosed { .. }) {
                    cx.waker().wake_by_ref();
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.traffic.record_blocked(),
        }
        written
    }
}

/// Waits until the client resets a connection after it has closed its sending side.
async fn reset(read: OwnedReadHalf) -> io::Error {
    let failed = read.ready(Interest::ERROR).await;
    let reset = || io::ErrorKind::ConnectionReset.into();
    match failed {
        Ok(_) => read
            .as_ref()
            .take_error()
            .ok()
            .flatten()
            .unwrap_or_else(reset),
        Err(error) => error,
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.preface.is_empty() {
            self.preface.replay(buffer);
        } else if let Socket::Open(socket) = &mut self.socket {
            ready!(Pin::new(socket).poll_read(cx, buffer))?;
        }
        let read = &buffer.filled()[before..];
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
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Open(socket) => Pin::new(socket).poll_write(cx, bytes),
            Socket::HalfClosed { write, .. } => Pin::new(write).poll_write(cx, bytes),
            Socket::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.record_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Open(socket) => Pin::new(socket).poll_write_vectored(cx, bytes),
            Socket::HalfClosed { write, .. } => Pin::new(write).poll_write_vectored(cx, bytes),
            Socket::Closed => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.record_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Open(socket) => Pin::new(socket).poll_flush(cx),
            Socket::HalfClosed { write, .. } => Pin::new(write).poll_flush(cx),
            Socket::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Open(socket) => Pin::new(socket).poll_shutdown(cx),
            Socket::HalfClosed { write, .. } => Pin::new(write).poll_shutdown(cx),
            Socket::Closed => Poll::Ready(Ok(())),
        }
    }
}
