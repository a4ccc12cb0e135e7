//! Which pages may open a socket here: the defence against cross-site WebSocket hijacking (RFC 6455, 10.2).

use http::{HeaderMap, Uri, header, uri::Authority};
use std::sync::Arc;

/// Which pages may open a socket here. Default: pages of the same origin.
///
/// A browser sends cookies along with a socket that *any* page opens, and names that page in the `Origin` header.
/// Clients other than browsers send no `Origin` and are always admitted: they hold no foreign cookies.
///
/// ```
/// use seaway::protocol::AllowedOrigins;
///
/// let ours = AllowedOrigins::list(["https://app.example", ".partner.example"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(Rule);

#[derive(Clone, Debug, Default)]
enum Rule {
    #[default]
    SameOrigin,
    List(Arc<[Pattern]>),
    Any,
}

#[derive(Clone, Debug)]
struct Pattern {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    subdomains: bool,
}

impl AllowedOrigins {
    /// Pages of the host that the request names (`Host`); port and host must agree.
    pub fn same_origin() -> Self {
        Self(Rule::SameOrigin)
    }

    /// Pages of these origins: `https://app.example`, `https://app.example:8443`, a bare host (`app.example`, any
    /// scheme and port), or with a leading dot a domain and all its subdomains (`.example.com`).
    ///
    /// # Panics
    /// If a pattern is none of these: better now than at the first visitor.
    #[track_caller]
    pub fn list<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let parsed = patterns.into_iter().map(|text| {
            Pattern::parse(text).unwrap_or_else(|| {
                panic!("{text:?} is not an origin: write https://app.example, app.example or .example.com")
            })
        });
        Self(Rule::List(parsed.collect()))
    }

    /// Every page there is. Right only where no cookie decides anything.
    pub fn any() -> Self {
        Self(Rule::Any)
    }

    pub(crate) fn admits(&self, origin: &Origin) -> bool {
        let Some(said) = &origin.said else {
            return true;
        };
        match &self.0 {
            Rule::Any => true,
            Rule::SameOrigin => {
                let (Some(page), Some(host)) = (Site::parse(said), &origin.host) else {
                    return false;
                };
                page.is_at(host)
            }
            Rule::List(patterns) => {
                Site::parse(said).is_some_and(|page| patterns.iter().any(|one| one.matches(&page)))
            }
        }
    }
}

/// What a handshake said of its origin. Small: it lives as long as the handshake.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    said: Option<String>,
    host: Option<String>,
}

impl Origin {
    /// Two `Origin` headers are one too many: nothing is admitted that reads differently to somebody else.
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let said = origins.next().map(|first| match origins.next() {
            Some(_) => String::from("null"),
            None => String::from_utf8_lossy(first.as_bytes()).into_owned(),
        });
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| uri.authority().map(Authority::as_str))
            .map(str::to_owned);
        Self { said, host }
    }
}

/// A page's origin, taken apart.
struct Site {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Site {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let host = uri.host()?.to_ascii_lowercase();
        let port = port_of(uri.authority()?)?.or_else(|| default_port(&scheme));
        Some(Self { scheme, host, port })
    }

    /// A proxy may have taken the TLS off, so the request's own scheme is unknown: a host without a port is taken to
    /// be at the default port of the page's scheme.
    fn is_at(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        let Some(port) = port_of(&authority) else {
            return false;
        };
        let port = port.or_else(|| default_port(&self.scheme));
        authority.host().eq_ignore_ascii_case(&self.host) && port == self.port
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = match text.split_once("://") {
            Some((scheme, authority)) => (Some(scheme.to_ascii_lowercase()), authority),
            None => (None, text),
        };
        let (subdomains, authority) = match authority.strip_prefix('.') {
            Some(domain) => (true, domain),
            None => (false, authority),
        };
        let authority: Authority = authority.parse().ok()?;
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() || host.contains('*') || authority.as_str().contains('@') {
            return None;
        }
        let port = port_of(&authority)?;
        let port = port.or_else(|| scheme.as_deref().and_then(default_port));
        Some(Self {
            scheme,
            host,
            port,
            subdomains,
        })
    }

    fn matches(&self, page: &Site) -> bool {
        let scheme = self.scheme.as_ref().is_none_or(|one| *one == page.scheme);
        let port = match (&self.scheme, self.port) {
            (None, None) => true,
            (_, port) => port == page.port,
        };
        let below = || {
            let rest = page.host.strip_suffix(&self.host);
            self.subdomains && rest.is_some_and(|rest| rest.ends_with('.'))
        };
        scheme && port && (page.host == self.host || below())
    }
}

/// The port that is written there, if one is; `None` if what is written is no port.
fn port_of(authority: &Authority) -> Option<Option<u16>> {
    let (_, behind_host) = authority.as_str().rsplit_once(authority.host())?;
    match behind_host.strip_prefix(':') {
        Some(digits) => digits.parse().ok().map(Some),
        None => Some(None),
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(said: &str, host: &str) -> Origin {
        Origin {
            said: Some(said.to_owned()),
            host: Some(host.to_owned()),
        }
    }

    #[test]
    fn the_same_origin_is_host_and_port() {
        let rule = AllowedOrigins::same_origin();
        for (said, host, admitted) in [
            ("https://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("https://A.example", "a.EXAMPLE", true),
            ("http://localhost:8000", "localhost:8000", true),
            ("http://[::1]:8000", "[::1]:8000", true),
            ("http://localhost:8000", "localhost:8001", false),
            ("https://a.example", "a.example:8443", false),
            ("https://evil.example", "a.example", false),
            ("https://a.example.evil", "a.example", false),
            ("null", "a.example", false),
            ("file://", "a.example", false),
            ("", "a.example", false),
            ("a.example", "a.example", false),
            ("http://a.example:99999", "a.example", false),
        ] {
            assert_eq!(rule.admits(&from(said, host)), admitted, "{said} at {host}");
        }
    }

    #[test]
    fn a_list_admits_what_it_names() {
        for (pattern, said, admitted) in [
            ("a.example", "https://a.example:8443", true),
            ("a.example", "http://sub.a.example", false),
            (".a.example", "http://x.y.a.example:99", true),
            (".a.example", "http://a.example", true),
            (".a.example", "http://nota.example", false),
            ("http://a.example", "http://a.example:80", true),
            ("http://a.example", "https://a.example", false),
            ("http://a.example", "http://a.example:8080", false),
            ("http://.a.example:80", "http://x.a.example", true),
            ("localhost:3000", "http://localhost:3000", true),
            ("localhost:3000", "http://localhost:3001", false),
            ("localhost", "null", false),
            ("a.example", "http://a.example.", false),
            ("chrome-extension://abc", "chrome-extension://abc", true),
        ] {
            let rule = AllowedOrigins::list([pattern]);
            assert_eq!(
                rule.admits(&from(said, "h")),
                admitted,
                "{pattern} for {said}"
            );
        }
    }

    #[test]
    fn a_client_that_is_no_browser_is_admitted() {
        assert!(AllowedOrigins::same_origin().admits(&Origin::default()));
    }

    #[test]
    fn two_origins_are_one_too_many() {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, "http://a".parse().unwrap());
        headers.append(header::ORIGIN, "http://b".parse().unwrap());
        headers.append(header::HOST, "a".parse().unwrap());

        assert!(!AllowedOrigins::same_origin().admits(&Origin::of(&headers, &Uri::default())));
    }

    #[test]
    #[should_panic(expected = "is not an origin")]
    fn a_pattern_that_can_never_match_is_told_at_once() {
        _ = AllowedOrigins::list(["*.example.com"]);
    }
}
