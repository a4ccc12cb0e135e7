//! TLS for the server, by rustls.

use super::{
    listener::{Accepted, ErasedListener, Listener},
    socket::Socket,
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    fmt,
    future::Future,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

/// A [`Listener`] that speaks TLS 1.2 and 1.3 over another one, and offers HTTP/2 and HTTP/1.1 (ALPN, RFC
/// 7301).
///
/// It reads its certificate and key from PEM files, and again within 10 s after one of them has
/// changed: a renewed certificate needs no restart. A client that does not complete the TLS
/// handshake within [`head_timeout`](crate::Serve::head_timeout) is disconnected.
///
/// ```no_run
/// use seaway::{Result, TlsListener, serve};
/// use tokio::net::TcpListener;
/// # use seaway::routing::ProtocolTypeRouter;
///
/// # async fn start(app: ProtocolTypeRouter) -> Result<()> {
/// let tcp = TcpListener::bind("0.0.0.0:443").await?;
/// let tls = TlsListener::new(tcp, "/etc/tls/fullchain.pem", "/etc/tls/privkey.pem")?;
/// serve(tls, app).await?;
/// # Ok(()) }
/// ```
pub struct TlsListener {
    inner: Box<dyn ErasedListener>,
    files: Files,
    acceptor: TlsAcceptor,
    checked: Instant,
}

/// How often the files are checked for changes, when a client connects.
const CHECK_EVERY: Duration = Duration::from_secs(10);

impl TlsListener {
    /// Creates a listener with the certificate chain and the private key in these PEM files.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with the file and the reason, if a file cannot be read, contains no
    /// certificate or key, or if the key is not the certificate's.
    pub fn new(
        listener: impl Listener,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self> {
        let mut files = Files {
            certificate: certificate.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
            modified: [None; 2],
        };
        files.modified = files.times();
        Ok(Self {
            inner: Box::new(listener),
            acceptor: files.load()?,
            files,
            checked: Instant::now(),
        })
    }

    /// Loads files that have changed. Until they can be loaded, the old ones remain in use.
    fn reload(&mut self) {
        if self.checked.elapsed() < CHECK_EVERY {
            return;
        }
        self.checked = Instant::now();
        let modified = self.files.times();
        if modified == self.files.modified {
            return;
        }
        match self.files.load() {
            Ok(acceptor) => {
                self.acceptor = acceptor;
                self.files.modified = modified;
                tracing::info!(certificate = %self.files.certificate.display(), "loaded the new TLS certificate");
            }
            Err(error) => log_limited!(
                error,
                error = format!("{error:#}"),
                "cannot load the new TLS certificate; the old one remains in use"
            ),
        }
    }
}

impl Listener for TlsListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let Accepted { socket, client } = self.inner.accept().await?;
        socket.set_nodelay()?;
        self.reload();
        let stream = Stream::Handshake(Box::new(self.acceptor.accept(socket)));
        Ok(Accepted::new(stream, client))
    }

    fn local_addr(&self) -> io::Result<String> {
        self.inner.local_addr()
    }
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("certificate", &self.files.certificate)
            .finish_non_exhaustive()
    }
}

/// The files of a certificate and its key.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// When they were last modified, as loaded.
    modified: [Option<SystemTime>; 2],
}

impl Files {
    fn times(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key]
            .map(|file| file.metadata().and_then(|data| data.modified()).ok())
    }

    fn load(&self) -> Result<TlsAcceptor> {
        let (certificate, key) = (&self.certificate, &self.key);
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|source| failed("read the TLS certificate", certificate, source))?;
        let private = PrivateKeyDer::from_pem_file(key)
            .map_err(|source| failed("read the TLS key", key, source))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| failed("configure TLS with the key", key, source))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|source| failed("use the TLS certificate", certificate, source))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn failed(
    operation: &str,
    file: &Path,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let message = format!("cannot {operation} {}", file.display());
    Error::new(ErrorKind::Io, message).with_source(source)
}

/// A connection that performs its TLS handshake when it is first read or written.
enum Stream {
    Handshake(Box<Accept<Socket>>),
    Open(Box<TlsStream<Socket>>),
    /// The handshake has failed.
    Failed,
}

impl Stream {
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut TlsStream<Socket>>>> {
        if let Self::Handshake(accept) = self {
            let accepted = ready!(Pin::new(&mut **accept).poll(cx));
            *self = Self::Failed;
            *self = Self::Open(Box::new(accepted?));
        }
        match self {
            Self::Open(stream) => Poll::Ready(Ok(Pin::new(stream))),
            Self::Handshake(_) | Self::Failed => {
                Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Open(stream) => Pin::new(stream).poll_flush(cx),
            Self::Handshake(_) | Self::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Open(stream) => Pin::new(stream).poll_shutdown(cx),
            // There is no TLS connection to close; dropping it closes the socket.
            Self::Handshake(_) | Self::Failed => Poll::Ready(Ok(())),
        }
    }
}
