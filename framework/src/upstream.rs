//! Another HTTP server: its address, and the connections to it.

use crate::error::BoxError;
use http::{Request, Response, Uri, uri::Authority};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tower_service::Service;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection without a request is kept: less than uvicorn does (5 s), so that it seldom
/// closes a connection on which a request is being sent.
const IDLE: Duration = Duration::from_secs(4);
/// The number of such connections.
const IDLE_CONNECTIONS: usize = 64;

/// A server, with the connections to it; `B` is the body of the requests.
pub(crate) struct Upstream<B> {
    address: String,
    authority: Authority,
    client: Pool<B>,
}

enum Pool<B> {
    Tcp(Client<Tcp, B>),
    Unix(Client<Unix, B>),
}

impl<B> Upstream<B>
where
    B: Body<Error: Into<BoxError>, Data: Send> + Send + Unpin + 'static,
{
    /// Parses the address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(address: &str) -> Result<Self, &'static str> {
        let (authority, client) = if let Some(path) = address.strip_prefix("unix:") {
            if !cfg!(unix) {
                return Err("this system has no Unix sockets");
            }
            if path.is_empty() {
                return Err("the path of the socket is missing");
            }
            let path = Arc::from(Path::new(path));
            (
                Authority::from_static("localhost"),
                Pool::Unix(pool(Unix(path))),
            )
        } else {
            let uri: Uri = address.parse().map_err(|_| "it is no URL")?;
            if uri.scheme_str() != Some("http") {
                return Err("only http and unix are supported");
            }
            if uri.path_and_query().is_some_and(|path| path != "/") {
                return Err("a path is not supported");
            }
            let authority = uri.authority().cloned().ok_or("the host is missing")?;
            if authority.as_str().contains('@') {
                return Err("user and password are not supported");
            }
            (authority, Pool::Tcp(pool(Tcp)))
        };
        Ok(Self {
            address: address.to_owned(),
            authority,
            client,
        })
    }

    pub(crate) fn authority(&self) -> Authority {
        self.authority.clone()
    }

    /// Sends a request, and waits for the head of the response.
    pub(crate) async fn send(
        &self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        match &self.client {
            Pool::Tcp(client) => client.request(request).await,
            Pool::Unix(client) => client.request(request).await,
        }
    }
}

impl<B> fmt::Debug for Upstream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Returns whether the server has not accepted a connection in time.
pub(crate) fn is_timeout(error: &legacy::Error) -> bool {
    let mut sources = sources(error).filter_map(|source| source.downcast_ref::<io::Error>());
    sources.any(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Returns an error with its sources.
pub(crate) fn sources<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Returns an error with its sources, in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let texts: Vec<_> = sources(error).map(ToString::to_string).collect();
    texts.join(": ")
}

fn pool<C, B>(connector: C) -> Client<C, B>
where
    C: legacy::connect::Connect + Clone,
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector)
}

/// Connects over TCP.
#[derive(Clone)]
struct Tcp;

/// Connects to a Unix socket.
#[derive(Clone)]
struct Unix(Arc<Path>);

type Connecting<S> = Pin<Box<dyn Future<Output = io::Result<TokioIo<S>>> + Send>>;

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Connecting<TcpStream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(connected(async move {
            let host = uri.host().unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(80))).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        }))
    }
}

impl Service<Uri> for Unix {
    type Response = TokioIo<unix::Stream>;
    type Error = io::Error;
    type Future = Connecting<unix::Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = PathBuf::from(&*self.0);
        Box::pin(connected(unix::connect(path)))
    }
}

/// Unix sockets: the only part that differs between systems.
#[cfg(unix)]
mod unix {
    pub(super) use tokio::net::UnixStream as Stream;

    pub(super) async fn connect(path: std::path::PathBuf) -> std::io::Result<Stream> {
        Stream::connect(path).await
    }
}

/// Systems without Unix sockets, where [`Upstream::parse`] accepts no address of one.
#[cfg(not(unix))]
mod unix {
    pub(super) use tokio::net::TcpStream as Stream;

    pub(super) async fn connect(_: std::path::PathBuf) -> std::io::Result<Stream> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

async fn connected<S>(connecting: impl Future<Output = io::Result<S>>) -> io::Result<TokioIo<S>> {
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(stream) => stream.map(TokioIo::new),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_a_host_and_a_port_or_a_path() {
        for (address, authority) in [
            ("http://127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("http://django/", Some("django")),
            ("http://[::1]:8000", Some("[::1]:8000")),
            ("unix:/run/site.sock", cfg!(unix).then_some("localhost")),
            ("unix:", None),
            ("127.0.0.1:8000", None),
            ("https://127.0.0.1:8000", None),
            ("http://127.0.0.1:8000/app", None),
            ("http://ana:secret@127.0.0.1:8000", None),
            ("", None),
        ] {
            let upstream = Upstream::<String>::parse(address).ok();
            let found = upstream.map(|upstream| upstream.authority().to_string());
            assert_eq!(found.as_deref(), authority, "{address}");
        }
    }
}
