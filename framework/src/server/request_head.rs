//! Checks of a request head before the application gets it (RFC 9112, 3.2 and 6.1; RFC 9113,
//! 8.3.1), without I/O.

use crate::rejection::Rejection;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header, uri::Authority,
};
use hyper::ext::Protocol;
use std::{net::Ipv6Addr, str};

/// The most headers of a request: as many as hyper allows over HTTP/1.
const MAX_HEADERS: usize = 100;

/// Checks the method, the request target, the host, the length or transfer coding of the body, and
/// the number of headers. CONNECT passes only if
/// `allows_connect`, or if it opens a WebSocket (RFC 8441).
///
/// # Errors
/// The response that the client gets instead.
pub(super) fn check<B>(request: &Request<B>, allows_connect: bool) -> Result<(), Rejection> {
    let uri = request.uri();
    match request.extensions().get::<Protocol>() {
        // An extended CONNECT has the target of any other request.
        Some(protocol) if protocol.as_str() == "websocket" => {
            check_target(&Method::GET, uri, false)?
        }
        Some(_) => return Err(no_connect()),
        None => check_target(request.method(), uri, allows_connect)?,
    }
    check_host(request.version(), uri, request.headers())?;
    check_length(request.headers())?;
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        check_coding(request.headers())?;
    }
    check_count(request.headers())
}

/// Returns the rejection of a request with both `Content-Length` and `Transfer-Encoding`.
pub(super) fn two_lengths() -> Rejection {
    bad(
        "the request has both Content-Length and Transfer-Encoding, or more than 256 bytes in one of them (RFC 9112, 6.1)",
    )
}

fn bad(why: &'static str) -> Rejection {
    Rejection::new(StatusCode::BAD_REQUEST, why)
}

fn no_connect() -> Rejection {
    Rejection::new(
        StatusCode::NOT_IMPLEMENTED,
        "CONNECT is not supported (RFC 9110, 9.3.6), other than to open a WebSocket over HTTP/2 (RFC 8441)",
    )
}

fn check_target(method: &Method, uri: &Uri, allows_connect: bool) -> Result<(), Rejection> {
    if *method == Method::CONNECT {
        if !allows_connect {
            return Err(no_connect());
        }
        return match uri.authority() {
            Some(_) if uri.scheme().is_none() => Ok(()),
            _ => Err(bad(
                "the target of CONNECT must be host:port (RFC 9112, 3.2.3)",
            )),
        };
    }
    match (uri.scheme_str(), uri.path()) {
        (Some("http" | "https"), _) => Ok(()),
        (Some(_), _) => Err(bad(
            "the scheme of the request target must be http or https",
        )),
        (None, "*") if *method == Method::OPTIONS => Ok(()),
        (None, path) if path.starts_with('/') => Ok(()),
        (None, _) => Err(bad(
            "the request target must be a path or an absolute URI (RFC 9112, 3.2)",
        )),
    }
}

fn check_host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Rejection> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad(
            "the request has more than one Host header (RFC 9112, 3.2)",
        ));
    }
    if host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Err(bad(
            "the Host header must be a host with an optional port (RFC 9112, 3.2)",
        ));
    }
    match (uri.authority(), host) {
        (None, Some(_)) => Ok(()),
        (None, None) if version <= Version::HTTP_10 => Ok(()),
        // HTTP/2 clients send `:authority` instead, HTTP/1.0 clients may send none.
        (Some(target), None) if version != Version::HTTP_11 => check_authority(target),
        (_, None) => Err(bad("the request has no Host header (RFC 9112, 3.2)")),
        (Some(target), Some(host)) => {
            check_authority(target)?;
            match is_same_host(target, host, uri.scheme_str()) {
                true => Ok(()),
                false => Err(bad(
                    "the Host header and the request target name different hosts (RFC 9112, 3.2; RFC 9113, 8.3.1)",
                )),
            }
        }
    }
}

fn check_authority(target: &Authority) -> Result<(), Rejection> {
    match is_host(target.as_str().as_bytes()) {
        true => Ok(()),
        false => Err(bad(
            "the authority of the request target must be a host with an optional port",
        )),
    }
}

/// Returns whether this is `uri-host [ ":" port ]` (RFC 9110, 7.2; RFC 3986, 3.2.2). It may be
/// empty.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (name, port) = split_port(value);
    let is_port = |port: &[u8]| {
        port.iter().all(u8::is_ascii_digit)
            && (port.is_empty() || str::from_utf8(port).is_ok_and(|p| p.parse::<u16>().is_ok()))
    };
    // An empty host means that there is none, and then there is no port (RFC 9110, 4.2.1 and 7.2).
    let is_empty = name.is_empty() && port.is_some();
    !is_empty && port.is_none_or(is_port) && is_name(name)
}

/// Splits at the last colon outside of brackets.
fn split_port(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    match value.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(at) if value[at] == b':' => (&value[..at], Some(&value[at + 1..])),
        _ => (value, None),
    }
}

