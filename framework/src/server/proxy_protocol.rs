//! The listener for proxies that speak the PROXY protocol.

use super::{
    listener::{Accepted, AcceptedClient, ErasedListener, Listener, canonical},
    socket::AcceptedStream,
    trusted_proxies::TrustedProxies,
};
use crate::rejection_log::{Peer, Rejected, Rule};
use ppp::{v1, v2};
use std::{fmt, io, net::SocketAddr, time::Duration};
use tokio::{io::AsyncReadExt, time::timeout};

/// A [`Listener`] behind proxies that state the address of their client in a header before the
/// first byte of the connection: the PROXY protocol, versions 1 and 2, of HAProxy, nginx and load
/// balancers.
///
/// A connection from a trusted proxy must begin with the header; without a valid one within 5 s it
/// is closed. Until then it counts towards [`max_connections`](crate::Serve::max_connections). All
/// other connections are served as they are, with the address that they come from. A health check
/// of a proxy (`LOCAL`, `UNKNOWN`) has the proxy's address.
///
/// ```no_run
/// use seaway::{ProxyProtocol, Result, TrustedProxies, bind_tcp, serve};
/// # use seaway::routing::ProtocolTypeRouter;
///
/// # async fn start(app: ProtocolTypeRouter) -> Result<()> {
/// let tcp = bind_tcp("0.0.0.0:8000").await?;
/// let listener = ProxyProtocol::new(tcp, TrustedProxies::new(["10.0.0.0/8"]));
/// serve(listener, app).await?;
/// # Ok(()) }
/// ```
pub struct ProxyProtocol {
    inner: Box<dyn ErasedListener>,
    proxies: TrustedProxies,
}

/// How long a proxy may take to send its header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest header of version 2 that is accepted, in bytes: addresses, and what a proxy adds.
const MAX_HEADER: usize = 4096;

/// The length of the part of a header of version 2 that all have, in bytes; it ends with the length
/// of the rest.
const FIXED_LENGTH: usize = 16;

/// The byte after the signature of version 2 for a connection of the proxy itself: the version, and
/// the command `LOCAL`.
const LOCAL: u8 = 0x20;

/// The longest header of version 1, with its line end.
const MAX_LINE: usize = 107;

impl ProxyProtocol {
    /// Wraps a listener whose connections may come from these proxies.
    pub fn new(listener: impl Listener, proxies: TrustedProxies) -> Self {
        Self {
            inner: Box::new(listener),
            proxies,
        }
    }
}

impl Listener for ProxyProtocol {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let proxies = self.proxies.clone();
        let accepted = self.inner.accept().await?;
        Ok(
            accepted.then(async move |client| match proxies.trust(client.address) {
                true => read(client).await,
                false => Some(client),
            }),
        )
    }

    fn local_addr(&self) -> io::Result<String> {
        self.inner.local_addr()
    }
}

impl fmt::Debug for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyProtocol")
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

/// What the header of a connection states.
enum Header {
    Client(SocketAddr),
    /// The connection is of the proxy itself, or its client has no address.
    Proxy,
    /// The connection ended before its first byte: the health check of a load balancer may only
    /// connect.
    Missing,
}

/// Reads the header of a connection; `None` if it has none.
async fn read(mut client: AcceptedClient) -> Option<AcceptedClient> {
    let header = timeout(HEADER_TIMEOUT, read_header(&mut client.socket)).await;
    match header.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(Header::Client(address)) => client.address = Some(canonical(address)),
        Ok(Header::Proxy) => {}
        Ok(Header::Missing) => return None,
        Err(error) => {
            let reason = format!("a trusted proxy sent no valid PROXY header: {error}");
            let peer = Peer::without_request(client.address);
            peer.log_rejection(Rule::RequestHead, Rejected::Disconnect, Some(&reason));
            return None;
        }
    }
    Some(client)
}

/// Reads a header, and no byte after it.
async fn read_header(socket: &mut AcceptedStream) -> io::Result<Header> {
    // Both versions are longer than the signature of the second.
    let mut header = vec![0; v2::PROTOCOL_PREFIX.len()];
    let Ok(first @ 1..) = socket.read(&mut header).await else {
        return Ok(Header::Missing);
    };
    socket.read_exact(&mut header[first..]).await?;
    if header == v2::PROTOCOL_PREFIX {
        header.resize(FIXED_LENGTH, 0);
        socket
            .read_exact(&mut header[v2::PROTOCOL_PREFIX.len()..])
            .await?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > MAX_HEADER {
            return Err(invalid(format!("it has {rest} bytes")));
        }
        header.resize(FIXED_LENGTH + rest, 0);
        socket.read_exact(&mut header[FIXED_LENGTH..]).await?;
        if header[v2::PROTOCOL_PREFIX.len()] == LOCAL {
            // A receiver ignores the rest, whose family and addresses need not fit together.
            return Ok(Header::Proxy);
        }
        let header = v2::Header::try_from(&*header).map_err(invalid)?;
        return Ok(match header.addresses {
            v2::Addresses::IPv4(addresses) => {
                Header::Client((addresses.source_address, addresses.source_port).into())
            }
            v2::Addresses::IPv6(addresses) => {
                Header::Client((addresses.source_address, addresses.source_port).into())
            }
            v2::Addresses::Unspecified | v2::Addresses::Unix(_) => Header::Proxy,
        });
    }
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(invalid("the connection does not begin with one"));
    }
    while !header.ends_with(v1::PROTOCOL_SUFFIX.as_bytes()) {
        if header.len() == MAX_LINE {
            return Err(invalid("its line is too long"));
        }
        header.push(socket.read_u8().await?);
    }
    let header = v1::Header::try_from(&*header).map_err(invalid)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => {
            Header::Client((addresses.source_address, addresses.source_port).into())
        }
        v1::Addresses::Tcp6(addresses) => {
            Header::Client((addresses.source_address, addresses.source_port).into())
        }
        v1::Addresses::Unknown => Header::Proxy,
    })
}

fn invalid(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}
