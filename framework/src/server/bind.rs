//! The address or listener of a server.

use crate::error::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The address on which a server listens, such as `"127.0.0.1:8000"`, or an existing listener.
#[derive(Debug)]
pub struct Bind(On);

#[derive(Debug)]
enum On {
    Address(String),
    Listener(TcpListener),
}

impl Bind {
    /// Returns the listener, bound to the address if there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the address is invalid or in use.
    pub(super) async fn listener(self) -> Result<TcpListener> {
        let address = match self.0 {
            On::Listener(listener) => return Ok(listener),
            On::Address(address) => address,
        };
        let listener = TcpListener::bind(&address).await.map_err(|error| {
            let message = format!("cannot listen on {address}");
            Error::new(ErrorKind::Io, message).with_source(error)
        })?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening");
        Ok(listener)
    }
}

impl From<TcpListener> for Bind {
    fn from(listener: TcpListener) -> Self {
        Self(On::Listener(listener))
    }
}

impl From<String> for Bind {
    fn from(address: String) -> Self {
        Self(On::Address(address))
    }
}

impl From<&str> for Bind {
    fn from(address: &str) -> Self {
        Self::from(address.to_owned())
    }
}

impl From<SocketAddr> for Bind {
    fn from(address: SocketAddr) -> Self {
        Self::from(address.to_string())
    }
}
