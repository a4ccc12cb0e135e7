//! Where a request comes from: what log-in attempts are counted by.

use crate::chat::Chat;
use axum::extract::FromRequestParts;
use http::{HeaderMap, request::Parts};
use seaway::{ClientAddr, Reject};
use std::{net::IpAddr, sync::Arc};

/// The address of the client.
pub struct Client(pub IpAddr);

impl FromRequestParts<Arc<Chat>> for Client {
    type Rejection = Reject;

    async fn from_request_parts(parts: &mut Parts, chat: &Arc<Chat>) -> Result<Self, Reject> {
        let peer = <ClientAddr as FromRequestParts<_>>::from_request_parts(parts, chat).await?;
        let told = match chat.is_behind_proxy {
            true => forwarded(&parts.headers),
            false => None,
        };
        Ok(Self(told.unwrap_or(peer.0.ip())))
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
