//! Listeners that a supervisor has opened and passed to this process.

use super::listener::{Accepted, Listener};
use crate::error::{Error, ErrorKind, Result};
use listenfd::ListenFd;
use std::{
    env, io, process,
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
    /// processes do not use them. If `LISTEN_FDS` is not a number, or `LISTEN_PID` is set and not
    /// the id of this process, there are no sockets, and a warning in the log says why.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it is neither a TCP nor a Unix stream socket.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn take(number: usize) -> Result<Option<Self>> {
        static PASSED: OnceLock<Mutex<ListenFd>> = OnceLock::new();
        let passed = PASSED.get_or_init(|| Mutex::new(from_env()));
        let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut passed, number).map_err(|error| {
            let message = format!("cannot listen on socket {number} of LISTEN_FDS");
            Error::new(ErrorKind::Io, message).with_source(error)
        })
    }
}

/// Reads the variables, and logs why they are ignored.
fn from_env() -> ListenFd {
    let [count, pid] = ["LISTEN_FDS", "LISTEN_PID"].map(|name| env::var(name).unwrap_or_default());
    if let Some(reason) = why_ignored(&count, &pid, process::id()) {
        tracing::warn!(reason, "ignored the sockets of LISTEN_FDS");
    }
    ListenFd::from_env()
}

/// Returns why a process with the id `own` does not use these values of `LISTEN_FDS` and
/// `LISTEN_PID`, if it does not; unset ones are empty.
fn why_ignored(count: &str, pid: &str, own: u32) -> Option<String> {
    if count.is_empty() {
        return None;
    }
    if count.parse::<i32>().is_ok_and(|count| count >= 0) {
        let is_own = pid.is_empty() || pid.parse() == Ok(own);
        return (!is_own).then(|| {
            format!(
                "LISTEN_PID is {pid:?}, and the id of this process is {own}; set it to the id of \
                 the server, or unset it"
            )
        });
    }
    Some(format!(
        "LISTEN_FDS is {count:?}, and not a number of sockets"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_another_process_and_malformed_variables_are_ignored_with_a_reason() {
        for (count, pid, reason) in [
            ("", "", None),
            ("", "7", None),
            ("1", "", None),
            ("1", "7", None),
            ("2", "8", Some("LISTEN_PID is \"8\"")),
            ("1", "seven", Some("LISTEN_PID is \"seven\"")),
            ("x", "7", Some("LISTEN_FDS is \"x\"")),
            ("-1", "", Some("LISTEN_FDS is \"-1\"")),
        ] {
            let ignored = why_ignored(count, pid, 7);

            let starts = ignored
                .as_deref()
                .map(|text| text.split(',').next().unwrap());
            assert_eq!(starts, reason, "{count} {pid}");
        }
    }
}
