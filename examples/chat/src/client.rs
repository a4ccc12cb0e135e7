//! Where a request comes from: what log-in attempts are counted by.

use seaway::{Application, Result, Scope, http::HeaderMap, protocol::Http};
use std::{future::Future, net::IpAddr};

/// The address of the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client(pub IpAddr);

/// Pages that are told their client's address.
pub struct WithClient<A> {
    pub inner: A,
    pub is_behind_proxy: bool,
}

impl<A: Application<Http>> Application<Http> for WithClient<A> {
    fn call(
        &self,
        mut scope: Scope<Http>,
        exchange: <Http as seaway::Protocol>::Connection,
    ) -> impl Future<Output = Result<()>> + Send {
        let peer = scope
            .client
            .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        let address = match self.is_behind_proxy {
            true => forwarded(&scope.head.headers).unwrap_or(peer),
            false => peer,
        };
        scope.insert(Client(address));
        self.inner.call(scope, exchange)
    }
}

/// The last address of X-Forwarded-For: the proxy has put it there itself. Those before it are the client's to invent.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let line = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = line.to_str().ok()?.rsplit(',').next()?;
    last.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_proxy_has_written_counts() {
        for (line, expected) in [
            ("203.0.113.7", Some("203.0.113.7")),
            ("10.0.0.1, 203.0.113.7", Some("203.0.113.7")),
            ("203.0.113.7, unknown", None),
            ("2001:db8::1", Some("2001:db8::1")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", line.parse().unwrap());

            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(forwarded(&headers), expected, "{line}");
        }
        assert_eq!(forwarded(&HeaderMap::new()), None);
    }
}
