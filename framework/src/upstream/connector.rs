//! How connections to the server are opened.

use crate::byte_stream::ByteStream;
use bytes::Bytes;
use hyper::{
    rt::{Read, ReadBufCursor, Write},
    upgrade::Upgraded,
};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use std::{
    future::Future,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects over TCP.
#[derive(Clone)]
pub(super) struct Tcp;

/// Connects to a Unix socket.
#[derive(Clone)]
pub(super) struct Unix(pub(super) Arc<Path>);

/// An open connection.
pub(super) struct Stream<S> {
    io: TokioIo<S>,
    opened: OpenedAt,
}

/// When a connection was opened: an extra of the [`Connected`] of its errors.
#[derive(Clone, Copy)]
pub(super) struct OpenedAt(pub(super) Instant);

type Connecting<S> = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

impl Service<http::Uri> for Tcp {
    type Response = Stream<TcpStream>;
    type Error = io::Error;
    type Future = Connecting<TcpStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: http::Uri) -> Self::Future {
        Box::pin(connected(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }))
    }
}

impl Service<http::Uri> for Unix {
    type Response = Stream<unix::Stream>;
    type Error = io::Error;
    type Future = Connecting<unix::Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let path = PathBuf::from(&*self.0);
        Box::pin(connected(unix::connect(path)))
    }
}

/// Unix sockets: the only part that differs between systems.
#[cfg(unix)]
pub(super) mod unix {
    pub(in super::super) use tokio::net::UnixStream as Stream;

    pub(super) async fn connect(path: std::path::PathBuf) -> std::io::Result<Stream> {
        Stream::connect(path).await
    }
}

/// Systems without Unix sockets, where [`Upstream::parse`](super::Upstream::parse) accepts no
/// address of one.
#[cfg(not(unix))]
pub(super) mod unix {
    pub(in super::super) use tokio::net::TcpStream as Stream;

    pub(super) async fn connect(_: std::path::PathBuf) -> std::io::Result<Stream> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

async fn connected<S>(connecting: impl Future<Output = io::Result<S>>) -> io::Result<Stream<S>> {
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(stream) => Ok(Stream {
            io: TokioIo::new(stream?),
            opened: OpenedAt(Instant::now()),
        }),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Returns the stream inside a connection that has switched protocols, and the bytes that were read
/// after the head of the response.
///
/// # Errors
/// The connection, if it is one over another stream.
pub(super) fn released<S>(upgraded: Upgraded) -> Result<(Box<dyn ByteStream>, Bytes), Upgraded>
where
    S: ByteStream,
    TokioIo<S>: Read + Write + Unpin,
{
    let parts = upgraded.downcast::<Stream<S>>()?;
    Ok((Box::new(parts.io.io.into_inner()), parts.read_buf))
}

impl<S> Connection for Stream<S> {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.opened)
    }
}

impl<S> Read for Stream<S>
where
    TokioIo<S>: Read + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S> Write for Stream<S>
where
    TokioIo<S>: Write + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
