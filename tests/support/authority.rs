//! A certificate authority of one test.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

use super::temp_dir::Scratch;

/// A certificate authority that nobody else trusts.
#[derive(Debug)]
pub struct Authority {
    scratch: Scratch,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Creates an authority.
    ///
    /// # Panics
    /// If its file cannot be written.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let scratch = Scratch::new("authority");
        let authority = Self { scratch, issuer };
        fs::write(authority.file(), authority.issuer.pem()).expect("a file");
        authority
    }

    /// Returns the file of its own certificate.
    #[must_use]
    pub fn file(&self) -> String {
        self.path("authority.pem")
    }

    /// Returns the file of its own certificate and that of its key, as a server must not use them.
    ///
    /// # Panics
    /// If a file cannot be written.
    #[must_use]
    pub fn own(&self) -> (String, String) {
        let key = self.path("authority.key");
        fs::write(&key, self.issuer.key().serialize_pem()).expect("a file for the key");
        (self.file(), key)
    }

    /// Creates a certificate for a host; returns the file of the certificate and that of its key.
    ///
    /// # Panics
    /// If a file cannot be written.
    #[must_use]
    pub fn certify(&self, host: &str) -> (String, String) {
        let params = CertificateParams::new([host.to_owned()]).expect("a valid name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = (
            self.path(&format!("{host}.pem")),
            self.path(&format!("{host}.key")),
        );
        fs::write(&files.0, certificate.pem()).expect("a file for the certificate");
        fs::write(&files.1, key.serialize_pem()).expect("a file for the key");
        files
    }

    fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).display().to_string()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
