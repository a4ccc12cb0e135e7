//! Another HTTP server: its address, and the connections to it.

mod connector;

use self::connector::{OpenedAt, Tcp, Unix, unix};
use crate::{byte_stream::ByteStream, error::BoxError};
use bytes::Bytes;
use http::{Extensions, Request, Response, Uri, uri::Authority};
use http_body::Body;
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use std::{
    error::Error as StdError,
    fmt, io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

/// How long a connection without a request is kept: less than gunicorn does (2 s), so that it
/// seldom closes a connection on which a request is being sent.
const IDLE: Duration = Duration::from_secs(1);
/// The number of such connections.
const IDLE_CONNECTIONS: usize = 64;

/// A server, with the connections to it; `B` is the body of the requests.
pub(crate) struct Upstream<B> {
    address: String,
    authority: Authority,
    connections: AnyConnections<B>,
}

enum AnyConnections<B> {
    Tcp(Connections<Tcp, B>),
    Unix(Connections<Unix, B>),
}

impl<B> Upstream<B>
where
    B: Body<Error: Into<BoxError>, Data: Send> + Default + Send + Unpin + 'static,
{
    /// Parses the address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(address: &str) -> Result<Self, &'static str> {
        let (authority, connections) = if let Some(path) = address.strip_prefix("unix:") {
            if !cfg!(unix) {
                return Err("this system has no Unix sockets");
            }
            if path.is_empty() {
                return Err("the path of the socket is missing");
            }
            let path = Arc::from(Path::new(path));
            (
                Authority::from_static("localhost"),
                AnyConnections::Unix(Connections::new(Unix(path))),
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
            if authority.as_str() != authority.host() && authority.port_u16().is_none() {
                return Err("the port is not a number up to 65535");
            }
            (authority, AnyConnections::Tcp(Connections::new(Tcp)))
        };
        Ok(Self {
            address: address.to_owned(),
            authority,
            connections,
        })
    }

    pub(crate) fn authority(&self) -> Authority {
        self.authority.clone()
    }

    /// Sends a request, and waits for the head of the response.
    ///
    /// If the server ends a kept connection without a response, a request without a body whose
    /// method is safe is sent once more, on a new connection.
    pub(crate) async fn send(
        &self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        match &self.connections {
            AnyConnections::Tcp(connections) => connections.send(request).await,
            AnyConnections::Unix(connections) => connections.send(request).await,
        }
    }
}

impl<B> fmt::Debug for Upstream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

/// Returns the stream of a connection that has switched protocols, and the bytes that were read
/// after the head of the response: a bare socket where hyper has one.
#[cfg(feature = "proxy")]
pub(crate) fn switched(upgraded: Upgraded) -> (Box<dyn ByteStream>, Bytes) {
    let upgraded = match connector::released::<TcpStream>(upgraded) {
        Ok(released) => return released,
        Err(upgraded) => upgraded,
    };
    match connector::released::<unix::Stream>(upgraded) {
        Ok(released) => released,
        Err(upgraded) => (Box::new(TokioIo::new(upgraded)), Bytes::new()),
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

/// The connections to the server, opened by `C`.
struct Connections<C, B> {
    /// Those that are kept for further requests.
    kept: Client<C, B>,
    /// New ones, each for a single request.
    new: Client<C, B>,
}

impl<C, B> Connections<C, B>
where
    C: legacy::connect::Connect + Clone + Send + Sync + 'static,
    B: Body<Error: Into<BoxError>, Data: Send> + Default + Send + Unpin + 'static,
{
    fn new(connector: C) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            // The host is the client's, not that of the address.
            .set_host(false);
        let kept = builder.build(connector.clone());
        let new = builder.pool_max_idle_per_host(0).build(connector);
        Self { kept, new }
    }

    async fn send(&self, request: Request<B>) -> Result<Response<Incoming>, legacy::Error> {
        let (again, began) = (repeatable(&request), Instant::now());
        match (self.kept.request(request).await, again) {
            (Err(error), Some(request)) if has_ended_since(&error, began) => {
                self.new.request(request).await
            }
            (outcome, _) => outcome,
        }
    }
}

/// Returns a copy of a request that may be sent twice: of a safe method (RFC 9110, 9.2.1), without
/// a body.
fn repeatable<B: Body + Default>(request: &Request<B>) -> Option<Request<B>> {
    if !request.method().is_safe() || !request.body().is_end_stream() {
        return None;
    }
    let mut copy = Request::new(B::default());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

/// Returns whether the server has ended a connection without a response, which was opened before
/// this time: it may have done so before the request arrived.
fn has_ended_since(error: &legacy::Error, began: Instant) -> bool {
    let mut extras = Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    let is_kept = |OpenedAt(opened): &OpenedAt| *opened < began;
    extras.get().is_some_and(is_kept) && sources(error).any(is_end)
}

/// Returns whether this is the end of a connection.
fn is_end(error: &(dyn StdError + 'static)) -> bool {
    let is_end = |kind| {
        matches!(
            kind,
            io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
        )
    };
    let io = error.downcast_ref::<io::Error>();
    let hyper = error.downcast_ref::<hyper::Error>();
    io.is_some_and(|error| is_end(error.kind()))
        || hyper.is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
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
            ("http://127.0.0.1:65535", Some("127.0.0.1:65535")),
            ("http://127.0.0.1:65536", None),
            ("http://django:99999", None),
            ("http://django:", None),
            ("http://[::1]:99999", None),
            ("http://[::1]", Some("[::1]")),
            ("", None),
        ] {
            let upstream = Upstream::<String>::parse(address).ok();
            let found = upstream.map(|upstream| upstream.authority().to_string());
            assert_eq!(found.as_deref(), authority, "{address}");
        }
    }
}
