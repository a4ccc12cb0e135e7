//! The byte stream between a client and hyper.

use super::{framing::Framing, preface::Preface, traffic::Traffic};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The byte stream between a client and hyper.
///
/// It replays the [`Preface`], records in [`Traffic`] how writing proceeds, and over HTTP/1 follows the framing of the
/// requests.
pub(crate) struct ClientStream {
    socket: TcpStream,
    preface: Preface,
    /// `None` over HTTP/2.
    framing: Option<Framing>,
    traffic: Arc<Traffic>,
}

impl ClientStream {
    pub(super) fn new(socket: TcpStream, preface: Preface, traffic: Arc<Traffic>) -> Self {
        let framing = (!preface.is_http_2()).then(Framing::default);
        Self {
            socket,
            preface,
            framing,
            traffic,
        }
    }

    /// Returns the socket, for a protocol that follows HTTP.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    fn record_write(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => self.traffic.note_written(count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.traffic.note_blocked(),
        }
        written
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
        } else {
            ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        }
        if let Some(framing) = &mut self.framing {
            framing.feed(&buffer.filled()[before..]);
            if let Some(request) = framing.ambiguous() {
                self.traffic.note_ambiguous(request);
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
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.record_write(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.record_write(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
