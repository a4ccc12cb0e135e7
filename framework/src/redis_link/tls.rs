//! TLS by rustls.

use super::connect_error::{Cause, ConnectError};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
};
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    fs, io,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long connections wait for a check of the files. One that takes longer continues, but what was
/// read before is used until it ends.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);

/// A client of TLS 1.2 and 1.3, which always verifies the server's certificate and host name.
///
/// Before each connection, files that have changed are read again: certificates are replaced while a
/// process runs.
#[derive(Clone)]
pub(super) struct Tls {
    files: Arc<Files>,
    state: Arc<Mutex<TlsState>>,
}

struct TlsState {
    loaded: Loaded,
    check: Option<RunningCheck>,
}

/// What was read last.
struct Loaded {
    connector: TlsConnector,
    modified: [Option<SystemTime>; 3],
}

/// A check whether the files have changed: one at a time, on a thread of its own. A file system may
/// not respond, which must stop neither the runtime nor its end.
#[derive(Clone)]
struct RunningCheck {
    deadline: Instant,
    /// Why the changed files cannot be used, at the end; then the sender is dropped.
    outcome: watch::Receiver<Option<Arc<str>>>,
}

/// The files of TLS, in PEM.
#[derive(Default)]
pub(super) struct Files {
    /// The certificates of the authorities that are trusted (default: those of the system).
    pub(super) authorities: Option<String>,
    /// The certificate chain of this client, if the server requires one.
    pub(super) certificate: Option<String>,
    /// Its key.
    pub(super) key: Option<String>,
    /// The authorities of the system, once they are read.
    of_system: OnceLock<Arc<RootCertStore>>,
}

impl Files {
    /// Returns whether there is any.
    fn are_named(&self) -> bool {
        [&self.authorities, &self.certificate, &self.key]
            .iter()
            .any(|file| file.is_some())
    }

    /// Returns when each file was modified last.
    fn modified(&self) -> [Option<SystemTime>; 3] {
        [&self.authorities, &self.certificate, &self.key].map(|file| {
            let metadata = fs::metadata(file.as_ref()?).ok()?;
            metadata.modified().ok()
        })
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] with the file and the reason.
    pub(super) fn new(files: Files) -> Result<Self> {
        let loaded = Loaded::read(&files)?;
        let state = TlsState {
            loaded,
            check: None,
        };
        Ok(Self {
            files: Arc::new(files),
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// Returns whether this client has a certificate.
    pub(super) fn has_certificate(&self) -> bool {
        self.files.certificate.is_some()
    }

    /// Performs the TLS handshake.
    ///
    /// # Errors
    /// The reason, above all if the certificate is not valid.
    pub(super) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let reason = format!("`{host}` cannot be the name in a certificate");
            ConnectError::new(reason, Cause::Denied)
        })?;
        let connecting = self.connector().await.connect(name, stream).await;
        connecting.map_err(|error| failed(host, &error))
    }

    /// Returns the connector for the files as they are now. If one cannot be used, as while they are
    /// being replaced, it is what was read last.
    ///
    /// # Cancel safety
    /// Safe: the check continues.
    async fn connector(&self) -> TlsConnector {
        if self.files.are_named()
            && let Err(error) = self.check().ended().await
        {
            log_limited!(
                warn,
                %error,
                "cannot read changed TLS files for Redis; using what was read before"
            );
        }
        self.state().loaded.connector.clone()
    }

    /// Returns the check in progress, or starts one.
    fn check(&self) -> RunningCheck {
        let mut state = self.state();
        if let Some(check) = &state.check
            && check.is_running()
        {
            return check.clone();
        }
        let (done, mut outcome) = watch::channel(None);
        let tls = self.clone();
        let modified = state.loaded.modified;
        let checking = move || {
            if let Err(error) = tls.update(modified) {
                done.send_replace(Some(error));
            }
        };
        let thread = thread::Builder::new().name("redis-tls-files".to_owned());
        if let Err(error) = thread.spawn(checking) {
            let error = format!("cannot start a thread that reads them: {error}");
            (_, outcome) = watch::channel(Some(error.into()));
        }
        let check = RunningCheck {
            deadline: Instant::now() + CHECK_TIMEOUT,
            outcome,
        };
        state.check.insert(check).clone()
    }

