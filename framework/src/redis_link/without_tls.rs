//! What replaces TLS without the feature `redis-tls`: nothing can be created.

use super::connect_error::ConnectError;
use crate::error::{Error, ErrorKind, Result};
use std::convert::Infallible;
use tokio::net::TcpStream;

/// No TLS.
#[derive(Clone)]
pub(super) struct Tls(Infallible);

/// The files of TLS, in PEM.
#[derive(Default)]
pub(super) struct Files {
    pub(super) authorities: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

impl Tls {
    /// # Errors
    /// [`ErrorKind::Layer`] always.
    pub(super) fn new(_: Files) -> Result<Self> {
        let message = "this program was built without TLS for Redis; enable the feature `redis-tls` of seaway, or use redis://";
        Err(Error::new(ErrorKind::Layer, message))
    }

    pub(super) fn has_certificate(&self) -> bool {
        match self.0 {}
    }

    pub(super) async fn connect(&self, _: &str, _: TcpStream) -> Result<TcpStream, ConnectError> {
        match self.0 {}
    }
}
