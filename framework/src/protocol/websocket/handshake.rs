//! The check of a WebSocket handshake (RFC 6455, 4.2.1; over HTTP/2 RFC 8441), as a function of the
//! request head.

use crate::{header_list, rejection::Rejection, rejection_log::Rule};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request};
use tungstenite::handshake::derive_accept_key;

/// The kind of a request.
#[derive(Debug)]
pub(crate) enum RequestKind {
    /// An HTTP request.
    Http,
    /// A valid WebSocket handshake, with the `Sec-WebSocket-Accept` of its response; over HTTP/2
    /// there is none.
    WebSocket { accept: Option<HeaderValue> },
    /// An invalid WebSocket handshake.
    Rejected(Rejection),
}

/// Returns the kind of a request. A request with `Upgrade: websocket` asks for a WebSocket, and so
/// does an extended CONNECT, which the server accepts for WebSockets only. A GET that has lost the
/// header on its way but kept another one of a handshake, which no other request has, is rejected.
pub(crate) fn request_kind(head: &request::Parts) -> RequestKind {
    let has_part = names_part_of_a_handshake(&head.headers);
    let asked = if has_part && lists(&head.headers, header::UPGRADE, "websocket") {
        check(head).map(Some)
    } else if is_extended_connect(head) {
        check_version(&head.headers).map(|()| None)
    } else if has_part
        && head.method == Method::GET
        && (head.headers.contains_key(header::SEC_WEBSOCKET_KEY)
            || head.headers.contains_key(header::SEC_WEBSOCKET_VERSION))
    {
        Err(without_upgrade(head))
    } else {
        return RequestKind::Http;
    };
    match asked {
        Ok(accept) => RequestKind::WebSocket { accept },
        Err(reject) => RequestKind::Rejected(reject.by(Rule::Handshake)),
    }
}

/// Returns the rejection of a request without `Upgrade: websocket`, where only a WebSocket
/// handshake is possible.
pub(crate) fn without_upgrade(head: &request::Parts) -> Rejection {
    if head.version >= Version::HTTP_2 {
        // 426 would need an Upgrade header, and HTTP/2 has none.
        return Rejection::new(
            StatusCode::BAD_REQUEST,
            "only a WebSocket handshake is possible here; over HTTP/2 that is an extended CONNECT (RFC 8441), which a \
             proxy in between may not support: let it use HTTP/1.1 to this server",
        )
        .by(Rule::Handshake);
    }
    let text = match head.headers.contains_key(header::UPGRADE) {
        true => {
            "only a WebSocket handshake is possible here, and the Upgrade header is not `websocket`"
        }
        false => {
            "only a WebSocket handshake is possible here, and this request has no `Upgrade: websocket` header; a proxy in \
             between must use HTTP/1.1 and forward Upgrade and Connection"
        }
    };
    Rejection::new(StatusCode::UPGRADE_REQUIRED, text)
        .header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .header(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .by(Rule::Handshake)
}

/// Returns whether a header of a handshake is there. One pass over the names takes less time than
/// to look up each of the three, and recognizes nearly every other request.
fn names_part_of_a_handshake(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        *name == header::UPGRADE
            || *name == header::SEC_WEBSOCKET_KEY
            || *name == header::SEC_WEBSOCKET_VERSION
    })
}

/// Returns whether this is an extended CONNECT (RFC 8441, 4): any other CONNECT has no scheme.
fn is_extended_connect(head: &request::Parts) -> bool {
    head.method == Method::CONNECT && head.uri.scheme().is_some()
}

