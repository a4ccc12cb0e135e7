//! The negotiation of permessage-deflate (RFC 7692, 5 and 7.1), as a function of the request's
//! headers.

use http::{HeaderMap, HeaderValue, header};

/// permessage-deflate with the parameters of one connection.
///
/// Neither side keeps its window between messages: one compressed copy of a group message then fits
/// every member, and an idle connection owns no compressor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deflate {
    /// The base-2 logarithm of the window of this side, if the client limits it: one of
    /// [`WINDOWS`].
    pub(super) max_window_bits: Option<u8>,
}

/// The windows of this side, the largest first. A client that limits the window gets the next one
/// below its limit: a group message is compressed once for each, not for each limit.
const WINDOWS: [u8; 3] = [MAX_BITS, 12, MIN_BITS];

/// The default window, and the largest.
const MAX_BITS: u8 = 15;

/// zlib writes no raw stream with a window of 256 bytes; an offer that demands it is declined.
const MIN_BITS: u8 = 9;

impl Deflate {
    /// Returns the first acceptable offer of the client, if there is one.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS);
        lines
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| split(line, ','))
            .find_map(Self::accept)
    }

    /// Returns the base-2 logarithm of the window of this side: one of [`WINDOWS`].
    pub(super) fn window_bits(self) -> u8 {
        self.max_window_bits.unwrap_or(MAX_BITS)
    }

    /// Returns the value of the response's `Sec-WebSocket-Extensions`. It accepts a limit by naming
    /// one, even the default (RFC 7692, 7.1.2.1).
    pub(super) fn response(self) -> HeaderValue {
        let mut value = String::from(
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        );
        if let Some(bits) = self.max_window_bits {
            value.push_str("; server_max_window_bits=");
            value.push_str(&bits.to_string());
        }
        HeaderValue::try_from(value).expect("tokens and digits are a header value")
    }

    /// Checks one offer: a name, and parameters that are known, valid and not repeated.
    fn accept(offer: &str) -> Option<Self> {
        let mut items = split(offer, ';');
        if !items.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let mut max_window_bits = None;
        let mut seen = Vec::new();
        for item in items {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.trim(), Some(unquote(value.trim()))),
                None => (item, None),
            };
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None)
                | ("client_max_window_bits", None) => {}
                // This side inflates with the largest window, which reads every smaller one.
                ("client_max_window_bits", Some(bits)) => _ = window_bits(bits)?,
                // The response may have a smaller one (RFC 7692, 7.1.2.1).
                ("server_max_window_bits", Some(bits)) => {
                    let most = window_bits(bits)?;
                    max_window_bits = Some(WINDOWS.into_iter().find(|bits| *bits <= most)?);
                }
                _ => return None,
            }
        }
        Some(Self { max_window_bits })
    }
}

/// Parses 8 to 15, without leading zeros (RFC 7692, 7.1.2).
fn window_bits(text: &str) -> Option<u8> {
    let bits = text
        .parse()
        .ok()
        .filter(|bits| (8..=MAX_BITS).contains(bits))?;
    (!text.starts_with(['0', '+'])).then_some(bits)
}

/// Splits at a separator outside quoted strings, and trims the parts.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |character: char| {
        let escaped = std::mem::take(&mut is_escaped);
        match character {
            '\\' if is_quoted && !escaped => is_escaped = true,
            '"' if !escaped => is_quoted = !is_quoted,
            _ => return !is_quoted && character == separator,
        }
        false
    })
    .map(str::trim)
}

fn unquote(value: &str) -> &str {
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(lines: &[&str]) -> Option<u8> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let value = HeaderValue::from_str(line).unwrap();
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, value);
        }
        Deflate::negotiate(&headers).map(Deflate::window_bits)
    }

    #[test]
    fn the_first_acceptable_offer_is_chosen() {
        for (lines, expected) in [
            (&[][..], None),
            (&["x-webkit-deflate-frame"], None),
            (&["permessage-deflate"], Some(15)),
            (&["Permessage-Deflate"], Some(15)),
            (&["permessage-deflate; client_max_window_bits"], Some(15)),
            (&["permessage-deflate;client_max_window_bits=8"], Some(15)),
            (&["permessage-deflate; server_max_window_bits=9"], Some(9)),
            (
                &["permessage-deflate; server_max_window_bits=\"10\""],
                Some(9),
            ),
            (&["permessage-deflate; server_max_window_bits=12"], Some(12)),
            (&["permessage-deflate; server_max_window_bits=14"], Some(12)),
            (&["permessage-deflate; server_max_window_bits=15"], Some(15)),
            (&["foo, permessage-deflate"], Some(15)),
            (&["foo; a=\"b, permessage-deflate\""], None),
            (&["foo; a=\"\\\", permessage-deflate\""], None),
            (&["foo", "permessage-deflate"], Some(15)),
            (
                &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
                Some(15),
            ),
            (
                &["permessage-deflate; server_no_context_takeover; client_no_context_takeover"],
                Some(15),
            ),
        ] {
            assert_eq!(negotiate(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn an_invalid_offer_is_declined() {
        for parameters in [
            "server_max_window_bits",
            "server_max_window_bits=8",
            "server_max_window_bits=16",
            "server_max_window_bits=010",
            "server_max_window_bits=+9",
            "server_max_window_bits=9; server_max_window_bits=9",
            "client_max_window_bits=7",
            "client_max_window_bits=99999999999999999999",
            "client_max_window_bits=",
            "client_no_context_takeover=true",
            "unknown",
            "",
        ] {
            let offer = format!("permessage-deflate; {parameters}");

            assert_eq!(negotiate(&[&offer]), None, "{parameters}");
        }
    }

    #[test]
    fn the_response_names_a_window_if_the_offer_does() {
        let value = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        for (offered, expected) in [
            ("", ""),
            ("; server_max_window_bits=9", "; server_max_window_bits=9"),
            ("; server_max_window_bits=14", "; server_max_window_bits=12"),
            ("; server_max_window_bits=15", "; server_max_window_bits=15"),
            ("; client_max_window_bits=15", ""),
        ] {
            let deflate = Deflate::accept(&format!("permessage-deflate{offered}")).unwrap();

            assert_eq!(
                deflate.response(),
                format!("{value}{expected}"),
                "{offered}"
            );
        }
    }
}
