//! The check of the `Origin` header: the defence against cross-site WebSocket hijacking (RFC 6455,
//! 10.2).

use crate::extract::RequestedHost;
use http::{
    Extensions, HeaderMap, Uri, header,
    uri::{Authority, Scheme},
};
use std::{fmt, net::Ipv6Addr, sync::Arc};

/// The origins whose pages may open a WebSocket (default: the same origin).
///
/// A browser sends cookies along with a WebSocket that *any* page opens, and names the origin of
/// that page in the `Origin` header. Clients other than browsers send no `Origin` and are always
/// allowed: they hold no cookies of another user.
///
/// A WebSocket that a proxy application passes on is checked only if origins are set around that
/// application; otherwise this is left to the server behind.
///
/// ```
/// use seaway::protocol::AllowedOrigins;
///
/// let ours = AllowedOrigins::list(["https://app.example", ".partner.example"]);
/// let default = AllowedOrigins::same_origin();
/// let every = AllowedOrigins::any();
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct AllowedOrigins {
    pages: Pages,
    /// `Origin: null`.
    null: bool,
    /// `Origin: file://`.
    file: bool,
}

#[derive(Clone, Debug, Default)]
enum Pages {
    #[default]
    SameOrigin,
    List(Arc<[Pattern]>),
    /// The same origin, and those of the list.
    SameOriginAnd(Arc<[Pattern]>),
    Any,
}

impl AllowedOrigins {
    /// Allows pages of the host and port that the client requested.
    ///
    /// They are those of `Host` (over HTTP/2 of `:authority`), or of the host that a
    /// [trusted proxy](crate::Serve::trusted_proxies) states. If the proxy states the scheme, the
    /// page must have it; otherwise pages of `http` and `https` are allowed, since a proxy may
    /// terminate TLS.
    pub fn same_origin() -> Self {
        Self::of(Pages::SameOrigin)
    }