fn check(head: &request::Parts) -> Result<HeaderValue, Rejection> {
    let bad = |what| Err(Rejection::new(StatusCode::BAD_REQUEST, what));
    if head.method != Method::GET {
        return Err(Rejection::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket is opened with GET (RFC 6455, 4.2.1)",
        )
        .header(header::ALLOW, HeaderValue::from_static("GET")));
    }
    if head.version < Version::HTTP_11 {
        return bad("a WebSocket needs HTTP/1.1 (RFC 6455, 4.2.1)");
    }
    if one(&head.headers, header::HOST).is_none() {
        return bad("a WebSocket handshake has one Host header (RFC 6455, 4.2.1)");
    }
    if !lists(&head.headers, header::CONNECTION, "upgrade") {
        return bad("a WebSocket handshake needs `Connection: Upgrade` (RFC 6455, 4.2.1)");
    }
    check_version(&head.headers).map_err(|version| {
        version.header(header::UPGRADE, HeaderValue::from_static("websocket"))
    })?;
    let key = one(&head.headers, header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let Some(key) = key else {
        return bad(
            "a WebSocket handshake has one Sec-WebSocket-Key, 16 bytes in Base64 (RFC 6455, 4.2.1)",
        );
    };
    if has_body(&head.headers) {
        // Frames follow the head: a body would be read as frames.
        return bad("a WebSocket handshake has no body (RFC 6455, 4.1)");
    }
    let accept = derive_accept_key(key.as_bytes());
    Ok(HeaderValue::from_str(&accept).expect("Base64 is a header value"))
}

/// Checks the version of the protocol; the response to another one names the supported one (RFC
/// 6455, 4.4).
fn check_version(headers: &HeaderMap) -> Result<(), Rejection> {
    if one(headers, header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13") {
        return Ok(());
    }
    let text = "the only supported WebSocket version is 13 (RFC 6455, 4.4)";
    let version = HeaderValue::from_static("13");
    let rejection = Rejection::new(StatusCode::UPGRADE_REQUIRED, text);
    Err(rejection.header(header::SEC_WEBSOCKET_VERSION, version))
}

/// Returns whether a body follows this head: it is chunked, or has a length other than 0.
fn has_body(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    headers.contains_key(header::TRANSFER_ENCODING)
        || lengths.any(|length| length.as_bytes().iter().any(|digit| *digit != b'0'))
}

/// Returns the value of a header that must occur exactly once.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Returns whether a comma-separated header lists this token, in any case.
fn lists(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    header_list::items(headers, name).any(|item| item.eq_ignore_ascii_case(token))
}

