//! TLS for the server, by rustls.

use super::{
    listener::{Accepted, ErasedListener, Listener},
    socket::AcceptedStream,
};
use crate::{
    byte_stream::ByteStream,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    rejection_log::{Peer, Rejected, Rule},
};
use rustls::{
    InconsistentKeys, InvalidMessage, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    server::Acceptor,
};
use std::{
    any::Any,
    fmt,
    future::Future,
    io::{self, IoSlice},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{oneshot, watch},
    time::{Instant, sleep_until},
};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};
use tokio_util::task::AbortOnDropHandle;

/// A [`Listener`] that speaks TLS 1.2 and 1.3 over another one, and offers HTTP/2 and HTTP/1.1
/// (ALPN, RFC 7301).
///
/// It reads its certificate and key from PEM files, and again within 10 s after one of them has
/// changed: a renewed certificate needs no restart. A client that does not complete the TLS
/// handshake within [`head_timeout`](crate::Serve::head_timeout) is disconnected.
///
/// ```no_run
/// use seaway::{Result, TlsListener, bind_tcp, serve};
/// # use seaway::routing::ProtocolTypeRouter;
///
/// # async fn start(app: ProtocolTypeRouter) -> Result<()> {
/// let tcp = bind_tcp("0.0.0.0:443").await?;
/// let tls = TlsListener::new(tcp, "/etc/tls/fullchain.pem", "/etc/tls/privkey.pem")?;
/// serve(tls, app).await?;
/// # Ok(()) }
/// ```
///
/// For client certificates, several certificates, or keys that are not in files, see
/// [`with_config`](TlsListener::with_config).
pub struct TlsListener {
    inner: Box<dyn ErasedListener>,
    acceptor: watch::Receiver<TlsAcceptor>,
    /// `None` if the certificate is not read from files.
    certificate: Option<PathBuf>,
    /// Until the first call of `accept`, which is within a runtime.
    reload: Option<CertificateReload>,
    reloading: Option<AbortOnDropHandle<()>>,
}

/// How often the files are checked for changes.
const CHECK_EVERY: Duration = Duration::from_secs(10);

impl TlsListener {
    /// Creates a listener with the certificate chain and the private key in these PEM files.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] with the file and the reason, if a file cannot be read, is not a regular
    /// file, contains no certificate or key, or if the key is not the certificate's.
    pub fn new(
        listener: impl Listener,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self> {
        let files = CertificateFiles {
            certificate: certificate.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
        };
        let modified = files.modified();
        let (loaded, acceptor) = watch::channel(files.load()?);
        Ok(Self {
            inner: Box::new(listener),
            acceptor,
            certificate: Some(files.certificate.clone()),
            reload: Some(CertificateReload {
                files: Arc::new(files),
                modified,
                checked: Instant::now(),
                loaded,
            }),
            reloading: None,
        })
    }

    /// Creates a listener with a configuration of your own, of rustls 0.23, as for client
    /// certificates or for a certificate per server name.
    ///
    /// It offers the protocols of `alpn_protocols`: without `h2` there, no client uses HTTP/2. The
    /// configuration is not read from files, so it is not reloaded; a
    /// [`ResolvesServerCert`](rustls::server::ResolvesServerCert) of your own can do that.
    ///
    /// ```
    /// use seaway::{Listener, TlsListener};
    /// use std::sync::Arc;
    ///
    /// fn with_http_2(tcp: impl Listener, mut config: rustls::ServerConfig) -> TlsListener {
    ///     config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    ///     TlsListener::with_config(tcp, Arc::new(config))
    /// }
    /// ```
    pub fn with_config(listener: impl Listener, config: Arc<ServerConfig>) -> Self {
        Self {
            inner: Box::new(listener),
            acceptor: watch::channel(TlsAcceptor::from(config)).1,
            certificate: None,
            reload: None,
            reloading: None,
        }
    }
}

impl Listener for TlsListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        if let Some(reload) = self.reload.take() {
            // A task of its own: no client is accepted while `max_connections` is reached.
            self.reloading = Some(AbortOnDropHandle::new(tokio::spawn(reload.run())));
        }
        let accepted = self.inner.accept().await?;
        let acceptor = self.acceptor.borrow().clone();
        Ok(accepted.map(move |socket, client| {
            // A socket that fails here fails again when it is read.
            _ = socket.set_options();
            let peer = Peer::without_request(client);
            let stream = LazyTlsStream::Handshake(Box::pin(handshake(acceptor, socket, peer)));
            AcceptedStream::Other(Box::new(stream), LazyTlsStream::inner_socket)
        }))
    }

    fn local_addr(&self) -> io::Result<String> {
        self.inner.local_addr()
    }
}

impl fmt::Debug for TlsListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsListener")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// The repeated check of the files. Clients are accepted meanwhile, even if a file is on a file
/// system that does not respond.
struct CertificateReload {
    files: Arc<CertificateFiles>,
    /// When the files were last modified, as loaded.
    modified: Modified,
    /// When the last check ended.
    checked: Instant,
    loaded: watch::Sender<TlsAcceptor>,
}

/// When the certificate and the key were last modified.
type Modified = [Option<FileTimes>; 2];