/// Whether a byte may stand in a name by itself: the `unreserved` and `sub-delims` of RFC 3986.
const STANDS_IN_A_NAME: [bool; 256] = {
    let mut stands = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        stands[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || matches!(
                byte,
                b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
            );
        byte += 1;
    }
    stands
};

fn is_name(name: &[u8]) -> bool {
    if let Some(address) = name.strip_prefix(b"[") {
        let address = address.strip_suffix(b"]").map(str::from_utf8);
        return matches!(address, Some(Ok(text)) if text.parse::<Ipv6Addr>().is_ok());
    }
    let mut rest = name;
    loop {
        rest = match rest {
            [] => return true,
            [byte, tail @ ..] if STANDS_IN_A_NAME[usize::from(*byte)] => tail,
            [b'%', one, two, tail @ ..] if one.is_ascii_hexdigit() && two.is_ascii_hexdigit() => {
                tail
            }
            _ => return false,
        };
    }
}

fn is_same_host(target: &Authority, host: &HeaderValue, scheme: Option<&str>) -> bool {
    let default: &[u8] = match scheme {
        Some("https") => b"443",
        _ => b"80",
    };
    let (target, target_port) = split_port(target.as_str().as_bytes());
    let (host, host_port) = split_port(host.as_bytes());
    let is_default =
        |port: Option<&[u8]>| port.is_none_or(|port| port.is_empty() || port == default);
    let is_same_port = target_port == host_port || is_default(target_port) && is_default(host_port);
    target.eq_ignore_ascii_case(host) && is_same_port
}

/// Accepts values that are one and the same number. Two that differ let a proxy and this server see
/// different ends of the body.
fn check_length(headers: &HeaderMap) -> Result<(), Rejection> {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter().map(length);
    let Some(first) = lengths.next() else {
        return Ok(());
    };
    match first.is_some() && lengths.all(|length| length == first) {
        true => Ok(()),
        false => Err(bad("Content-Length must be one number (RFC 9110, 8.6)")),
    }
}

fn length(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let digits = str::from_utf8(digits)
        .ok()
        .filter(|_| digits.iter().all(u8::is_ascii_digit));
    digits?.parse().ok()
}

/// Does not count cookies, each of which may have a header of its own over HTTP/2 (RFC 9113, 8.2.3).
fn check_count(headers: &HeaderMap) -> Result<(), Rejection> {
    let others = || headers.len() - headers.get_all(header::COOKIE).iter().count();
    match headers.len() <= MAX_HEADERS || others() <= MAX_HEADERS {
        true => Ok(()),
        false => Err(Rejection::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request has more than 100 headers",
        )),
    }
}