/// Returns whether this is a valid `Sec-WebSocket-Key`: 16 bytes in Base64 are 24 characters that
/// end in `==`, and the last one before `==` has only two significant bits.
fn is_key(key: &[u8]) -> bool {
    let [digits @ .., last, b'=', b'='] = key else {
        return false;
    };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && digits.iter().all(is_digit) && matches!(last, b'A' | b'Q' | b'g' | b'w')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::websocket::{AllowedOrigins, Deflate, Origin};
    use data_encoding::BASE64;
    use http::Request;
    use proptest::{collection::vec, prelude::*, sample::select};

    const GOOD: [(&str, &str); 5] = [
        ("host", "a.example"),
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn head(headers: &[(&str, &str)]) -> request::Parts {
        let mut request = http::Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn rejected(head: &request::Parts) -> Option<u16> {
        match request_kind(head) {
            RequestKind::Rejected(reject) => Some(reject.status().as_u16()),
            _ => None,
        }
    }

    #[test]
    fn the_example_of_the_rfc_gets_the_accept_key_of_the_rfc() {
        let RequestKind::WebSocket { accept } = request_kind(&head(&GOOD)) else {
            panic!("not taken for a handshake");
        };

        assert_eq!(accept.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_page_is_a_page() {
        assert!(matches!(
            request_kind(&head(&[("host", "a.example")])),
            RequestKind::Http
        ));
    }

    #[test]
    fn each_missing_or_doubled_header_is_rejected() {
        for (name, status) in [
            ("host", 400),
            ("connection", 400),
            ("sec-websocket-version", 426),
            ("sec-websocket-key", 400),
        ] {
            let without: Vec<_> = GOOD.into_iter().filter(|(key, _)| *key != name).collect();
            assert_eq!(rejected(&head(&without)), Some(status), "without {name}");

            if name != "connection" {
                let again = GOOD.into_iter().find(|(key, _)| *key == name);
                let twice: Vec<_> = GOOD.into_iter().chain(again).collect();
                assert_eq!(rejected(&head(&twice)), Some(status), "two of {name}");
            }
        }
    }

    #[test]
    fn a_handshake_without_its_upgrade_header_gets_426_that_names_it() {
        let without: Vec<_> = GOOD
            .into_iter()
            .filter(|(key, _)| *key != "upgrade")
            .collect();
        let cut_by_proxy = [
            ("host", "a.example"),
            ("sec-websocket-version", "13"),
            ("connection", "close"),
        ];
        let upgrades_otherwise: Vec<_> = without
            .iter()
            .copied()
            .chain([("upgrade", "h2c")])
            .collect();
        for (headers, missing) in [
            (&without[..], "no `Upgrade: websocket` header"),
            (&cut_by_proxy, "no `Upgrade: websocket` header"),
            (&upgrades_otherwise, "header is not `websocket`"),
        ] {
            for version in [Version::HTTP_10, Version::HTTP_11] {
                let mut head = head(headers);
                head.version = version;

                let RequestKind::Rejected(reject) = request_kind(&head) else {
                    panic!("it was taken for HTTP");
                };
                assert!(reject.body().contains(missing), "{}", reject.body());
                let response = reject.into_response();
                assert_eq!(response.status(), 426);
                assert_eq!(response.headers()["upgrade"], "websocket");
            }
        }
    }

    #[test]
    fn over_http_2_only_an_extended_connect_is_a_handshake() {
        let mut head = head(&[("sec-websocket-version", "13")]);
        head.version = Version::HTTP_2;
        head.uri = "https://a.example/ws".parse().unwrap();
        assert_eq!(rejected(&head), Some(400));

        head.method = Method::CONNECT;
        let kind = request_kind(&head);
        assert!(
            matches!(kind, RequestKind::WebSocket { accept: None }),
            "{kind:?}"
        );

        head.headers.clear();
        assert_eq!(rejected(&head), Some(426));
        head.uri = "a.example:443".parse().unwrap();
        assert!(matches!(request_kind(&head), RequestKind::Http));
    }

    #[test]
    fn a_foreign_item_hides_no_other() {
        let mut head = head(&GOOD);
        let foreign = HeaderValue::from_bytes(b"\xe9, Upgrade").unwrap();
        head.headers.insert(header::CONNECTION, foreign);

        assert!(matches!(request_kind(&head), RequestKind::WebSocket { .. }));
    }

    #[test]
    fn a_handshake_of_another_version_gets_our_version() {
        let other = GOOD.map(|(name, value)| match name {
            "sec-websocket-version" => (name, "8"),
            _ => (name, value),
        });

        let RequestKind::Rejected(reject) = request_kind(&head(&other)) else {
            panic!("version 8 was accepted");
        };
        let response = reject.into_response();
        assert_eq!(response.status(), 426);
        assert_eq!(response.headers()["sec-websocket-version"], "13");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        for (key, valid) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("AAAAAAAAAAAAAAAAAAAAAA==", true),
            ("AAAAAAAAAAAAAAAAAAAAAB==", false),
            ("dGhlIHNhbXBsZSBub25jZQ", false),
            ("dGhlIHNhbXBsZSBub25jZQ===", false),
            ("dGhlIHNhbXBsZ", false),
            ("dGhl!HNhbXBsZSBub25jZQ==", false),
            ("", false),
        ] {
            assert_eq!(is_key(key.as_bytes()), valid, "{key}");
        }
    }

    #[test]
    fn post_and_http_1_0_open_nothing() {
        let mut post = head(&GOOD);
        post.method = Method::POST;
        let mut old = head(&GOOD);
        old.version = Version::HTTP_10;

        assert_eq!(rejected(&post), Some(405));
        assert_eq!(rejected(&old), Some(400));
    }

    #[test]
    fn a_handshake_has_no_body() {
        for (name, value, status) in [
            ("content-length", "5", Some(400)),
            ("transfer-encoding", "chunked", Some(400)),
            ("content-length", "0", None),
            ("content-length", "00", None),
        ] {
            let with: Vec<_> = GOOD.into_iter().chain([(name, value)]).collect();

            assert_eq!(rejected(&head(&with)), status, "{name}: {value}");
        }
    }

    /// Any head: headers of a handshake, valid or not, doubled, missing, or of any bytes.
    fn heads() -> impl Strategy<Value = request::Parts> {
        let method = prop_oneof![
            8 => Just(Method::GET),
            1 => Just(Method::CONNECT),
            1 => Just(Method::POST),
        ];
        let version = prop_oneof![
            8 => Just(Version::HTTP_11),
            1 => Just(Version::HTTP_10),
            1 => Just(Version::HTTP_2),
        ];
        let uri = select(&["/", "/ws?room=1", "https://a.example/ws", "a.example:443"][..]);
        let good = GOOD.map(|(name, value)| (name, value.as_bytes().to_vec()));
        let good = proptest::sample::subsequence(good.to_vec(), 3..=5);
        let name = select(
            &[
                "connection",
                "content-length",
                "host",
                "origin",
                "sec-websocket-extensions",
                "sec-websocket-key",
                "sec-websocket-version",
                "transfer-encoding",
                "upgrade",
            ][..],
        );
        let value = prop_oneof![
            vec(any::<u8>(), 0..30),
            "[ ,;=\"\\\\0-9a-zA-Z/:\\[\\]@-]{0,40}".prop_map(String::into_bytes),
            "[A-Za-z0-9+/]{22}==".prop_map(String::into_bytes),
            "(permessage-deflate; ?(server|client)_(max_window_bits|no_context_takeover)(=[0-9\"]{0,3})?[,;]? ?){1,3}"
                .prop_map(String::into_bytes),
            "https?://[a-z.:@0-9\\[\\]]{0,20}".prop_map(String::into_bytes),
        ];
        let others = vec((name, value), 0..3);
        (method, version, uri, good, others).prop_map(|(method, version, uri, good, others)| {
            let mut request = Request::builder().method(method).version(version).uri(uri);
            for (name, value) in good.into_iter().chain(others) {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request = request.header(name, value);
                }
            }
            request.body(()).expect("a head").into_parts().0
        })
    }

    /// Returns whether an HTTP/1.1 head has all that RFC 6455, 4.2.1 demands, and no body.
    fn is_handshake(head: &request::Parts) -> bool {
        let values = |name: &str| -> Vec<&[u8]> {
            let values = head.headers.get_all(name).iter();
            values.map(HeaderValue::as_bytes).collect()
        };
        let lists = |name: &str, token: &str| {
            let text = values(name).join(&b","[..]).to_ascii_lowercase();
            let mut items = text.split(|byte| *byte == b',');
            items.any(|item| item.trim_ascii() == token.as_bytes())
        };
        let is_key = |key: &[u8]| BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16);
        let is_zero = |length: &&[u8]| length.iter().all(|digit| *digit == b'0');
        head.method == Method::GET
            && head.version >= Version::HTTP_11
            && values("host").len() == 1
            && lists("upgrade", "websocket")
            && lists("connection", "upgrade")
            && values("sec-websocket-version") == [b"13"]
            && matches!(values("sec-websocket-key")[..], [key] if is_key(key))
            && values("content-length").iter().all(is_zero)
            && values("transfer-encoding").is_empty()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn any_head_is_a_handshake_exactly_if_it_has_all_of_one(head in heads()) {
            match request_kind(&head) {
                RequestKind::WebSocket { accept: Some(accept) } => {
                    prop_assert!(is_handshake(&head));
                    prop_assert!(BASE64.decode(accept.as_bytes()).is_ok_and(|hash| hash.len() == 20));
                }
                RequestKind::WebSocket { accept: None } => {
                    prop_assert!(is_extended_connect(&head));
                    prop_assert_eq!(&head.headers["sec-websocket-version"], "13");
                }
                RequestKind::Rejected(rejection) => {
                    prop_assert!(!is_handshake(&head));
                    prop_assert!(rejection.into_response().status().is_client_error());
                }
                RequestKind::Http => prop_assert!(!is_handshake(&head)),
            }
        }

        #[test]
        fn the_other_headers_of_any_handshake_are_read_or_declined(head in heads()) {
            if let Some(deflate) = Deflate::negotiate(&head.headers) {
                prop_assert!([9, 12, 15].contains(&deflate.window_bits()));
                prop_assert!(head.headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS));
            }
            let origin = Origin::of(&head.headers, &head.uri, &head.extensions);
            let has_origin = head.headers.contains_key(header::ORIGIN);
            prop_assert!(AllowedOrigins::any().allows(&origin));
            prop_assert!(has_origin || AllowedOrigins::same_origin().allows(&origin));
            let other = AllowedOrigins::list(["https://other.invalid"]);
            prop_assert_eq!(other.allows(&origin), !has_origin);
            _ = origin.to_string();
        }
    }
}
