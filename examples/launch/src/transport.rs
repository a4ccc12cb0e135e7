//! The transport under HTTP: TCP, TLS or a Unix socket.

use crate::{Address, Flag, Mistake, Settings};
use seaway::{
    Accepted, Error, ErrorKind, InheritedListener, Listener, ProxyProtocol, Result,
    ReusePortListener, TlsListener, TrustedProxies,
};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The transport, set with `--tls-cert` and `--tls-key`, or with `--unix`, whether other processes
/// listen on the same port, with `--reuse-port`, and the proxies in front of it, with
/// `--trusted-proxies` and what they send, with `--x-forwarded-host`, `--forwarded-header` or
/// `--proxy-protocol`.
#[derive(Clone, Debug, Default)]
pub struct Transport {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    unix: Option<PathBuf>,
    proxies: Option<TrustedProxies>,
    has_forwarded_host: bool,
    has_forwarded_header: bool,
    has_proxy_protocol: bool,
    shares_port: bool,
}

/// The options of [`Transport`], for [`Program::settings`](crate::Program::settings).
pub const TRANSPORT_OPTIONS: Settings = &[
    (
        "--tls-cert F",
        "serve TLS with this PEM file of the certificate chain",
    ),
    ("--tls-key F", "and with the private key in this PEM file"),
    (
        "-u, --unix PATH",
        "listen on a Unix socket instead of an address",
    ),
    (
        "--reuse-port",
        "share the port with other processes (SO_REUSEPORT)",
    ),
    (
        "--trusted-proxies A,B",
        "the proxies whose X-Forwarded-For and -Proto count: addresses, networks, unix",
    ),
    (
        "--x-forwarded-host",
        "trusted proxies set X-Forwarded-Host, too",
    ),
    (
        "--forwarded-header",
        "trusted proxies send Forwarded (RFC 7239) instead of X-Forwarded-*",
    ),
    (
        "--proxy-protocol",
        "trusted proxies send the PROXY protocol instead of forwarded headers",
    ),
];

