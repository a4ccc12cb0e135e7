//! Bearer tokens, in a header or a subprotocol. Never in the URL, which appears in logs.

use crate::header_list;
use http::{HeaderMap, HeaderValue, header};

/// The subprotocol that a browser offers before its token, because it cannot set headers:
/// `new WebSocket(url, ["bearer", token])`.
const SUBPROTOCOL: &str = "bearer";

/// A token, and how the client sent it.
pub(super) struct Token {
    pub(super) text: String,
    /// Whether it was offered as a subprotocol. A browser then requires that the server selects one
    /// of the offers.
    pub(super) by_subprotocol: bool,
}

/// Removes the token from the head, so that no consumer and no log exposes it by accident.
pub(super) fn take(headers: &mut HeaderMap, has_subprotocols: bool) -> Option<Token> {
    if let Some(text) = bearer(headers) {
        headers.remove(header::AUTHORIZATION);
        return Some(Token {
            text,
            by_subprotocol: false,
        });
    }
    if !has_subprotocols {
        return None;
    }
    let (text, others) = offered(headers)?;
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(others) = others {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, others);
    }
    Some(Token {
        text,
        by_subprotocol: true,
    })
}

/// Selects `bearer` on a 101, unless the consumer has selected a subprotocol.
pub(super) fn choose(headers: &mut HeaderMap) {
    let entry = headers.entry(header::SEC_WEBSOCKET_PROTOCOL);
    entry.or_insert(HeaderValue::from_static(SUBPROTOCOL));
}

/// Returns the token of `Authorization: Bearer <token>` (RFC 6750, 2.1). The scheme is
/// case-insensitive (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| token.trim().to_owned())
}

/// Returns the offer after `bearer`, and the other offers.
fn offered(headers: &HeaderMap) -> Option<(String, Option<HeaderValue>)> {
    let mut offers: Vec<&str> =
        header_list::items(headers, header::SEC_WEBSOCKET_PROTOCOL).collect();
    let at = offers.iter().position(|offer| *offer == SUBPROTOCOL)?;
    if at + 1 >= offers.len() {
        return None;
    }
    let token = offers.remove(at + 1).to_owned();
    offers.remove(at);
    let others = (!offers.is_empty()).then(|| HeaderValue::try_from(offers.join(", ")));
    Some((token, others.and_then(Result::ok)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_and_taken_away() {
        for (name, value, token, left) in [
            ("authorization", "Bearer abc", Some("abc"), None),
            ("authorization", "bearer  abc", Some("abc"), None),
            ("authorization", "Basic abc", None, Some("Basic abc")),
            ("sec-websocket-protocol", "bearer, abc", Some("abc"), None),
            (
                "sec-websocket-protocol",
                "chat.v1, bearer, abc, chat.v2",
                Some("abc"),
                Some("chat.v1, chat.v2"),
            ),
            (
                "sec-websocket-protocol",
                "chat.v1, bearer",
                None,
                Some("chat.v1, bearer"),
            ),
            ("sec-websocket-protocol", "chat.v1", None, Some("chat.v1")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));

            let found = take(&mut headers, true);

            assert_eq!(found.map(|token| token.text).as_deref(), token, "{value}");
            let left_over = headers.get(name).map(|value| value.to_str().unwrap());
            assert_eq!(left_over, left, "{value}");
        }
    }

    #[test]
    fn a_page_offers_no_subprotocols() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "sec-websocket-protocol",
            HeaderValue::from_static("bearer, abc"),
        );

        assert!(take(&mut headers, false).is_none());
    }
}
