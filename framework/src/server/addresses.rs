//! The limit of connections per client address.

use super::{preface::Preface, socket::AcceptedStream};
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The number of open connections of each client address. Clones share it.
#[derive(Clone)]
pub(super) struct Addresses {
    limit: usize,
    open: Arc<OpenConnections>,
}

/// The number of open connections of each address that has any.
#[derive(Default)]
struct OpenConnections(Mutex<HashMap<IpAddr, usize>>);

/// The client of one connection, which is counted until this is dropped.
pub(super) struct CountedClient {
    address: SocketAddr,
    /// `None` if there is no limit, so that nothing is counted, or if the count was taken.
    counted: Option<Arc<OpenConnections>>,
}

/// What an address that has reached its limit gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TooMany {
    /// A response, and then the end of its connection.
    Response,
    /// The end of its connection: as many as the limit have got a response, and are not gone yet.
    Disconnect,
}

impl Addresses {
    /// Counts connections up to a limit; [`usize::MAX`] sets none, and then nothing is counted.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            open: Arc::default(),
        }
    }

    /// Adds a connection. The second value says that it is one too many; it is counted
    /// nevertheless.
    pub(super) fn open(&self, address: SocketAddr) -> (CountedClient, Option<TooMany>) {
        if self.limit == usize::MAX {
            let counted = None;
            return (CountedClient { address, counted }, None);
        }
        let mut open = self.open.lock();
        let count = open.entry(network(address.ip())).or_default();
        *count += 1;
        let too_many = match *count {
            count if count <= self.limit => None,
            count if count - self.limit <= self.limit => Some(TooMany::Response),
            _ => Some(TooMany::Disconnect),
        };
        drop(open);
        let counted = Some(self.open.clone());
        (CountedClient { address, counted }, too_many)
    }
}

impl OpenConnections {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let open = self.0.lock();
        open.expect("no code panics while it holds this lock")
    }
}

impl CountedClient {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the count; only the address is left.
    pub(super) fn take(&mut self) -> Self {
        Self {
            address: self.address,
            counted: self.counted.take(),
        }
    }
}

impl Drop for CountedClient {
    fn drop(&mut self) {
        let Some(counted) = &self.counted else {
            return;
        };
        let address = network(self.address.ip());
        let mut open = counted.lock();
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

/// Returns the address that is counted: of an IPv6 address its network of 64 bits, in which one
/// client may have any number of addresses (RFC 4291, 2.5.4).
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// How long a client that has too many connections may take to send the first bytes of a request
/// and to read the response.
const LINGER: Duration = Duration::from_secs(1);

const RESPONSE: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\n\
    connection: close\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 39\r\n\r\n\
    too many connections from this address\n";

/// The frames of HTTP/2 in place of a response: SETTINGS, and GOAWAY with ENHANCE_YOUR_CALM and the
/// reason (RFC 9113, 6.8 and 7).
const GO_AWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
    \0\0\x2e\x07\0\0\0\0\0\
    \0\0\0\0\0\0\0\x0b\
    too many connections from this address";

/// Responds to a client that has too many connections, and closes this one.
pub(super) async fn respond(socket: AcceptedStream) {
    // A client that sends no request, does not read, or has left, gets no response.
    _ = tokio::time::timeout(LINGER, write(socket)).await;
}

async fn write(mut socket: AcceptedStream) -> io::Result<()> {
    let preface = Preface::read(&mut socket).await?;
    let response = match preface.is_http_2() {
        true => GO_AWAY,
        false => RESPONSE,
    };
    socket.write_all(response).await?;
    socket.shutdown().await?;
    // Unread bytes would reset the connection, and with it a response that is still on its way.
    let mut discarded = [0; 1024];
    while socket.read(&mut discarded).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn client(text: &str) -> SocketAddr {
        SocketAddr::new(ip(text), 49152)
    }

    #[test]
    fn an_address_has_places_up_to_its_limit_and_others_are_not_affected() {
        let addresses = Addresses::new(2);
        let (here, there) = (client("192.0.2.1"), client("192.0.2.2"));

        let first = addresses.open(here);
        let second = addresses.open(here);
        let (third, too_many) = addresses.open(here);

        assert_eq!((first.1, second.1), (None, None));
        assert_eq!(too_many, Some(TooMany::Response));
        assert_eq!(addresses.open(there).1, None);
        drop((third, first.0));
        assert_eq!(addresses.open(here).1, None);
    }

    #[test]
    fn of_many_rejected_connections_only_as_many_as_the_limit_get_a_response() {
        let addresses = Addresses::new(2);
        let opened: Vec<_> = (0..5)
            .map(|_| addresses.open(client("192.0.2.1")))
            .collect();

        let outcomes: Vec<_> = opened.iter().map(|(_, too_many)| too_many).collect();

        assert_eq!(outcomes[2..4], [&Some(TooMany::Response); 2]);
        assert_eq!(outcomes[4], &Some(TooMany::Disconnect));
    }

    #[test]
    fn an_address_without_connections_is_forgotten() {
        let addresses = Addresses::new(1);

        drop(addresses.open(client("192.0.2.1")));

        assert!(addresses.open.lock().is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_and_forms_of_one_ipv4_address_are_counted_together() {
        for (one, other, is_same) in [
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
        ] {
            assert_eq!(
                network(ip(one)) == network(ip(other)),
                is_same,
                "{one} {other}"
            );
        }
    }

    #[test]
    fn the_response_has_the_length_that_it_states() {
        let text = std::str::from_utf8(RESPONSE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();

        assert!(
            head.contains(&format!("content-length: {}", body.len())),
            "{}",
            body.len()
        );
    }
}