    /// Allows pages of these origins: `https://app.example`, `https://app.example:8443`, a bare
    /// host (`app.example`, any scheme and port), or with a leading dot a domain and all its
    /// subdomains (`.example.com`).
    ///
    /// Space around a pattern is ignored, as splitting `"https://a.example, https://b.example"` at
    /// its comma leaves it.
    ///
    /// # Panics
    /// If a pattern can match no origin that a browser sends, because it is empty, has a path, a
    /// `*` or another mistake; the message names the remedy. Also if there is no pattern, which
    /// would allow no page at all.
    #[track_caller]
    pub fn list<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut parsed = Vec::new();
        // A loop, because a panic in a closure would not name the line of the caller.
        for text in patterns {
            match Pattern::parse(text.trim()) {
                Ok(pattern) => parsed.push(pattern),
                Err(mistake) => panic!(
                    "{text:?} is not an origin: {mistake}; patterns are written https://app.example, app.example or .example.com"
                ),
            }
        }
        let patterns: Arc<[Pattern]> = parsed.into();
        assert!(
            !patterns.is_empty(),
            "an empty list of origins allows no page: name one, or use AllowedOrigins::same_origin()"
        );
        Self::of(Pages::List(patterns))
    }

    /// Allows the pages that a Django site allows, by its settings `ALLOWED_HOSTS` and
    /// `CSRF_TRUSTED_ORIGINS`.
    ///
    /// - An entry of `allowed_hosts` allows pages of this host with any scheme and port, with a
    ///   leading dot also those of its subdomains, as Channels' `AllowedHostsOriginValidator` does.
    ///   `*` allows the same origin only, as Django's CSRF check does, and not, as in Channels, the
    ///   pages of every site. An empty list stands for `.localhost`, `127.0.0.1` and `[::1]`, as in
    ///   Django with `DEBUG`.
    /// - An entry of `csrf_trusted_origins` allows an origin, `https://shop.example`, or a host and
    ///   all its subdomains, `https://*.shop.example`.
    ///
    /// ```
    /// use seaway::protocol::AllowedOrigins;
    ///
    /// let site = AllowedOrigins::django([".shop.example"], ["https://*.partner.example"]);
    /// ```
    ///
    /// # Panics
    /// If an entry is one that Django's checks would refuse or never match; the message names the
    /// remedy.
    #[track_caller]
    pub fn django<'a>(
        allowed_hosts: impl IntoIterator<Item = &'a str>,
        csrf_trusted_origins: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut hosts: Vec<&str> = allowed_hosts.into_iter().collect();
        if hosts.is_empty() {
            hosts = vec![".localhost", "127.0.0.1", "[::1]"];
        }
        let any_host = hosts.contains(&"*");
        let hosts = hosts.into_iter().filter(|host| *host != "*").map(|host| {
            assert!(
                !host.contains("://"),
                "{host:?} is not an entry of ALLOWED_HOSTS, which has no scheme: did you mean \
                 CSRF_TRUSTED_ORIGINS?"
            );
            Pattern::of_allowed_host(host).unwrap_or_else(|mistake| {
                panic!("{host:?} is not an entry of ALLOWED_HOSTS: {mistake}")
            })
        });
        let origins = csrf_trusted_origins.into_iter().map(|origin| {
            assert!(
                origin.contains("://"),
                "{origin:?} is not an entry of CSRF_TRUSTED_ORIGINS: it starts with a scheme, as \
                 in https://{origin}"
            );
            Pattern::of_trusted_origin(origin).unwrap_or_else(|mistake| {
                panic!("{origin:?} is not an entry of CSRF_TRUSTED_ORIGINS: {mistake}")
            })
        });
        let patterns = hosts.chain(origins).collect();
        Self::of(match any_host {
            true => Pages::SameOriginAnd(patterns),
            false => Pages::List(patterns),
        })
    }

    /// Allows every page.
    ///
    /// Safe only where no cookie authorizes anything.
    pub fn any() -> Self {
        Self::of(Pages::Any)
    }

    /// Allows pages with `Origin: null`, too: those in a sandboxed frame or a `data:` URL, and in
    /// Firefox those opened from a file.
    ///
    /// Any site can make such a page, in a sandboxed frame of its own, and a browser sends along
    /// cookies that are `SameSite=None`. Use it only where no cookie authorizes anything, or where
    /// all are `SameSite=Lax` or `Strict`.
    pub fn allow_null(mut self) -> Self {
        self.null = true;
        self
    }

    /// Allows pages with `Origin: file://`, too: those that an app ships as files and shows in a
    /// web view (Electron, Cordova, Android), and in Chromium those opened from a file.
    ///
    /// No site on the network can make such a page, but a file can that a user has downloaded and
    /// opens in Chromium; the browser then sends along cookies that are `SameSite=None`. Apps that
    /// serve their pages under a scheme of their own (`capacitor://localhost`, `tauri://localhost`)
    /// need only that scheme in [`list`](AllowedOrigins::list).
    pub fn allow_file(mut self) -> Self {
        self.file = true;
        self
    }

    fn of(pages: Pages) -> Self {
        Self {
            pages,
            null: false,
            file: false,
        }
    }

    pub(crate) fn allows(&self, origin: &Origin) -> bool {
        if matches!(self.pages, Pages::Any) {
            return true;
        }
        let is_same = |site: &Site| site.is_at(&origin.requested);
        let is_listed = |site: &Site, patterns: &[Pattern]| {
            patterns.iter().any(|pattern| pattern.matches(site))
        };
        match &origin.page {
            Page::Unstated => true,
            Page::Null => self.null,
            Page::File => self.file,
            Page::At(site) => match &self.pages {
                Pages::Any => true,
                Pages::SameOrigin => is_same(site),
                Pages::List(patterns) => is_listed(site, patterns),
                Pages::SameOriginAnd(patterns) => is_same(site) || is_listed(site, patterns),
            },
            Page::Unreadable => false,
        }
    }

    /// Returns the reason why a page of this origin is rejected, for the log.
    pub(crate) fn refusal(&self, origin: &Origin) -> String {
        match (&self.pages, &origin.page) {
            (Pages::List(_), Page::At(site)) => {
                format!("the origin is {site}, which is not in the list of AllowedOrigins")
            }
            (Pages::SameOriginAnd(_), Page::At(_)) => {
                format!("{origin}, whose list does not contain it either")
            }
            _ => origin.to_string(),
        }
    }
}

