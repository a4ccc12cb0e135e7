//! The address of a client behind trusted proxies, as `X-Forwarded-For` states it.

use super::trusted_proxies::TrustedProxies;
use http::{HeaderMap, HeaderName};
use std::net::{IpAddr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Returns the client of a request that a trusted proxy has forwarded; `None` if the header states
/// none.
///
/// Each proxy adds the address of its own client at the end, so the last entry that is no trusted
/// proxy is the client: those before it are only what that client claims. If all are trusted, the
/// first one is the client. An entry that is no address ends the search. The port is 0 where it is
/// not stated.
pub(super) fn client(headers: &HeaderMap, proxies: &TrustedProxies) -> Option<SocketAddr> {
    let mut client = None;
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(address) = address(entry) else {
                return client;
            };
            client = Some(address);
            if !proxies.contain(address.ip()) {
                return client;
            }
        }
    }
    client
}

/// Parses an address, in brackets or not, with or without a port.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let bare = entry
        .strip_prefix('[')
        .and_then(|entry| entry.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(entry).parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_that_is_no_proxy_is_the_client() {
        let proxies = TrustedProxies::new(["10.0.0.0/8"]);
        for (lines, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1:0")),
            (&["198.51.100.9, 192.0.2.1"], Some("192.0.2.1:0")),
            (&["192.0.2.1, 10.0.0.1, 10.0.0.2"], Some("192.0.2.1:0")),
            (&["198.51.100.9", "192.0.2.1,10.0.0.1"], Some("192.0.2.1:0")),
            (&["10.0.0.3, 10.0.0.1"], Some("10.0.0.3:0")),
            (&["192.0.2.1:4711"], Some("192.0.2.1:4711")),
            (&["2001:db8::1"], Some("[2001:db8::1]:0")),
            (&["[2001:db8::1]"], Some("[2001:db8::1]:0")),
            (&["[2001:db8::1]:80"], Some("[2001:db8::1]:80")),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1:0")),
            (&["192.0.2.1, unknown, 10.0.0.1"], Some("10.0.0.1:0")),
            (&["unknown"], None),
            (&["192.0.2.1,"], None),
            (&[""], None),
            (&["\u{fc}"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, line.parse().unwrap());
            }
            let found = client(&headers, &proxies).map(|client| client.to_string());
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        }
    }
}
