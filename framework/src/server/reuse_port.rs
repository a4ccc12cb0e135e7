//! A listener whose port several processes share.

use super::{
    listener::{Accepted, Listener},
    tcp,
};
use crate::error::{Error, ErrorKind, Result};
use std::io;
use tokio::net::{TcpListener, ToSocketAddrs};

/// A TCP listener with `SO_REUSEPORT`: several processes of one user listen on the same port, and
/// Linux distributes new connections among them.
///
/// A new process can start before the old one stops, without a supervisor that passes a socket on.
/// Each process has a queue of its own, though: connections that wait there when it stops, or whose
/// TCP handshake is under way, are reset, unless `net.ipv4.tcp_migrate_req` is 1 (since Linux 5.14;
/// default 0), which moves nearly all of them to another process. Only an
/// [`InheritedListener`](crate::InheritedListener) loses none.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{ReusePortListener, routing::ProtocolTypeRouter, serve};
///
/// let listener = ReusePortListener::bind("0.0.0.0:8000").await?;
/// serve(listener, ProtocolTypeRouter::new()).await?;
/// # Ok(()) }
/// ```
///
/// `TlsListener` and [`ProxyProtocol`](crate::ProxyProtocol) take one, too. Outside Linux, only one
/// of the processes may get all connections.
#[derive(Debug)]
pub struct ReusePortListener(TcpListener);

impl ReusePortListener {
    /// Listens on the first of these addresses that is free, or shared.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if there is none: a process of another user, or one without
    /// `SO_REUSEPORT`, uses the port.
    pub async fn bind(address: impl ToSocketAddrs) -> Result<Self> {
        let failed = |error: io::Error| {
            let message = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "cannot share the port; all processes that listen on it must set SO_REUSEPORT \
                     and belong to one user"
                }
                _ => "cannot listen on the address",
            };
            Error::new(ErrorKind::Io, message).with_source(error)
        };
        let bound = tcp::bind_with(address, |socket| socket.set_reuseport(true));
        bound.await.map(Self).map_err(failed)
    }
}

impl Listener for ReusePortListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        Listener::accept(&mut self.0).await
    }

    fn local_addr(&self) -> io::Result<String> {
        Listener::local_addr(&self.0)
    }
}
