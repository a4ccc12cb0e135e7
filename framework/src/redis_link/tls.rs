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
    sync::{Arc, Mutex},
    time::SystemTime,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A client of TLS 1.2 and 1.3, which always verifies the server's certificate and host name.
///
/// Before each connection, files that have changed are read again: certificates are replaced while a
/// process runs.
#[derive(Clone)]
pub(super) struct Tls {
    files: Arc<Files>,
    loaded: Arc<Mutex<Loaded>>,
}

/// What was read last.
struct Loaded {
    connector: TlsConnector,
    modified: [Option<SystemTime>; 3],
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
}

impl Files {
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
        Ok(Self {
            files: Arc::new(files),
            loaded: Arc::new(Mutex::new(loaded)),
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
        let connecting = self.connector().connect(name, stream).await;
        connecting.map_err(|error| failed(host, &error))
    }

    /// Returns the connector for the files as they are now. If one cannot be used, as while they are
    /// being replaced, it is what was read last.
    fn connector(&self) -> TlsConnector {
        let loaded = self.loaded.lock();
        let mut loaded = loaded.expect("no code panics while it holds this lock");
        if loaded.modified != self.files.modified() {
            match Loaded::read(&self.files) {
                Ok(read) => *loaded = read,
                Err(error) => log_limited!(
                    warn,
                    %error,
                    "cannot read changed TLS files for Redis; using what was read before"
                ),
            }
        }
        loaded.connector.clone()
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

fn authorities(files: &Files) -> Result<RootCertStore> {
    let mut trusted = RootCertStore::empty();
    let Some(file) = &files.authorities else {
        let of_system = rustls_native_certs::load_native_certs();
        trusted.add_parsable_certificates(of_system.certs);
        if trusted.is_empty() {
            let message = "this system trusts no certificate authority; install its certificates (package ca-certificates), or \
                           name those of your Redis with ?ssl_ca_certs=/path/ca.pem";
            return Err(Error::new(ErrorKind::Layer, message));
        }
        return Ok(trusted);
    };
    for certificate in certificates(file)? {
        let added = trusted.add(certificate);
        added.map_err(|source| unreadable("certificate", file, &source))?;
    }
    Ok(trusted)
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