/// A listener of a program, and its address.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// TCP on a port that other processes share.
    Shared(ReusePortListener),
    /// A socket that the supervisor of this process has opened.
    Inherited(InheritedListener),
    /// One of these behind proxies that speak the PROXY protocol.
    Proxied {
        /// With the other one inside.
        listener: ProxyProtocol,
        /// The URL of the other one.
        url: String,
    },
    /// TLS over TCP.
    Tls(TlsListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl Transport {
    /// Reads one of these options; returns whether it is one.
    ///
    /// # Errors
    /// If the option has no value, or a trusted proxy is not an address or a network.
    pub fn read(&mut self, flag: &mut Flag<'_>) -> Result<bool, Mistake> {
        let switch = match flag.name() {
            "--x-forwarded-host" => Some(&mut self.has_forwarded_host),
            "--forwarded-header" => Some(&mut self.has_forwarded_header),
            "--reuse-port" => Some(&mut self.shares_port),
            "--proxy-protocol" => Some(&mut self.has_proxy_protocol),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = true;
            return Ok(true);
        }
        let file = match flag.name() {
            "--tls-cert" => &mut self.certificate,
            "--tls-key" => &mut self.key,
            "--unix" => &mut self.unix,
            "--trusted-proxies" => {
                self.proxies = Some(flag.value()?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *file = Some(flag.value()?);
        Ok(true)
    }

    /// Returns whether clients connect by TLS.
    pub fn is_tls(&self) -> bool {
        self.certificate.is_some()
    }

    /// Returns the proxies whose headers count.
    pub fn trusted_proxies(&self) -> Option<TrustedProxies> {
        let mut proxies = match self.has_proxy_protocol {
            true => None,
            false => self.proxies.clone(),
        };
        if self.has_forwarded_host {
            proxies = proxies.map(TrustedProxies::x_forwarded_host);
        }
        if self.has_forwarded_header {
            proxies = proxies.map(TrustedProxies::forwarded_header);
        }
        proxies
    }

    /// Listens on the Unix socket, on the socket that systemd has passed (`LISTEN_FDS`), or at this
    /// address.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; the message names the option to change.
    pub async fn listen(&self, address: &Address) -> Result<Listening, Error> {
        match (&self.certificate, &self.key, &self.unix) {
            (None, None, None) => self.listen_tcp(address).await,
            (Some(certificate), Some(key), None) => {
                let tcp = self.listen_tcp(address).await?;
                Ok(Listening::Tls(TlsListener::new(tcp, certificate, key)?))
            }
            (None, None, Some(path)) => self.proxied(Listening::Unix(listen_on(path).await?)),
            (_, _, None) => Err(Error::new(
                ErrorKind::Io,
                "pass both --tls-cert and --tls-key",
            )),
            (_, _, Some(_)) => Err(Error::new(
                ErrorKind::Io,
                "pass --unix without --tls-cert and --tls-key: a Unix socket has no TLS",
            )),
        }
    }

    async fn listen_tcp(&self, address: &Address) -> Result<Listening, Error> {
        let listening = match InheritedListener::take(0)? {
            Some(listener) => Listening::Inherited(listener),
            None if self.shares_port => Listening::Shared(address.share().await?),
            None => Listening::Tcp(address.listen().await?),
        };
        self.proxied(listening)
    }

    /// Wraps a listener behind proxies that speak the PROXY protocol, if there are some.
    fn proxied(&self, listening: Listening) -> Result<Listening, Error> {
        match (self.has_proxy_protocol, &self.proxies) {
            (false, _) => Ok(listening),
            (true, Some(proxies)) => Ok(Listening::Proxied {
                url: listening.url()?,
                listener: ProxyProtocol::new(listening, proxies.clone()),
            }),
            (true, None) => Err(Error::new(
                ErrorKind::Io,
                "--proxy-protocol needs --trusted-proxies: the addresses of the proxies, or `unix`",
            )),
        }
    }
}

/// Listens on a Unix socket, in place of one that an earlier run has left.
async fn listen_on(path: &Path) -> Result<UnixListener, Error> {
    let is_socket = path
        .symlink_metadata()
        .is_ok_and(|file| file.file_type().is_socket());
    if is_socket && is_refused(UnixStream::connect(path).await) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path).map_err(|error| {
        let message = format!("cannot listen on {}; choose another --unix", path.display());
        Error::new(ErrorKind::Io, message).with_source(error)
    })
}

/// Returns whether nobody listens on the socket.
fn is_refused(connected: io::Result<UnixStream>) -> bool {
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

impl Listening {
    /// Returns the address to open in a browser, or the path of the socket.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn url(&self) -> io::Result<String> {
        Ok(match self {
            Self::Tcp(listener) => format!("http://{}", Listener::local_addr(listener)?),
            Self::Shared(listener) => format!("http://{}", listener.local_addr()?),
            Self::Inherited(listener) => format!("http://{}", listener.local_addr()?),
            Self::Proxied { url, .. } => url.clone(),
            Self::Tls(listener) => format!("https://{}", listener.local_addr()?),
            Self::Unix(listener) => format!("unix:{}", Listener::local_addr(listener)?),
        })
    }

    /// Returns whether only this machine can connect.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn is_local(&self) -> io::Result<bool> {
        Ok(match self {
            Self::Tcp(listener) => listener.local_addr()?.ip().is_loopback(),
            Self::Shared(listener) => is_loopback(&listener.local_addr()?),
            Self::Inherited(listener) => is_loopback(&listener.local_addr()?),
            Self::Tls(_) | Self::Proxied { .. } => false,
            Self::Unix(_) => true,
        })
    }
}

fn is_loopback(address: &str) -> bool {
    let address = address.parse();
    address.is_ok_and(|address: SocketAddr| address.ip().is_loopback())
}

impl Listener for Listening {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => Listener::accept(listener).await,
            Self::Shared(listener) => listener.accept().await,
            Self::Inherited(listener) => listener.accept().await,
            Self::Proxied { listener, .. } => listener.accept().await,
            Self::Tls(listener) => listener.accept().await,
            Self::Unix(listener) => Listener::accept(listener).await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => Listener::local_addr(listener),
            Self::Shared(listener) => listener.local_addr(),
            Self::Inherited(listener) => listener.local_addr(),
            Self::Proxied { listener, .. } => listener.local_addr(),
            Self::Tls(listener) => listener.local_addr(),
            Self::Unix(listener) => Listener::local_addr(listener),
        }
    }
}
