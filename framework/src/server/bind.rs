//! The address or listener of a server.

use super::{
    listener::{ErasedListener, Listener},
    tcp::bind_with,
};
use crate::error::{Error, ErrorKind, Result};
use std::{fmt, net::SocketAddr};

/// The address on which a server listens, such as `"127.0.0.1:8000"`, or an existing [`Listener`].
#[derive(Debug)]
pub struct Bind(On);

enum On {
    Address(String),
    Listener(Box<dyn ErasedListener>),
}

impl Bind {
    /// Returns the listener, bound to the address if there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the address is invalid or in use, or the listener has none.
    pub(super) async fn listener(self) -> Result<Box<dyn ErasedListener>> {
        let listener = match self.0 {
            On::Listener(listener) => listener,
            On::Address(address) => {
                let bound = bind_with(&address, |_| Ok(())).await.map_err(|error| {
                    let hint = match address.contains(':') {
                        true => "",
                        false => ": write it as `host:port`",
                    };
                    let message = format!("cannot listen on {address}{hint}");
                    Error::new(ErrorKind::Io, message).with_source(error)
                });
                Box::new(bound?)
            }
        };
        let address = listener.local_addr()?;
        tracing::info!(address, "listening");
        Ok(listener)
    }
}

impl<L: Listener> From<L> for Bind {
    fn from(listener: L) -> Self {
        Self(On::Listener(Box::new(listener)))
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

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => f.debug_tuple("Address").field(address).finish(),
            Self::Listener(_) => f.debug_tuple("Listener").finish_non_exhaustive(),
        }
    }
}