    /// Reads the files if they were modified since; blocks the thread.
    ///
    /// # Errors
    /// The file and the reason.
    fn update(&self, since: [Option<SystemTime>; 3]) -> Result<(), Arc<str>> {
        if self.files.modified() != since {
            let read = Loaded::read(&self.files);
            self.state().loaded = read.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, TlsState> {
        let state = self.state.lock();
        state.expect("no code panics while it holds this lock")
    }
}

impl RunningCheck {
    fn is_running(&self) -> bool {
        self.outcome.has_changed().is_ok()
    }

    /// Waits until the check has ended, at most until its deadline.
    ///
    /// # Errors
    /// Why the files cannot be used as they are now.
    async fn ended(mut self) -> Result<(), Arc<str>> {
        let ended = async { while self.outcome.changed().await.is_ok() {} };
        if timeout_at(self.deadline, ended).await.is_err() {
            return Err("their file system does not respond within 0.5 s".into());
        }
        match &*self.outcome.borrow() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Loaded {
    fn read(files: &Files) -> Result<Self> {
        // First: a file that changes while it is read is read again.
        let modified = files.modified();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the ciphers of TLS 1.2 and 1.3")
            .with_root_certificates(authorities(files)?);
        let config = match (&files.certificate, &files.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let private = PrivateKeyDer::from_pem_file(key)
                    .map_err(|source| unreadable("key", key, &source))?;
                builder
                    .with_client_auth_cert(chain, private)
                    .map_err(|source| unreadable("certificate", certificate, &source))?
            }
            _ => {
                let message = "a certificate for Redis needs both ssl_certfile and ssl_keyfile";
                return Err(Error::new(ErrorKind::Layer, message));
            }
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            modified,
        })
    }
}

fn authorities(files: &Files) -> Result<Arc<RootCertStore>> {
    let mut trusted = RootCertStore::empty();
    let Some(file) = &files.authorities else {
        if let Some(of_system) = files.of_system.get() {
            return Ok(of_system.clone());
        }
        let of_system = rustls_native_certs::load_native_certs();
        trusted.add_parsable_certificates(of_system.certs);
        if trusted.is_empty() {
            let message = "this system trusts no certificate authority; install its certificates (package ca-certificates), or \
                           name those of your Redis with ?ssl_ca_certs=/path/ca.pem";
            return Err(Error::new(ErrorKind::Layer, message));
        }
        return Ok(files.of_system.get_or_init(|| Arc::new(trusted)).clone());
    };
    for certificate in certificates(file)? {
        let added = trusted.add(certificate);
        added.map_err(|source| unreadable("certificate", file, &source))?;
    }
    Ok(Arc::new(trusted))
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|source| unreadable("certificate", file, &source))?;
    match certificates.is_empty() {
        true => Err(unreadable("certificate", file, &"it contains none in PEM")),
        false => Ok(certificates),
    }
}

fn unreadable(what: &str, file: &str, reason: &dyn std::fmt::Display) -> Error {
    let message = format!("cannot use the TLS {what} for Redis in {file}: {reason}");
    Error::new(ErrorKind::Layer, message)
}

/// Returns why a handshake failed.
fn failed(host: &str, error: &io::Error) -> ConnectError {
    let source = error.get_ref().and_then(|source| source.downcast_ref());
    let reason = match source {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its TLS certificate is of an authority that is not trusted; name the authority's \
                                                certificate with ?ssl_ca_certs=/path/ca.pem"
                    .to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "its TLS certificate is for other names than {host}; use a name that is in it"
                )
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its TLS certificate has expired; renew it".to_owned()
            }
            // `webpki` has no kind for it that rustls passes on.
            why if format!("{why:?}").contains("CaUsedAsEndEntity") => {
                "its TLS certificate is that of an authority, as `openssl req -x509` makes it; sign another \
                                                certificate with it for the server"
                    .to_owned()
            }
            why => format!("its TLS certificate is not valid: {why}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not use TLS; write redis://, or use its TLS port".to_owned()
        }
        Some(why) => format!("the TLS handshake failed: {why}"),
        None => {
            let reason = format!("the TLS handshake failed: {error}");
            return ConnectError::new(reason, Cause::Unreachable);
        }
    };
    ConnectError::new(reason, Cause::Denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_of_the_system_are_read_once() {
        let files = Files::default();
        let read = || authorities(&files).expect("authorities (apt-get install ca-certificates)");

        assert!(Arc::ptr_eq(&read(), &read()));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_cannot_be_read_for_a_while_stops_neither_connections_nor_the_runtime() {
        const DEADLINE: Duration = Duration::from_secs(5);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertificateParams::default().self_signed(&key);
        let authority = authority.unwrap().pem();
        let name = format!("seaway-redis-tls-{}.pem", std::process::id());
        let file = std::env::temp_dir().join(name);
        fs::write(&file, &authority).unwrap();
        let tls = Tls::new(Files {
            authorities: Some(file.display().to_string()),
            ..Files::default()
        });
        let tls = tls.unwrap();
        let before = tls.connector().await;

        // A reader of a named pipe waits until somebody writes.
        fs::remove_file(&file).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&file).status();
        assert!(made.unwrap().success());
        let (write, may_write) = std::sync::mpsc::channel::<()>();
        let writer = thread::spawn({
            let file = file.clone();
            move || {
                _ = may_write.recv_timeout(DEADLINE);
                fs::write(file, authority)
            }
        });
        let start = Instant::now();
        for _ in 0..3 {
            let used = tls.connector().await;
            assert!(Arc::ptr_eq(used.config(), before.config()));
            assert!(start.elapsed() < DEADLINE, "it waits for the file");
            assert_eq!(Arc::strong_count(&tls.state), 2, "one check at a time");
        }

        drop(write);
        writer.join().unwrap().unwrap();
        let check = RunningCheck {
            deadline: Instant::now() + DEADLINE,
            ..tls.check()
        };
        check.ended().await.unwrap();
        let after = tls.state().loaded.connector.clone();
        assert!(!Arc::ptr_eq(after.config(), before.config()));
        fs::remove_file(&file).unwrap();
    }
}
