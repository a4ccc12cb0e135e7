//! A stream of bytes in both directions, over any transport.

use std::{
    any::Any,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, Ready},
    net::TcpStream,
    time::{Sleep, sleep},
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

/// How often a peer from which nothing is read is checked: no event says that it has hung up.
pub(crate) const HANG_UP_CHECK: Duration = Duration::from_secs(1);

/// What wakes a task for each check of such a peer.
#[derive(Default)]
pub(crate) struct HangUpTimer(Option<Pin<Box<Sleep>>>);

impl HangUpTimer {
    /// Wakes the task for the next check.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
        let next = || sleep(HANG_UP_CHECK);
        let timer = self.0.get_or_insert_with(|| Box::pin(next()));
        while timer.as_mut().poll(cx).is_ready() {
            timer.set(next());
        }
    }
}

/// Polls once: nothing waits for a peer that has not hung up.
fn is_read_closed(ready: impl Future<Output = io::Result<Ready>>) -> bool {
    let polled = pin!(ready).poll(&mut Context::from_waker(Waker::noop()));
    matches!(polled, Poll::Ready(Ok(ready)) if ready.is_read_closed())
}