/// The origin of a handshake. Small: it lives as long as the handshake.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    page: Page,
    requested: RequestedHost,
    /// Whether a trusted proxy has stated the host.
    is_forwarded: bool,
}

/// The page that opens the WebSocket (RFC 6454, 7.1).
#[derive(Debug, Default)]
enum Page {
    /// No `Origin`: the client is not a browser.
    #[default]
    Unstated,
    /// A page without an origin of its own.
    Null,
    /// A page from a file.
    File,
    At(Site),
    /// An invalid origin, or several: an origin that another party could read differently is not
    /// allowed.
    Unreadable,
}

impl Origin {
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri, extensions: &Extensions) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let page = match (origins.next(), origins.next()) {
            (None, _) => Page::Unstated,
            (Some(origin), None) => Page::parse(origin.as_bytes()),
            (Some(_), Some(_)) => Page::Unreadable,
        };
        Self {
            page,
            requested: RequestedHost::of(headers, uri, extensions),
            is_forwarded: RequestedHost::is_forwarded(extensions),
        }
    }
}

impl Page {
    fn parse(origin: &[u8]) -> Self {
        match origin {
            b"null" => Self::Null,
            b"file://" => Self::File,
            _ => {
                let text = std::str::from_utf8(origin).ok();
                text.and_then(Site::parse)
                    .map_or(Self::Unreadable, Self::At)
            }
        }
    }
}

/// For the log: the reason why a page was rejected.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.page {
            Page::Unstated => f.write_str("no Origin header"),
            Page::Null => {
                f.write_str("the page has the origin null, see AllowedOrigins::allow_null")
            }
            Page::File => f.write_str("the page is a file, see AllowedOrigins::allow_file"),
            Page::Unreadable => f.write_str("the Origin header names no single origin"),
            Page::At(site) => {
                let host = match self.is_forwarded {
                    true => "the forwarded host",
                    false => "the Host header",
                };
                write!(f, "the origin is {site} and {host} is ")?;
                match &self.requested {
                    RequestedHost { host: None, .. } => f.write_str("missing or unreadable"),
                    RequestedHost {
                        host: Some(host),
                        scheme: Some(scheme),
                    } => write!(f, "{host} over {scheme}, see AllowedOrigins"),
                    RequestedHost {
                        host: Some(host),
                        scheme: None,
                    } => write!(f, "{host}, see AllowedOrigins"),
                }
            }
        }
    }
}

/// The parts of a page's origin.
#[derive(Debug)]
struct Site {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Site {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let authority = uri.authority()?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return None;
        }
        let port = port_of(authority).ok()?;
        Some(Self {
            host: host_of(authority)?,
            port: port.or_else(|| default_port(&scheme)),
            scheme,
        })
    }

    /// Returns whether the origin is at this host, and has its scheme if that is known. Otherwise a
    /// proxy may have terminated TLS: a host without a port is assumed to be at the default port of
    /// the page's scheme.
    fn is_at(&self, requested: &RequestedHost) -> bool {
        let has_scheme = |scheme: &Scheme| scheme.as_str() == self.scheme;
        if !requested.scheme.as_ref().is_none_or(has_scheme) {
            return false;
        }
        let authority = requested
            .host
            .as_ref()
            .map(|host| host.parse::<Authority>());
        let Some(Ok(authority)) = authority else {
            return false;
        };
        let Ok(port) = port_of(&authority) else {
            return false;
        };
        let Some(default) = default_port(&self.scheme) else {
            return false;
        };
        let port = port.or(Some(default));
        host_of(&authority).as_ref() == Some(&self.host) && port == self.port
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        match self.port {
            Some(port) if default_port(&self.scheme) != self.port => write!(f, ":{port}"),
            _ => Ok(()),
        }
    }
}

