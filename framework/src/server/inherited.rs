//! Listeners that a supervisor has opened and passed to this process.

use super::listener::{Accepted, Listener};
use crate::error::{Error, ErrorKind, Result};
use listenfd::ListenFd;
use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError},
};
use tokio::net::{TcpListener, UnixListener};

/// A listening socket, TCP or Unix, that the supervisor of this process has opened and passed to
/// it: by systemd's protocol of socket activation, `LISTEN_FDS` (sd_listen_fds(3)).
///
/// Such a socket outlives the process. Clients that connect while the program restarts wait in the
/// socket's queue, so none is refused, and a program without the permission to bind port 443 can
/// serve there.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{Bind, InheritedListener, routing::ProtocolTypeRouter, serve};
///
/// let listener = match InheritedListener::take(0)? {
///     Some(listener) => Bind::from(listener),
///     // Started by hand.
///     None => Bind::from("127.0.0.1:8000"),
/// };
/// serve(listener, ProtocolTypeRouter::new()).await?;
/// # Ok(()) }
/// ```
///
/// `TlsListener` and [`ProxyProtocol`](crate::ProxyProtocol) take one, too.
#[derive(Debug)]
pub struct InheritedListener(Inherited);

#[derive(Debug)]
enum Inherited {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl InheritedListener {
    /// Takes the socket with this number, from 0; `None` if this process was not passed so many, or
    /// it was taken before.
    ///
    /// The first call removes `LISTEN_FDS` and `LISTEN_PID` from the environment, so that child
    /// processes do not use them.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it is neither a TCP nor a Unix stream socket.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn take(number: usize) -> Result<Option<Self>> {
        static PASSED: OnceLock<Mutex<ListenFd>> = OnceLock::new();
        let passed = PASSED.get_or_init(|| Mutex::new(ListenFd::from_env()));
        let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut passed, number).map_err(|error| {
            let message = format!("cannot listen on socket {number} of LISTEN_FDS");
            Error::new(ErrorKind::Io, message).with_source(error)
        })
    }
}

fn take(passed: &mut ListenFd, number: usize) -> io::Result<Option<InheritedListener>> {
    if let Ok(tcp) = passed.take_tcp_listener(number) {
        let Some(tcp) = tcp else {
            return Ok(None);
        };
        tcp.set_nonblocking(true)?;
        let tcp = TcpListener::from_std(tcp)?;
        return Ok(Some(InheritedListener(Inherited::Tcp(tcp))));
    }
    let Some(unix) = passed.take_unix_listener(number)? else {
        return Ok(None);
    };
    unix.set_nonblocking(true)?;
    let unix = UnixListener::from_std(unix)?;
    Ok(Some(InheritedListener(Inherited::Unix(unix))))
}

impl Listener for InheritedListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match &mut self.0 {
            Inherited::Tcp(listener) => Listener::accept(listener).await,
            Inherited::Unix(listener) => Listener::accept(listener).await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        match &self.0 {
            Inherited::Tcp(listener) => Listener::local_addr(listener),
            Inherited::Unix(listener) => Listener::local_addr(listener),
        }
    }
}
