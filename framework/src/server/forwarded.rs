//! What a trusted proxy states about a request: `X-Forwarded-*`, or `Forwarded` (RFC 7239).

use super::{
    request_head::is_host,
    trusted_proxies::{ForwardingHeaders, TrustedProxies},
};
use crate::{extract::RequestedHost, header_list::is_token};
use http::{HeaderMap, HeaderName, header::FORWARDED, uri::Scheme};
use std::{
    net::{IpAddr, SocketAddr},
    str,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a trusted proxy states about a request.
#[derive(Debug, Default)]
pub(super) struct ForwardedRequest {
    /// The client; its port is 0 where it is not stated.
    pub(super) client: Option<SocketAddr>,
    pub(super) requested: RequestedHost,
}

impl ForwardedRequest {
    /// Reads the headers that these proxies set.
    pub(super) fn read(headers: &HeaderMap, proxies: &TrustedProxies) -> Self {
        let host = match proxies.headers() {
            ForwardingHeaders::Forwarded => return Self::read_elements(headers, proxies),
            ForwardingHeaders::XForwarded => None,
            ForwardingHeaders::XForwardedWithHost => last(headers, X_FORWARDED_HOST).and_then(host),
        };
        Self {
            client: client(headers, proxies),
            requested: RequestedHost {
                host,
                scheme: last(headers, X_FORWARDED_PROTO).and_then(scheme),
            },
        }
    }

    /// Reads `Forwarded`. Each proxy adds an element about the request that it got, so the client is
    /// searched as in `X-Forwarded-For`, and host and scheme are those of the last element that was
    /// read: its proxy is trusted, even if it hides the client.
    fn read_elements(headers: &HeaderMap, proxies: &TrustedProxies) -> Self {
        let mut found = Self::default();
        for line in headers.get_all(FORWARDED).iter().rev() {
            let mut rest = Some(line.as_bytes());
            while let Some(line) = rest {
                let (before, last) = split_last(line);
                rest = before;
                let Some(element) = Element::parse(last) else {
                    return found;
                };
                found.requested = RequestedHost {
                    host: element.host.and_then(|text| host(text.as_bytes())),
                    scheme: element.proto.and_then(|text| scheme(text.as_bytes())),
                };
                let Some(client) = element.node.as_deref().and_then(node) else {
                    return found;
                };
                found.client = Some(client);
                if !proxies.contain(client.ip()) {
                    return found;
                }
            }
        }
        found
    }
}

/// Returns the client in `X-Forwarded-For`; `None` if the header states none.
///
/// Each proxy adds the address of its own client at the end, so the last entry that is no trusted
/// proxy is the client: those before it are only what that client claims. If all are trusted, the
/// first one is the client. An entry that is no address ends the search.
fn client(headers: &HeaderMap, proxies: &TrustedProxies) -> Option<SocketAddr> {
    let mut client = None;
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(address) = str::from_utf8(entry).ok().and_then(address) else {
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

/// Returns the last entry of a header: that of the nearest proxy that sets it or adds to it. An
/// earlier one may be what a client claims, since not every proxy adds to every header.
fn last(headers: &HeaderMap, name: HeaderName) -> Option<&[u8]> {
    let line = headers.get_all(name).iter().next_back()?;
    let entry = line.as_bytes().rsplit(|byte| *byte == b',').next()?;
    Some(entry.trim_ascii())
}

/// Parses a host with an optional port, as in `Host`.
fn host(text: &[u8]) -> Option<String> {
    let is_valid = !text.is_empty() && is_host(text);
    is_valid.then(|| String::from_utf8_lossy(text).into_owned())
}

/// Parses the scheme of a request; that of a WebSocket is the one of its handshake.
fn scheme(text: &[u8]) -> Option<Scheme> {
    match text.to_ascii_lowercase().as_slice() {
        b"http" | b"ws" => Some(Scheme::HTTP),
        b"https" | b"wss" => Some(Scheme::HTTPS),
        _ => None,
    }
}

/// Parses an address, in brackets or not, with or without a port.
fn address(entry: &str) -> Option<SocketAddr> {
    let entry = entry.trim();
    if let Ok(address) = entry.parse::<SocketAddr>() {
        return Some(SocketAddr::new(address.ip().to_canonical(), address.port()));
    }
    let bare = entry
        .strip_prefix('[')
        .and_then(|entry| entry.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(entry).parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), 0))
}

/// Parses a node (RFC 7239, 6), whose port may be obfuscated; `None` for `unknown` and `_hidden`.
fn node(text: &str) -> Option<SocketAddr> {
    address(text.split_once(":_").map_or(text, |(address, _)| address))
}

/// Splits at the last comma outside of quoted strings. Read from the end, since an open quote that
/// a client has sent would hide the elements that proxies have added.
fn split_last(line: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let mut is_quoted = false;
    for (at, byte) in line.iter().enumerate().rev() {
        match byte {
            b'"' if !(is_quoted && is_escaped(&line[..at])) => is_quoted = !is_quoted,
            b',' if !is_quoted => return (Some(&line[..at]), &line[at + 1..]),
            _ => {}
        }
    }
    (None, line)
}

/// Returns whether the character after this text is escaped: after an odd number of backslashes.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
    backslashes.count() % 2 == 1
}

