//! A stream of bytes in both directions, over any transport.

use std::{
    any::Any,
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, Ready},
    net::TcpStream,
};

/// A stream of bytes in both directions.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Any + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Any + Send + Unpin> ByteStream for S {}

/// Returns whether the peer of a socket is known to have closed its sending side or reset the
/// connection, also while there are bytes before that which are not read. Of a stream that is no
/// bare socket (TLS, HTTP/2) it is not known.
pub(crate) fn has_hung_up(stream: &dyn ByteStream) -> bool {
    let stream: &dyn Any = stream;
    if let Some(tcp) = stream.downcast_ref::<TcpStream>() {
        return is_read_closed(tcp.ready(Interest::READABLE));
    }
    #[cfg(unix)]
    if let Some(unix) = stream.downcast_ref::<UnixStream>() {
        return is_read_closed(unix.ready(Interest::READABLE));
    }
    false
}

/// Polls once: nothing waits for a peer that has not hung up.
fn is_read_closed(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    let polled = pin!(ready).poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}
