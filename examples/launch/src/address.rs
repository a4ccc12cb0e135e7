//! The address to listen on.

use seaway::{Error, ErrorKind, Result, ReusePortListener, bind_tcp};
use std::io;
use tokio::net::TcpListener;

/// The address to listen on, set with `--host` and `--port`, or `PORT` in the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The port; 0 selects any free one.
    pub port: u16,
}

impl Default for Address {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8000,
        }
    }
}

impl Address {
    /// Binds a listener to this address.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; the message names the option that selects another address.
    pub async fn listen(&self) -> Result<TcpListener, Error> {
        self.listen_as("--port").await
    }

    /// Binds a listener to this address, which other processes may do too (`SO_REUSEPORT`).
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if another process uses the port alone.
    pub async fn share(&self) -> Result<ReusePortListener, Error> {
        ReusePortListener::bind((self.host.as_str(), self.port)).await
    }

    /// Binds a listener to this address; error messages name `option` as the one that sets the
    /// port.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub async fn listen_as(&self, option: &str) -> Result<TcpListener, Error> {
        let Self { host, port } = self;
        let listener = bind_tcp((host.as_str(), *port)).await;
        listener.map_err(|error| {
            let option = match error.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => {
                    format!("port with {option}")
                }
                _ => "address with --host".to_owned(),
            };
            Error::new(ErrorKind::Io, format!("{error}; choose another {option}"))
        })
    }
}
