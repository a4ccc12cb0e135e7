//! The place of a connection in the limits of the server.

use super::addresses::CountedClient;
use crate::metric;
use std::net::SocketAddr;
use tokio::sync::OwnedSemaphorePermit;

/// The place of a connection in `max_connections`, in `max_connections_per_address` and in the
/// metric of open connections. When it is dropped, it is free again.
pub(super) struct Place {
    /// `None` if the client has no address.
    client: Option<CountedClient>,
    /// `None` if the place was taken.
    counted: Option<(OwnedSemaphorePermit, metric::OpenConnection)>,
}

impl Place {
    pub(super) fn new(client: Option<CountedClient>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            client,
            counted: Some((permit, metric::OpenConnection::new())),
        }
    }

    /// Returns the address of the client, if it has one.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        self.client.as_ref().map(CountedClient::address)
    }

    /// Takes the place; only the address of the client is left.
    pub(super) fn take(&mut self) -> Self {
        Self {
            client: self.client.as_mut().map(CountedClient::take),
            counted: self.counted.take(),
        }
    }
}
