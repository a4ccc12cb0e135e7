//! Which headers a proxy passes on, and which it adds.

use crate::header_list;
use http::{HeaderMap, HeaderName, HeaderValue, header, request};
use std::{mem, net::SocketAddr};

/// The headers of one connection (RFC 9110, 7.6.1), beside those that `Connection` names.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Where requests come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestOrigin {
    /// From clients, without TLS.
    Http,
    /// From clients, over TLS.
    Https,
    /// From a proxy whose headers are true.
    OtherProxy,
}

/// Takes the headers of a request for the server behind, from the client or proxy at this address.
pub(super) fn for_upstream(
    head: &mut request::Parts,
    address: Option<SocketAddr>,
    origin: RequestOrigin,
) -> HeaderMap {
    let mut headers = without_hop_by_hop(mem::take(&mut head.headers));
    remove(&mut headers, |name| {
        let text = name.as_str();
        // WSGI reads `a_b` as `a-b`.
        let is_forged =
            text.contains('_') || (origin != RequestOrigin::OtherProxy && is_forwarding(text));
        is_forged || *name == header::EXPECT || *name == header::TRAILER
    });
    join_cookies(&mut headers);
    // Over HTTP/2, the host is in the URI.
    let authority = head.uri.authority().map(|host| host.as_str());
    let host = authority.and_then(|host| HeaderValue::from_str(host).ok());
    if let (false, Some(host)) = (headers.contains_key(header::HOST), host) {
        headers.insert(header::HOST, host);
    }
    if let (false, Some(host)) = (
        headers.contains_key(FORWARDED_HOST),
        headers.get(header::HOST),
    ) {
        headers.insert(FORWARDED_HOST, host.clone());
    }
    if !headers.contains_key(FORWARDED_PROTO) {
        let scheme = match origin {
            RequestOrigin::Https => "https",
            RequestOrigin::Http | RequestOrigin::OtherProxy => "http",
        };
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
    if let Some(address) = address {
        let address = address.ip().to_canonical().to_string();
        let mut chain: Vec<_> = header_list::items(&headers, FORWARDED_FOR).collect();
        // Also if it is there before: a client may have claimed it, and the server behind counts
        // from the end.
        chain.push(&address);
        if let Ok(chain) = HeaderValue::from_str(&chain.join(", ")) {
            headers.insert(FORWARDED_FOR, chain);
        }
    }
    headers
}

/// Returns the headers that concern more than one connection.
pub(super) fn without_hop_by_hop(mut headers: HeaderMap) -> HeaderMap {
    // A client could name the headers that a proxy in front has set, which forwards its tokens.
    let named = header_list::items(&headers, header::CONNECTION);
    let named = named.filter(|name| !is_hop_by_hop(name));
    let named = named.map(str::to_ascii_lowercase);
    let named: Vec<_> = named
        .filter(|name| name != "host" && !is_forwarding(name))
        .collect();
    for name in named {
        headers.remove(&*name);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // It says nothing about the body then (RFC 9112, 6.3), which others could believe.
        headers.remove(header::CONTENT_LENGTH);
    }
    remove(&mut headers, |name| HOP_BY_HOP.contains(name));
    headers
}

/// Returns whether the body of a response is a stream of server-sent events.
pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let media_type = value.and_then(|value| value.as_bytes().split(|byte| *byte == b';').next());
    media_type.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream"))
}

