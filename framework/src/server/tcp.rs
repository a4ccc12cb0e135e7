//! TCP listeners with a long queue.

use std::{error::Error, fmt, io, net::SocketAddr};
use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs, lookup_host};

/// The number of connections that may wait in the queue of a listener; `net.core.somaxconn` limits
/// it, too.
const BACKLOG: u32 = 4096;

/// Binds a TCP listener whose queue holds 4,096 connections, as [`serve`](crate::serve) does for an
/// address.
///
/// The queue of `tokio::net::TcpListener::bind` holds 128: if more clients connect at once, as after a
/// restart, the others try again after 1 s, 3 s and 7 s. On Linux `net.core.somaxconn` (4,096 by
/// default) limits both.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{ProxyProtocol, TrustedProxies, bind_tcp, routing::ProtocolTypeRouter, serve};
///
/// let tcp = bind_tcp("0.0.0.0:8000").await?;
/// let listener = ProxyProtocol::new(tcp, TrustedProxies::new(["10.0.0.0/8"]));
/// serve(listener, ProtocolTypeRouter::new()).await?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// The error of the name lookup, or of the last address if none can be bound. The text of the latter
/// names the addresses, and its [source](std::error::Error::source) is the error of the operating
/// system.
pub async fn bind_tcp(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let addresses = lookup_host(address).await?.collect::<Vec<_>>();
    bind_with(&*addresses, |_| Ok(())).await.map_err(|source| {
        let names = addresses.iter().map(SocketAddr::to_string);
        let addresses = names.collect::<Vec<_>>().join(", ");
        io::Error::new(source.kind(), BindError { addresses, source })
    })
}

/// Why none of these addresses can be bound.
#[derive(Debug)]
struct BindError {
    addresses: String,
    source: io::Error,
}

/// With the source, since an [`io::Error`] is often printed without.
impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addresses, source } = self;
        write!(f, "cannot listen on {addresses}: {source}")
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds a listener to the first of these addresses that is free, once its socket is configured.
pub(super) async fn bind_with(
    address: impl ToSocketAddrs,
    configure: fn(&TcpSocket) -> io::Result<()>,
) -> io::Result<TcpListener> {
    let no_address = "could not resolve to any address";
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, no_address);
    for address in lookup_host(address).await? {
        match listen(address, configure) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen(
    address: SocketAddr,
    configure: fn(&TcpSocket) -> io::Result<()>,
) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port with connections of an earlier process can be used at once. On Windows the option
    // would let two processes use the port.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    configure(&socket)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