/// When a file was last modified, and on Unix when it was last put in place (ctime): a file that
/// replaces another may be as old as that one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileTimes {
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl FileTimes {
    fn of(file: &Path) -> Option<Self> {
        let data = file.metadata().ok()?;
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            (data.ctime(), data.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = (0, 0);
        let modified = data.modified().ok();
        Some(Self { modified, changed })
    }
}

/// The outcome of a check; `None` if the files have not changed.
type FileCheck = Option<(Modified, Result<TlsAcceptor>)>;

impl CertificateReload {
    /// Loads the files each time they have changed. Until they can be loaded, the old ones remain in
    /// use.
    async fn run(mut self) {
        loop {
            sleep_until(self.checked + CHECK_EVERY).await;
            let checked = self.files.check(self.modified).await;
            self.checked = Instant::now();
            // A check without an outcome is one whose thread could not be started.
            let Ok(Some((modified, loaded))) = checked else {
                continue;
            };
            match loaded {
                Ok(acceptor) => {
                    self.modified = modified;
                    self.loaded.send_replace(acceptor);
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
}

/// The files of a certificate and its key.
struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
}

impl CertificateFiles {
    fn modified(&self) -> Modified {
        [&self.certificate, &self.key].map(|file| FileTimes::of(file))
    }

    /// Loads the files, if they were modified since, on a thread of its own: one of the runtime's
    /// would keep the server from ending for as long as a file system does not respond.
    fn check(self: &Arc<Self>, since: Modified) -> oneshot::Receiver<FileCheck> {
        let (done, checked) = oneshot::channel();
        let files = self.clone();
        let checking = move || {
            let modified = files.modified();
            let loaded = (modified != since).then(|| (modified, files.load()));
            // Nobody waits for it if the server has ended.
            _ = done.send(loaded);
        };
        let thread = thread::Builder::new().name("tls-certificate".to_owned());
        if let Err(error) = thread.spawn(checking) {
            log_limited!(error, %error, "cannot start a thread that checks the TLS certificate");
        }
        checked
    }

    fn load(&self) -> Result<TlsAcceptor> {
        let (certificate, key) = (&self.certificate, &self.key);
        check_is_file("certificate", certificate)?;
        check_is_file("key", key)?;
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
            .map_err(|source| failed_pem("read the TLS certificate", certificate, source))?;
        if chain.is_empty() {
            return Err(holds_no("certificate", certificate));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|source| match source {
            pem::Error::NoItemsFound => holds_no("private key", key),
            other => failed_pem("read the TLS key", key, other),
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| failed("configure TLS with the key", key, source))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|source| match source {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    let (certificate, key) = (certificate.display(), key.display());
                    let message = format!("{key} is not the key of the certificate {certificate}");
                    Error::new(ErrorKind::Io, message)
                }
                other => failed("use the TLS certificate", certificate, other),
            })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Checks that this is a regular file: a reader of a named pipe may wait without end, and the next
/// checks with it.
fn check_is_file(what: &str, file: &Path) -> Result<()> {
    let operation = format!("read the TLS {what}");
    let data = file.metadata();
    let data = data.map_err(|source| failed(&operation, file, source))?;
    if data.is_file() {
        return Ok(());
    }
    let reason = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
    Err(failed(&operation, file, reason))
}

fn holds_no(what: &str, file: &Path) -> Error {
    let file = file.display();
    let message = format!("{file} holds no {what} in PEM; are the two files swapped?");
    Error::new(ErrorKind::Io, message)
}

/// Returns the error of a file that is no PEM. That of a file without its end would list the bytes of
/// the line that is missing.
fn failed_pem(operation: &str, file: &Path, source: pem::Error) -> Error {
    let pem::Error::MissingSectionEnd { .. } = source else {
        return failed(operation, file, source);
    };
    let reason = "the file ends within a section; is it still being written?";
    let reason = io::Error::new(io::ErrorKind::UnexpectedEof, reason);
    failed(operation, file, reason)
}

fn failed(
    operation: &str,
    file: &Path,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    let message = format!("cannot {operation} {}", file.display());
    Error::new(ErrorKind::Io, message).with_source(source)
}

/// Performs the TLS handshake, and logs the rejection of a client with which it fails.
///
/// A client that leaves before it has sent a `ClientHello` is not rejected: the health check of a
/// load balancer may only connect.
async fn handshake(
    acceptor: TlsAcceptor,
    socket: AcceptedStream,
    peer: Peer,
) -> io::Result<TlsStream<AcceptedStream>> {
    let rejected = |error: &io::Error| {
        let reason = rejection_reason(error);
        peer.log_rejection(Rule::Tls, Rejected::Disconnect, Some(&reason));
    };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), socket).await;
    let hello = hello.inspect_err(|error| {
        if tls_error(error).is_some() {
            rejected(error);
        }
    })?;
    let accepted = hello.into_stream(acceptor.config().clone()).await;
    accepted.inspect_err(rejected)
}

/// Returns the violation of TLS, if that is the error.
fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn rejection_reason(error: &io::Error) -> String {
    match tls_error(error) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "the client sent no TLS, but probably plain HTTP: its URL needs `https` or `wss`"
                .to_owned()
        }
        Some(error) => format!("the TLS handshake failed: {error}"),
        None => format!("the client left during the TLS handshake: {error}"),
    }
}

/// A TLS handshake in progress.
type TlsHandshake = Pin<Box<dyn Future<Output = io::Result<TlsStream<AcceptedStream>>> + Send>>;

/// A connection that performs its TLS handshake when it is first read or written.
enum LazyTlsStream {
    Handshake(TlsHandshake),
    Open(Box<TlsStream<AcceptedStream>>),
    /// The handshake has failed.
    Failed,
}

impl LazyTlsStream {
    /// Returns the socket of such a stream, once it is open.
    fn inner_socket(stream: &dyn ByteStream) -> Option<&AcceptedStream> {
        let stream: &dyn Any = stream;
        match stream.downcast_ref()? {
            Self::Open(stream) => Some(stream.get_ref().0),
            Self::Handshake(_) | Self::Failed => None,
        }
    }

    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut TlsStream<AcceptedStream>>>> {
        if let Self::Handshake(handshake) = self {
            let accepted = ready!(handshake.as_mut().poll(cx));
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

impl AsyncRead for LazyTlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for LazyTlsStream {
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
