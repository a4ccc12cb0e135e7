//! The stream of an accepted connection: TCP, a Unix socket, or any other.

use crate::byte_stream::{self, ByteStream};
use socket2::{SockRef, TcpKeepalive};
use std::{
    future::{Future, pending},
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, tcp::OwnedReadHalf},
};

/// The stream of an accepted connection. TCP and Unix sockets are called without indirection.
pub(super) enum AcceptedStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Other(Box<dyn ByteStream>, InnerSocket),
}

/// Returns the socket below a stream, such as that of TLS, if it is known.
pub(super) type InnerSocket = fn(&dyn ByteStream) -> Option<&AcceptedStream>;

/// The keep-alive of TCP: a client that has vanished, or does not respond, is found after 2 min of
/// silence.
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// The writing side of a socket whose client has closed its own, and the future of a reset.
pub(super) struct HalfClosed {
    pub(super) write: Box<dyn AsyncWrite + Send + Unpin>,
    pub(super) reset: Pin<Box<dyn Future<Output = io::Error> + Send>>,
}

impl AcceptedStream {
    /// Sets the options of a TCP socket: small writes are sent at once, as data that belongs
    /// together is written together anyway; a silent client is probed.
    pub(super) fn set_options(&self) -> io::Result<()> {
        if let Self::Tcp(stream) = self {
            stream.set_nodelay(true)?;
            // Some sockets do not have it, such as those of Multipath TCP on older kernels.
            _ = SockRef::from(stream).set_tcp_keepalive(&KEEP_ALIVE);
        }
        Ok(())
    }

    /// Returns whether the client is known to have closed its sending side, also while there are
    /// bytes before that which are not read. The error is that of a connection which has failed,
    /// as by a reset.
    pub(super) fn has_hung_up(&self) -> io::Result<bool> {
        let stream: &dyn ByteStream = match self {
            Self::Tcp(stream) => stream,
            #[cfg(unix)]
            Self::Unix(stream) => stream,
            Self::Other(stream, inner) => match inner(&**stream) {
                Some(socket) => return socket.has_hung_up(),
                None => &**stream,
            },
        };
        if !byte_stream::has_hung_up(stream) {
            // An error of a connection that is open may pass, such as a route that is lost.
            return Ok(false);
        }
        let error = match self {
            Self::Tcp(stream) => stream.take_error()?,
            #[cfg(unix)]
            Self::Unix(stream) => stream.take_error()?,
            Self::Other(..) => None,
        };
        error.map_or(Ok(true), Err)
    }

    /// Returns the stream, for a protocol that follows HTTP.
    pub(super) fn into_stream(self) -> Box<dyn ByteStream> {
        match self {
            Self::Tcp(stream) => Box::new(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Box::new(stream),
            Self::Other(stream, _) => stream,
        }
    }

    /// Splits a socket whose reading side has ended.
    pub(super) fn half_close(self) -> HalfClosed {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                HalfClosed {
                    write: Box::new(write),
                    reset: Box::pin(reset(read)),
                }
            }
            #[cfg(unix)]
            Self::Unix(stream) => HalfClosed {
                write: Box::new(stream),
                reset: Box::pin(pending()),
            },
            Self::Other(stream, _) => HalfClosed {
                write: Box::new(stream),
                reset: Box::pin(pending()),
            },
        }
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

/// Calls a method of the stream inside.
macro_rules! delegate {
    ($socket:ident.$method:ident($($argument:expr),*)) => {
        match $socket.get_mut() {
            AcceptedStream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(unix)]
            AcceptedStream::Unix(stream) => Pin::new(stream).$method($($argument),*),
            AcceptedStream::Other(stream, _) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for AcceptedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self.poll_read(cx, buffer))
    }
}

impl AsyncWrite for AcceptedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Self::Unix(stream) => stream.is_write_vectored(),
            Self::Other(stream, _) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.poll_shutdown(cx))
    }
}
