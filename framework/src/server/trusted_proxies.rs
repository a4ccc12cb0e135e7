//! The proxies that are trusted to state the client's address, and the header in which they do.

use crate::error::{Error, ErrorKind, Result};
use ipnet::{IpNet, Ipv4Net};
use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

/// The addresses of proxies that state the address of their client: in the headers
/// `X-Forwarded-*` or `Forwarded` ([`Serve::trusted_proxies`](crate::Serve::trusted_proxies)), or by
/// the PROXY protocol ([`ProxyProtocol`](crate::ProxyProtocol)).
///
/// ```
/// use seaway::TrustedProxies;
///
/// // One machine, a network, and proxies that connect to a Unix socket.
/// let proxies = TrustedProxies::new(["192.0.2.7", "10.0.0.0/8", "unix"]);
/// ```
///
/// A setting of the environment can be parsed, with commas between the entries; what is no such list
/// is an [`Error`] of the kind [`Codec`](ErrorKind::Codec):
///
/// ```
/// # use seaway::TrustedProxies;
/// assert!("192.0.2.7, 10.0.0.0/8".parse::<TrustedProxies>().is_ok());
/// assert!("proxy.example".parse::<TrustedProxies>().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    unix: bool,
    headers: ForwardingHeaders,
}

/// The headers in which the proxies describe a request. Only one kind is read: a proxy passes the
/// other one on as the client sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForwardingHeaders {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwarded,
    /// Those, and `X-Forwarded-Host`.
    XForwardedWithHost,
    /// RFC 7239.
    Forwarded,
}

impl TrustedProxies {
    /// Trusts these addresses and networks, such as `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`;
    /// `unix` stands for clients without an address, as on a Unix socket.
    ///
    /// # Panics
    /// If an entry is none of these, or there is no entry; space around an entry is ignored.
    #[track_caller]
    pub fn new(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::try_new(entries).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_new(entries: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut networks = Vec::new();
        let mut unix = false;
        for entry in entries {
            match entry.as_ref().trim() {
                "unix" => unix = true,
                entry => networks.push(network(entry)?),
            }
        }
        if !unix && networks.is_empty() {
            let message = "no trusted proxy is given: list their addresses, such as 127.0.0.1";
            return Err(Error::new(ErrorKind::Codec, message));
        }
        Ok(Self {
            networks: networks.into(),
            unix,
            headers: ForwardingHeaders::XForwarded,
        })
    }

    /// Reads `X-Forwarded-Host` of these proxies, too: for proxies that change `Host`.
    ///
    /// Only where each of them sets that header, or removes it: AWS' load balancers and HAProxy's
    /// `option forwardfor`, for example, pass it on as the client sent it, and then a client could
    /// name any host. With [`forwarded_header`](TrustedProxies::forwarded_header), called before or
    /// after it, this has no effect: `Forwarded` states the host itself.
    ///
    /// ```
    /// use seaway::TrustedProxies;
    ///
    /// // nginx with `proxy_set_header X-Forwarded-Host $http_host`.
    /// let proxies = TrustedProxies::new(["10.0.0.0/8"]).x_forwarded_host();
    /// ```
    #[must_use]
    pub fn x_forwarded_host(mut self) -> Self {
        if self.headers == ForwardingHeaders::XForwarded {
            self.headers = ForwardingHeaders::XForwardedWithHost;
        }
        self
    }

    /// Reads the header `Forwarded` (RFC 7239) of these proxies instead of `X-Forwarded-*`.
    ///
    /// It does not concern the PROXY protocol.
    ///
    /// Never are both read: most proxies set one kind, and pass the other on as the client sent it.
    ///
    /// ```
    /// use seaway::TrustedProxies;
    ///
    /// // HAProxy with `option forwarded proto host for`.
    /// let proxies = TrustedProxies::new(["10.0.0.0/8"]).forwarded_header();
    /// ```
    #[must_use]
    pub fn forwarded_header(mut self) -> Self {
        self.headers = ForwardingHeaders::Forwarded;
        self
    }

    /// Returns the headers to read.
    pub(super) fn headers(&self) -> ForwardingHeaders {
        self.headers
    }

    /// Returns whether this peer of a connection is one of the proxies.
    pub(super) fn trust(&self, peer: Option<SocketAddr>) -> bool {
        match peer {
            Some(peer) => self.contain(peer.ip()),
            None => self.unix,
        }
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }
}

impl FromStr for TrustedProxies {
    type Err = Error;

    fn from_str(list: &str) -> Result<Self> {
        Self::try_new(list.split(','))
    }
}

fn network(entry: &str) -> Result<IpNet> {
    let address = entry.parse().map(|address: IpAddr| IpNet::from(address));
    let network = address.or_else(|_| entry.parse()).map(canonical);
    network.map_err(|_| {
        let message = format!(
            "{entry:?} is not an address or a network; write 127.0.0.1, 10.0.0.0/8 or unix"
        );
        Error::new(ErrorKind::Codec, message)
    })
}

/// Returns the IPv4 network of mapped addresses, as `::ffff:10.0.0.0/104`.
fn canonical(network: IpNet) -> IpNet {
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && let Some(prefix) = mapped.prefix_len().checked_sub(96)
        && let Ok(network) = Ipv4Net::new(address, prefix)
    {
        return network.into();
    }
    network
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_networks_and_unix_sockets_are_trusted_as_listed() {
        let proxies = TrustedProxies::new([
            "192.0.2.7",
            " 10.0.0.0/8 ",
            "2001:db8::/32",
            "::ffff:198.51.100.7",
            "::ffff:172.16.0.0/108",
        ]);
        for (peer, trusted) in [
            ("192.0.2.7:1", true),
            ("192.0.2.8:1", false),
            ("10.255.0.1:1", true),
            ("[::ffff:10.0.0.1]:1", true),
            ("[2001:db8:1::1]:1", true),
            ("[2001:db9::1]:1", false),
            ("198.51.100.7:1", true),
            ("198.51.100.8:1", false),
            ("172.31.0.1:1", true),
            ("[::ffff:172.31.0.1]:1", true),
            ("172.32.0.1:1", false),
        ] {
            assert_eq!(
                proxies.trust(Some(peer.parse().unwrap())),
                trusted,
                "{peer}"
            );
        }
        assert!(!proxies.trust(None));
        assert!(TrustedProxies::new(["unix"]).trust(None));
    }

    #[test]
    fn the_header_forwarded_is_the_only_one_whatever_is_called_first() {
        let proxies = TrustedProxies::new(["192.0.2.7"]);
        let first = proxies.clone().forwarded_header().x_forwarded_host();
        let last = proxies.x_forwarded_host().forwarded_header();

        assert_eq!(first.headers(), ForwardingHeaders::Forwarded);
        assert_eq!(last.headers(), ForwardingHeaders::Forwarded);
    }

    #[test]
    fn a_list_is_parsed_or_its_mistake_named() {
        let proxies: TrustedProxies = "192.0.2.7, unix".parse().unwrap();
        assert!(proxies.trust(None));
        assert!(proxies.trust(Some("192.0.2.7:1".parse().unwrap())));
        for list in ["", "192.0.2.7,", "*", "10.0.0.0/33"] {
            let error = list.parse::<TrustedProxies>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Codec, "{list}");
            assert!(error.to_string().contains("is not an address"), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "\"localhost\" is not an address or a network")]
    fn a_name_is_not_an_address() {
        TrustedProxies::new(["localhost"]);
    }

    #[test]
    #[should_panic(expected = "no trusted proxy is given")]
    fn an_empty_list_is_a_mistake() {
        TrustedProxies::new([""; 0]);
    }
}