/// An element of `Forwarded` (RFC 7239, 4).
#[derive(Default)]
struct Element {
    /// `for`.
    node: Option<String>,
    host: Option<String>,
    proto: Option<String>,
}

impl Element {
    /// Parses an element; `None` if it is empty or malformed, or names a parameter twice. Space
    /// around `;`, and a colon or brackets without quotes, are not valid, but usual.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut element = Self::default();
        let mut rest = str::from_utf8(text).ok()?.trim_ascii();
        if rest.is_empty() {
            return None;
        }
        loop {
            rest = rest.trim_start_matches([';', ' ', '\t']);
            if rest.is_empty() {
                return Some(element);
            }
            let (name, behind) = rest.split_once('=')?;
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => unquote(quoted)?,
                None => bare(behind)?,
            };
            rest = behind.trim_ascii_start();
            if !is_token(name) || !(rest.is_empty() || rest.starts_with(';')) {
                return None;
            }
            let slot = match name.to_ascii_lowercase().as_str() {
                "for" => &mut element.node,
                "host" => &mut element.host,
                "proto" => &mut element.proto,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
    }
}

/// Splits off a quoted string, whose opening quote is already gone.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// Splits off a value without quotes.
fn bare(text: &str) -> Option<(String, &str)> {
    let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
    let (value, behind) = text.split_at(end);
    let is_valid = is_token(&value.replace([':', '[', ']'], ""));
    is_valid.then(|| (value.to_owned(), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn shown(found: ForwardedRequest) -> [Option<String>; 3] {
        [
            found.client.map(|client| client.to_string()),
            found.requested.host,
            found.requested.scheme.map(|scheme| scheme.to_string()),
        ]
    }

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

    #[test]
    fn the_nearest_proxy_states_the_host_and_scheme() {
        let proxies = TrustedProxies::new(["10.0.0.0/8"]).x_forwarded_host();
        for (hosts, protos, host, scheme) in [
            (
                &["a.example"][..],
                &["https"][..],
                Some("a.example"),
                Some("https"),
            ),
            (
                &["a.example:8443"],
                &["HTTP"],
                Some("a.example:8443"),
                Some("http"),
            ),
            (&["[::1]:80"], &["wss"], Some("[::1]:80"), Some("https")),
            (
                &["evil.example, a.example"],
                &["http,https"],
                Some("a.example"),
                Some("https"),
            ),
            (
                &["evil.example", "a.example"],
                &["https", "ws"],
                Some("a.example"),
                Some("http"),
            ),
            (&["a.example,"], &["https,"], None, None),
            (&["a.example, a b"], &["https, ftp"], None, None),
            (&["a.example/path"], &["https:"], None, None),
            (&["user@a.example"], &[""], None, None),
            (&["\u{fc}"], &["\u{fc}"], None, None),
            (&[""], &[], None, None),
            (&[], &["https"], None, Some("https")),
        ] {
            let hosts = hosts.iter().map(|host| (X_FORWARDED_HOST, *host));
            let protos = protos.iter().map(|proto| (X_FORWARDED_PROTO, *proto));
            let lines: Vec<_> = hosts.chain(protos).collect();

            let found = shown(ForwardedRequest::read(&headers(&lines), &proxies));

            let expected = [None, host, scheme].map(|text| text.map(str::to_owned));
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn the_element_of_the_client_states_its_host_and_scheme() {
        let proxies = TrustedProxies::new(["10.0.0.0/8"]).forwarded_header();
        let (client, a, https) = (Some("192.0.2.1:0"), Some("a.example"), Some("https"));
        let (inner, http) = (Some("10.0.0.1:0"), Some("http"));
        let whole = "for=192.0.2.1;host=a.example;proto=https";
        let proxy = "for=10.0.0.1;host=inner;proto=http";
        for (lines, expected) in [
            (&[whole][..], [client, a, https]),
            (
                &["FOR=192.0.2.1;Host=a.example;pRoTo=HTTPS"],
                [client, a, https],
            ),
            (
                &["proto=https; host=\"a.example\" ;by=_b; for=\"192.0.2.1\""],
                [client, a, https],
            ),
            (&[";for=192.0.2.1;;"], [client, None, None]),
            (
                &["for=\"192.0.2.1:47\""],
                [Some("192.0.2.1:47"), None, None],
            ),
            (
                &["for=192.0.2.1:47;host=a:8"],
                [Some("192.0.2.1:47"), Some("a:8"), None],
            ),
            (&["for=\"192.0.2.1:_p\""], [client, None, None]),
            (
                &["for=\"[2001:db8::1]:80\""],
                [Some("[2001:db8::1]:80"), None, None],
            ),
            (
                &["for=\"[2001:db8::1]\""],
                [Some("[2001:db8::1]:0"), None, None],
            ),
            (
                &["for=\"[2001:db8::1]:_p\""],
                [Some("[2001:db8::1]:0"), None, None],
            ),
            (
                &["for=[2001:db8::1]"],
                [Some("[2001:db8::1]:0"), None, None],
            ),
            (
                &["for=\"192\\.0.2.1\";host=\"\\a.example\""],
                [client, a, None],
            ),
            (
                &[&format!("for=9.9.9.9;host=evil, {whole}")],
                [client, a, https],
            ),
            (&[&format!("{whole}, {proxy},{proxy}")], [client, a, https]),
            (&[whole, proxy], [client, a, https]),
            (&["for=9.9.9.9;host=evil", whole, proxy], [client, a, https]),
            (&[proxy, "for=10.0.0.2"], [inner, Some("inner"), http]),
            // A proxy that hides its client, and one that does not know it.
            (
                &["for=_hidden;host=a.example;proto=https"],
                [None, a, https],
            ),
            (&["for=unknown;proto=https"], [None, None, https]),
            (&["host=a.example;proto=wss"], [None, a, https]),
            (&["for=_hidden;proto=https", proxy], [inner, None, https]),
            // A client before the proxy's element cannot hide or change it.
            (&[&format!("for=\"9.9.9.9, {whole}")], [client, a, https]),
            (
                &[&format!("for=9.9.9.9;x=\"\\, {whole}")],
                [client, a, https],
            ),
            (&[&format!("\\\", {whole}")], [client, a, https]),
            (
                &["x=\", for=192.0.2.1;host=\"a.example\""],
                [client, a, None],
            ),
            (
                &["for=9.9.9.9, for=192.0.2.1;x=\"a, \\\"b\\\\\""],
                [client, None, None],
            ),
            // A malformed element ends the search.
            (
                &["for=9.9.9.9;host=evil, nonsense", proxy],
                [inner, Some("inner"), http],
            ),
            (&["for=192.0.2.1;host=evil,"], [None; 3]),
            (&["for=192.0.2.1;for=192.0.2.2"], [None; 3]),
            (&["host=a;HOST=b"], [None; 3]),
            (&["for=\"192.0.2.1"], [None; 3]),
            (&["for=\"192.0.2.1\"x"], [None; 3]),
            (&["for=\"192.0.2.1\\"], [None; 3]),
            (&["for=192.0.2.1 host=a"], [None; 3]),
            (&["for =192.0.2.1"], [None; 3]),
            (&["for=;host=a"], [None; 3]),
            (&["for=192.0.2.1;\u{fc}=a"], [None; 3]),
            (&[""], [None; 3]),
            (&[], [None; 3]),
            // An invalid host or scheme is ignored.
            (
                &["for=192.0.2.1;host=\"a b\";proto=ftp"],
                [client, None, None],
            ),
            (
                &["for=192.0.2.1;host=\"\";proto=\"\""],
                [client, None, None],
            ),
            (
                &["for=192.0.2.1;host=\"evil.example/@a\""],
                [client, None, None],
            ),
        ] {
            let named: Vec<_> = lines.iter().map(|line| (FORWARDED, *line)).collect();

            let found = shown(ForwardedRequest::read(&headers(&named), &proxies));

            let expected = expected.map(|text| text.map(str::to_owned));
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn the_headers_that_the_proxies_do_not_set_are_not_read() {
        let both = headers(&[
            (X_FORWARDED_FOR, "192.0.2.1"),
            (X_FORWARDED_HOST, "x.example"),
            (FORWARDED, "for=192.0.2.2;host=f.example;proto=https"),
        ]);
        let without_host = TrustedProxies::new(["10.0.0.0/8"]);
        let x_forwarded = without_host.clone().x_forwarded_host();
        let forwarded = x_forwarded.clone().forwarded_header();

        let [client, host, _] = shown(ForwardedRequest::read(&both, &without_host));
        assert_eq!(client.as_deref(), Some("192.0.2.1:0"));
        assert_eq!(host, None);
        let [client, host, scheme] = shown(ForwardedRequest::read(&both, &x_forwarded));
        assert_eq!(client.as_deref(), Some("192.0.2.1:0"));
        assert_eq!(host.as_deref(), Some("x.example"));
        assert_eq!(scheme, None);
        let [client, host, scheme] = shown(ForwardedRequest::read(&both, &forwarded));
        assert_eq!(client.as_deref(), Some("192.0.2.2:0"));
        assert_eq!(host.as_deref(), Some("f.example"));
        assert_eq!(scheme.as_deref(), Some("https"));
    }
}