/// Removes the headers with these names. A search for each name, most of which are absent, would
/// take longer.
fn remove(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    let names = headers.keys().filter(|name| is_removed(name));
    for name in names.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Returns whether all headers of this name are removed.
fn is_hop_by_hop(name: &str) -> bool {
    let mut names = HOP_BY_HOP.iter();
    names.any(|known| known.as_str().eq_ignore_ascii_case(name))
}

/// Returns whether a header tells where a request came from.
fn is_forwarding(name: &str) -> bool {
    // Daphne sets the prefix of all paths from the last of them.
    let names = ["forwarded", "x-real-ip", "daphne-root-path"];
    names.contains(&name) || name.starts_with("x-forwarded-")
}

/// Joins the cookie lines of HTTP/2 (RFC 9113, 8.2.3): a WSGI server would join them with commas.
fn join_cookies(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let lines: Vec<_> = lines.map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return;
    }
    let joined = HeaderValue::from_bytes(&lines.join(&b"; "[..]));
    headers.insert(header::COOKIE, joined.expect("header values, joined"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(lines: &[(&str, &str)]) -> request::Parts {
        let request = Request::get("/");
        let request = lines.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        request.body(()).unwrap().into_parts().0
    }

    fn sorted(headers: &HeaderMap) -> Vec<String> {
        let lines = headers.iter();
        let mut lines: Vec<_> = lines
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_headers_of_one_connection_end_there() {
        let head = head(&[
            ("connection", "keep-alive, X-Mine, X-Forwarded-For, Host"),
            ("host", "a.example"),
            ("x-forwarded-for", "192.0.2.7"),
            ("keep-alive", "timeout=5"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"a\""),
        ]);

        let passed = without_hop_by_hop(head.headers);

        assert_eq!(
            sorted(&passed),
            [
                "host: a.example",
                "if-none-match: \"a\"",
                "range: bytes=0-1",
                "x-forwarded-for: 192.0.2.7",
            ]
        );
    }

    #[test]
    fn a_client_cannot_forge_where_it_came_from() {
        let client = Some("192.0.2.7:1234".parse().unwrap());
        let head = head(&[
            ("host", "a.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "443"),
            ("x_forwarded_proto", "https"),
            ("x-real-ip", "10.0.0.1"),
            ("daphne-root-path", "/app"),
            ("forwarded", "for=10.0.0.1"),
            ("remote_user", "root"),
            ("expect", "100-continue"),
            ("trailer", "x-real-ip"),
        ]);

        assert_eq!(
            sorted(&for_upstream(
                &mut head.clone(),
                client,
                RequestOrigin::Http
            )),
            [
                "host: a.example",
                "x-forwarded-for: 192.0.2.7",
                "x-forwarded-host: a.example",
                "x-forwarded-proto: http",
            ]
        );
        assert_eq!(
            sorted(&for_upstream(
                &mut head.clone(),
                client,
                RequestOrigin::OtherProxy
            )),
            [
                "daphne-root-path: /app",
                "forwarded: for=10.0.0.1",
                "host: a.example",
                "x-forwarded-for: 10.0.0.1, 192.0.2.7",
                "x-forwarded-host: evil.example",
                "x-forwarded-port: 443",
                "x-forwarded-proto: https",
                "x-real-ip: 10.0.0.1",
            ]
        );
    }

    #[test]
    fn a_client_that_claims_the_address_of_the_proxy_in_front_moves_no_entry() {
        let proxy = Some("10.0.0.2:1234".parse().unwrap());
        let head = head(&[("x-forwarded-for", "10.0.0.2, 192.0.2.7")]);

        let headers = for_upstream(&mut head.clone(), proxy, RequestOrigin::OtherProxy);

        assert_eq!(headers["x-forwarded-for"], "10.0.0.2, 192.0.2.7, 10.0.0.2");
    }

    #[test]
    fn an_event_stream_is_known_by_its_media_type() {
        for (value, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream ; charset=utf-8", true),
            ("text/event-streams", false),
            ("text/html", false),
        ] {
            let head = head(&[("content-type", value)]);
            assert_eq!(is_event_stream(&head.headers), expected, "{value}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }

    #[test]
    fn cookies_are_joined_and_the_host_of_http_2_is_a_header() {
        let mut head = head(&[("cookie", "a=1"), ("cookie", "b=2; c=3")]);
        head.uri = "http://a.example/".parse().unwrap();

        let headers = for_upstream(&mut head.clone(), None, RequestOrigin::Https);

        assert_eq!(
            sorted(&headers),
            [
                "cookie: a=1; b=2; c=3",
                "host: a.example",
                "x-forwarded-host: a.example",
                "x-forwarded-proto: https",
            ]
        );
    }
}
