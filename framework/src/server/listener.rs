//! Listeners, and the connections that they accept.

use super::socket::AcceptedStream;
use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// A source of connections for [`serve`](crate::serve): TCP, Unix sockets, TLS, or your own.
///
/// ```
/// use seaway::{Accepted, Listener};
/// use std::io;
/// use tokio::net::TcpListener;
/// # struct Acceptor;
/// # impl Acceptor { fn stream(&self, stream: tokio::net::TcpStream) -> tokio::net::TcpStream { stream } }
///
/// /// Accepts connections of another TLS library; for rustls see `TlsListener`.
/// struct OtherTls {
///     tcp: TcpListener,
///     acceptor: Acceptor, // of a TLS library
/// }
///
/// impl Listener for OtherTls {
///     async fn accept(&mut self) -> io::Result<Accepted> {
///         let (tcp, client) = self.tcp.accept().await?;
///         // A stream that performs the TLS handshake when it is first read.
///         let stream = self.acceptor.stream(tcp);
///         Ok(Accepted::new(stream, Some(client)))
///     }
///
///     fn local_addr(&self) -> io::Result<String> {
///         Ok(self.tcp.local_addr()?.to_string())
///     }
/// }
/// # fn is<L: Listener>() {}
/// # is::<OtherTls>();
/// ```
pub trait Listener: Send + 'static {
    /// Accepts the next connection.
    ///
    /// It must not wait for that client, since no other one is accepted meanwhile: the
    /// returned stream performs a handshake, when it is first read.
    /// [`head_timeout`](crate::Serve::head_timeout) then limits it.
    ///
    /// # Errors
    /// Those of the operating system. After `ConnectionAborted`, `ConnectionRefused` and
    /// `ConnectionReset` the server accepts the next connection at once, after any other error 1 s
    /// later.
    ///
    /// # Cancel safety
    /// The server drops the future only when it stops.
    fn accept(&mut self) -> impl Future<Output = io::Result<Accepted>> + Send;

    /// Returns the address at which clients connect, for the log.
    ///
    /// # Errors
    /// Those of the operating system.
    fn local_addr(&self) -> io::Result<String>;
}

impl Listener for TcpListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, client) = TcpListener::accept(self).await?;
        Ok(Accepted::from_tcp(stream, client))
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok(TcpListener::local_addr(self)?.to_string())
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, _) = UnixListener::accept(self).await?;
        Ok(Accepted::from(stream))
    }

    fn local_addr(&self) -> io::Result<String> {
        let address = UnixListener::local_addr(self)?;
        let path = address.as_pathname().map(|path| path.display().to_string());
        Ok(path.unwrap_or_else(|| "an unnamed Unix socket".to_owned()))
    }
}

/// A connection that a [`Listener`] has accepted: a stream of bytes, and the client's address.
///
/// ```
/// use seaway::Accepted;
/// use tokio::net::TcpListener;
///
/// # async fn accept(listener: &TcpListener) -> std::io::Result<()> {
/// let (stream, client) = listener.accept().await?;
/// let connection = Accepted::from_tcp(stream, client);
///
/// // Any stream, here one in memory, whose client has no address:
/// let (stream, _other_end) = tokio::io::duplex(1024);
/// let connection = Accepted::new(stream, None);
/// # Ok(()) }
/// ```
pub struct Accepted(pub(super) Arrival);

/// A connection that can be served now, or once something that comes before it was read.
pub(super) enum Arrival {
    Now(AcceptedClient),
    /// Completes without a client if the connection is to be closed.
    Later(Pin<Box<dyn Future<Output = Option<AcceptedClient>> + Send>>),
}

/// The stream of a connection, and the client's address.
pub(super) struct AcceptedClient {
    pub(super) socket: AcceptedStream,
    pub(super) address: Option<SocketAddr>,
}

impl Accepted {
    /// Returns a connection over any stream.
    ///
    /// `client` is the address that [`ClientAddr`](crate::ClientAddr) extracts; `None` if the
    /// client has none, as on a Unix socket.
    ///
    /// The end of the stream means that the client has closed its sending side; a request that it
    /// has sent completely is still served. If it resets the connection after that, a write
    /// fails; only over TCP the server notices it at once. Set the options of a socket below the
    /// stream, such as TCP keep-alive, before.
    pub fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        client: Option<SocketAddr>,
    ) -> Self {
        AcceptedClient::arrived(
            AcceptedStream::Other(Box::new(stream), |_| None),
            client.map(canonical),
        )
    }

    /// Returns a TCP connection of this client.
    ///
    /// The server sets `TCP_NODELAY` and keep-alive on it.
    pub fn from_tcp(stream: TcpStream, client: SocketAddr) -> Self {
        AcceptedClient::arrived(AcceptedStream::Tcp(stream), Some(canonical(client)))
    }

    /// Returns the connection with `read` applied to it before it is served, in its own task.
    pub(super) fn then<F>(self, read: impl FnOnce(AcceptedClient) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Option<AcceptedClient>> + Send + 'static,
    {
        Self(Arrival::Later(match self.0 {
            Arrival::Now(client) => Box::pin(read(client)),
            Arrival::Later(earlier) => Box::pin(async move { read(earlier.await?).await }),
        }))
    }

    /// Returns the connection with another stream around its own; `wrap` gets the client's address,
    /// too.
    #[cfg(feature = "tls")]
    pub(super) fn map(
        self,
        wrap: impl FnOnce(AcceptedStream, Option<SocketAddr>) -> AcceptedStream + Send + 'static,
    ) -> Self {
        let wrapped = |AcceptedClient { socket, address }| AcceptedClient {
            socket: wrap(socket, address),
            address,
        };
        Self(match self.0 {
            Arrival::Now(client) => Arrival::Now(wrapped(client)),
            Arrival::Later(earlier) => {
                Arrival::Later(Box::pin(async move { earlier.await.map(wrapped) }))
            }
        })
    }
}

impl AcceptedClient {
    fn arrived(socket: AcceptedStream, address: Option<SocketAddr>) -> Accepted {
        Accepted(Arrival::Now(Self { socket, address }))
    }
}

/// A Unix connection, whose client has no address.
#[cfg(unix)]
impl From<UnixStream> for Accepted {
    fn from(stream: UnixStream) -> Self {
        AcceptedClient::arrived(AcceptedStream::Unix(stream), None)
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = match &self.0 {
            Arrival::Now(client) => client.address,
            Arrival::Later(_) => None,
        };
        f.debug_struct("Accepted")
            .field("client", &client)
            .finish_non_exhaustive()
    }
}

/// Returns the IPv4 address of an IPv4 client that a listener on `[::]` sees as `::ffff:192.0.2.7`.
pub(super) fn canonical(client: SocketAddr) -> SocketAddr {
    match client.ip().to_canonical() {
        IpAddr::V4(address) => SocketAddr::from((address, client.port())),
        IpAddr::V6(_) => client,
    }
}

/// A [`Listener`] whose type is erased.
pub(super) trait ErasedListener: Send {
    fn accept(&mut self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>>;
    fn local_addr(&self) -> io::Result<String>;
}

impl<L: Listener> ErasedListener for L {
    fn accept(&mut self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>> {
        Box::pin(Listener::accept(self))
    }

    fn local_addr(&self) -> io::Result<String> {
        Listener::local_addr(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_becomes_ipv4_and_an_ipv6_address_keeps_its_scope() {
        let link = std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, 2);

        let mapped = canonical("[::ffff:192.0.2.7]:7".parse().unwrap());

        assert_eq!(mapped.to_string(), "192.0.2.7:7");
        assert_eq!(canonical(link.into()), link.into());
    }
}