/// Accepts `chunked`, once. hyper has already rejected requests whose last coding is another one.
fn check_coding(headers: &HeaderMap) -> Result<(), Rejection> {
    let values = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next().is_some_and(is_chunked), codings.next()) {
        (true, None) => Ok(()),
        (true, Some(_)) => Err(bad("the body is chunked more than once (RFC 9112, 6.1)")),
        (false, _) => Err(Rejection::new(
            StatusCode::NOT_IMPLEMENTED,
            "the only supported transfer coding is chunked (RFC 9112, 6.1)",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, line: (&str, &str), headers: &[(&str, &[u8])]) -> u16 {
        let mut request = Request::builder()
            .version(version)
            .method(line.0)
            .uri(line.1);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match check(&request.body(()).unwrap(), false) {
            Ok(()) => 200,
            Err(reject) => reject.status().as_u16(),
        }
    }

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for (host, expected) in [
            ("a.example", true),
            ("A.example:8000", true),
            ("a.example:", true),
            ("", true),
            ("127.0.0.1:80", true),
            ("[::1]:8000", true),
            ("[::ffff:127.0.0.1]", true),
            ("under_score", true),
            ("b%C3%BCcher.example", true),
            ("a b", false),
            ("a\tb", false),
            ("user@a.example", false),
            ("user:word@a.example", false),
            ("a.example:http", false),
            ("a.example:65536", false),
            ("a.example:+80", false),
            ("a.example:80:80", false),
            ("a.example/path", false),
            ("a.example?query", false),
            ("http://a.example", false),
            ("[::1", false),
            ("::1", false),
            ("[::g]", false),
            ("[::1]a", false),
            ("b%zzcher", false),
            ("b%c", false),
            ("a\\b", false),
            ("a\"b", false),
            ("a<b", false),
            ("bücher.example", false),
        ] {
            assert_eq!(is_host(host.as_bytes()), expected, "{host:?}");
        }
    }

    #[test]
    fn each_version_has_its_own_rule_for_the_host() {
        let a: (&str, &[u8]) = ("host", b"a");
        let b: (&str, &[u8]) = ("host", b"b");
        for (version, target, hosts, expected) in [
            (Version::HTTP_11, "/", vec![a], 200),
            (Version::HTTP_11, "/", vec![], 400),
            (Version::HTTP_11, "/", vec![a, a], 400),
            (
                Version::HTTP_11,
                "/",
                vec![("host", b"a b".as_slice())],
                400,
            ),
            (Version::HTTP_10, "/", vec![], 200),
            (Version::HTTP_10, "/", vec![a], 200),
            (Version::HTTP_10, "/", vec![a, b], 400),
            (Version::HTTP_11, "http://a/", vec![a], 200),
            (Version::HTTP_11, "http://A:80/", vec![a], 200),
            (Version::HTTP_11, "https://a:443/", vec![a], 200),
            (Version::HTTP_11, "http://a:443/", vec![a], 400),
            (Version::HTTP_11, "http://a/", vec![b], 400),
            (Version::HTTP_11, "http://a/", vec![], 400),
            (Version::HTTP_11, "http://user@a/", vec![a], 400),
            (Version::HTTP_10, "http://a/", vec![], 200),
            (Version::HTTP_2, "http://a/", vec![], 200),
            (Version::HTTP_2, "http://a/", vec![a], 200),
            (Version::HTTP_2, "http://a/", vec![b], 400),
            (Version::HTTP_2, "http://a/", vec![a, a], 400),
            (Version::HTTP_2, "http://user@a/", vec![], 400),
            (Version::HTTP_2, "/", vec![a], 200),
            (Version::HTTP_2, "/", vec![], 400),
        ] {
            let got = status(version, ("GET", target), &hosts);
            assert_eq!(got, expected, "{version:?} {target} {hosts:?}");
        }
    }

    #[test]
    fn a_target_must_have_a_form_that_its_method_allows() {
        for (method, target, expected) in [
            ("GET", "/path?query", 200),
            ("GET", "*", 400),
            ("OPTIONS", "*", 200),
            ("GET", "a", 400),
            ("GET", "a:80", 400),
            ("GET", "ftp://a/", 400),
            ("CONNECT", "a:80", 501),
            ("CONNECT", "/", 501),
            ("BREW", "/", 200),
        ] {
            let got = status(Version::HTTP_11, (method, target), &[("host", b"a")]);
            assert_eq!(got, expected, "{method} {target}");
        }
    }

    #[test]
    fn connect_passes_with_a_host_and_port_if_it_is_allowed() {
        for (target, expected) in [("a:80", true), ("/", false), ("http://a:80/", false)] {
            let request = Request::connect(target).header("host", "a:80").body(());
            assert_eq!(check(&request.unwrap(), true).is_ok(), expected, "{target}");
        }
    }

    #[test]
    fn a_length_is_one_number() {
        for (lengths, expected) in [
            (vec!["0"], 200),
            (vec!["5"], 200),
            (vec!["5", "5"], 200),
            (vec!["5", "6"], 400),
            (vec!["5", "05"], 200),
            (vec!["5, 5"], 400),
            (vec!["+5"], 400),
            (vec!["-5"], 400),
            (vec!["5 "], 400),
            (vec!["five"], 400),
            (vec![""], 400),
            (vec!["18446744073709551616"], 400),
        ] {
            for version in [Version::HTTP_11, Version::HTTP_2] {
                let mut headers = vec![("host", b"a".as_slice())];
                let lengths = lengths.iter();
                headers.extend(lengths.map(|length| ("content-length", length.as_bytes())));
                let got = status(version, ("POST", "http://a/"), &headers);
                assert_eq!(got, expected, "{version:?} {headers:?}");
            }
        }
    }

    #[test]
    fn a_request_has_at_most_100_headers_besides_cookies() {
        for (name, count, expected) in [("x", 99, 200), ("x", 100, 431), ("cookie", 200, 200)] {
            let mut headers = vec![("host", b"a".as_slice())];
            headers.extend(vec![(name, b"y".as_slice()); count]);
            let got = status(Version::HTTP_2, ("GET", "http://a/"), &headers);
            assert_eq!(got, expected, "{count} of {name}");
        }
    }

    #[test]
    fn chunked_is_the_only_coding_and_is_applied_once() {
        for (codings, expected) in [
            (vec!["chunked"], 200),
            (vec!["Chunked "], 200),
            (vec!["chunked, chunked"], 400),
            (vec!["chunked", "chunked"], 400),
            (vec!["gzip, chunked"], 501),
            (vec!["identity", "chunked"], 501),
            (vec![",chunked"], 501),
        ] {
            let mut headers = vec![("host", b"a".as_slice())];
            headers.extend(
                codings
                    .iter()
                    .map(|coding| ("transfer-encoding", coding.as_bytes())),
            );
            let got = status(Version::HTTP_11, ("POST", "/"), &headers);
            assert_eq!(got, expected, "{codings:?}");
        }
    }
}