/// An entry of a list, which allows one or more origins.
#[derive(Clone, Debug)]
struct Pattern {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    subdomains: bool,
}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The reason why no browser sends an origin that it matches, and the remedy.
    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "" => return Err("it is empty"),
            "*" => return Err("for every page use AllowedOrigins::any()"),
            "null" => return Err("pages without an origin are allowed by allow_null()"),
            "file://" => return Err("pages from files are allowed by allow_file()"),
            _ => {}
        }
        if text.contains(|character: char| character == ',' || character.is_whitespace()) {
            return Err("it is more than one: split it first");
        }
        if !text.is_ascii() {
            return Err("browsers send such a host in Punycode (xn--…)");
        }
        let (scheme, authority) = match text.split_once("://") {
            Some((scheme, authority)) => (Some(scheme.to_ascii_lowercase()), authority),
            None => (None, text),
        };
        if let Some("ws" | "wss") = scheme.as_deref() {
            return Err("the scheme is that of the page, http or https");
        }
        if authority.contains(['/', '?', '#']) {
            return Err("an origin ends after host and port, without a slash");
        }
        if authority.contains('@') {
            return Err("an origin has no user");
        }
        if authority.contains('*') {
            return Err("for all subdomains write a leading dot");
        }
        let (subdomains, authority) = match authority.strip_prefix('.') {
            Some(domain) => (true, domain),
            None => (false, authority),
        };
        let authority: Authority = authority.parse().map_err(|_| "it has no valid host")?;
        let host = host_of(&authority).ok_or("it has no valid host")?;
        let labels = host.strip_suffix('.').unwrap_or(&host);
        let is_name = labels.split('.').all(|label| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(fits)
        });
        if !is_name && !host.starts_with('[') {
            return Err("it has no valid host");
        }
        let port = port_of(&authority)?;
        let port = port.or_else(|| scheme.as_deref().and_then(default_port));
        Ok(Self {
            scheme,
            host,
            port,
            subdomains,
        })
    }

    /// Parses an entry of Django's `ALLOWED_HOSTS`.
    fn of_allowed_host(host: &str) -> Result<Self, &'static str> {
        let pattern = Self::parse(host)?;
        // Django compares the host without both.
        if pattern.port.is_some() {
            return Err("it has no port");
        }
        if host.ends_with('.') {
            return Err("it has no dot at its end");
        }
        Ok(pattern)
    }

    /// Parses an entry of Django's `CSRF_TRUSTED_ORIGINS`.
    fn of_trusted_origin(origin: &str) -> Result<Self, &'static str> {
        let (text, subdomains) = match origin.split_once("://*.") {
            Some((scheme, domain)) => (format!("{scheme}://.{domain}"), true),
            None => (origin.to_owned(), false),
        };
        let pattern = Self::parse(&text)?;
        // Django compares texts, and browsers send a host in lower case, without a default port.
        if !subdomains && origin != origin.to_ascii_lowercase() {
            return Err("browsers send an origin in lower case");
        }
        let default = pattern.scheme.as_deref().and_then(default_port);
        if pattern.port == default
            && default.is_some_and(|port| text.ends_with(&format!(":{port}")))
        {
            return Err("browsers leave out the default port of the scheme");
        }
        Ok(pattern)
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

/// Returns the host in lower case, an IPv6 address in its usual form; `None` if it is empty or not
/// an address.
fn host_of(authority: &Authority) -> Option<String> {
    let host = authority.host();
    match host.strip_prefix('[') {
        Some(address) => {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            Some(format!("[{address}]"))
        }
        None => (!host.is_empty()).then(|| host.to_ascii_lowercase()),
    }
}

/// Returns the port, if there is one.
fn port_of(authority: &Authority) -> Result<Option<u16>, &'static str> {
    let text = authority.as_str();
    let behind_user = text.rsplit_once('@').map_or(text, |(_, behind)| behind);
    let behind_host = behind_user.strip_prefix(authority.host());
    match behind_host.and_then(|port| port.strip_prefix(':')) {
        Some(digits) => digits
            .parse()
            .map(Some)
            .map_err(|_| "its port must be 0 to 65535"),
        None => Ok(None),
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
mod tests;
