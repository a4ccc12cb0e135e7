//! The cookies of a test client, stored and sent as by a browser (RFC 6265, 5.3 and 5.4).

use crate::scope::OpensOverHttp;
use cookie::{Cookie, time::OffsetDateTime};
use http::{HeaderMap, HeaderValue, header, request};
use percent_encoding::percent_decode_str;
use std::{
    cmp::Reverse,
    sync::{Arc, Mutex, MutexGuard},
};

/// The cookies of a test client; clones share them.
///
/// All requests go to one host over a connection that counts as secure, so `Domain`, `Secure` and
/// `SameSite` make no difference. A cookie is kept until a response removes it.
#[derive(Clone, Debug, Default)]
pub(super) struct CookieJar(Arc<Mutex<Vec<StoredCookie>>>);

#[derive(Clone, Debug)]
struct StoredCookie {
    name: String,
    /// As it was received, without decoding.
    value: String,
    path: String,
}

impl CookieJar {
    /// Adds the cookies to a request, and stores those of its response.
    ///
    /// A `Cookie` header that the request has already is sent instead.
    pub(super) fn attach<P: OpensOverHttp>(
        &self,
        head: &mut request::Parts,
        connection: &mut P::Connection,
    ) {
        let path = head.uri.path().to_owned();
        if !head.headers.contains_key(header::COOKIE)
            && let Some(cookies) = self.header(&path)
        {
            head.headers.insert(header::COOKIE, cookies);
        }
        let jar = self.clone();
        // The first hook to be registered is the last to run, so it gets all cookies.
        P::on_response(
            connection,
            Box::new(move |response| {
                jar.store(&path, &response.headers);
                Box::pin(async { Ok(()) })
            }),
        );
    }

    /// Stores a cookie for all paths.
    pub(super) fn set(&self, name: &str, value: &str) {
        let cookie = Cookie::build((name, value)).path("/").build();
        self.keep("/", Cookie::parse(cookie.encoded().to_string()).ok());
    }

    /// Returns the decoded value of a cookie; of several, that with the longest path.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let cookies = self.cookies();
        let of_this_name = cookies.iter().filter(|cookie| cookie.name == name);
        let cookie = of_this_name.min_by_key(|cookie| Reverse(cookie.path.len()))?;
        let value = percent_decode_str(&cookie.value).decode_utf8_lossy();
        Some(value.into_owned())
    }

    /// Removes all cookies.
    pub(super) fn clear(&self) {
        self.cookies().clear();
    }

    /// Returns the `Cookie` header of a request for this path: cookies with longer paths first,
    /// then older ones.
    fn header(&self, path: &str) -> Option<HeaderValue> {
        let cookies = self.cookies();
        let matching = cookies.iter().filter(|cookie| matches(path, &cookie.path));
        let mut matching: Vec<_> = matching.collect();
        matching.sort_by_key(|cookie| Reverse(cookie.path.len()));
        let pairs = matching.iter().map(|cookie| {
            let StoredCookie { name, value, .. } = cookie;
            format!("{name}={value}")
        });
        let pairs: Vec<_> = pairs.collect();
        (!pairs.is_empty()).then(|| {
            HeaderValue::try_from(pairs.join("; ")).expect("each pair was part of a header value")
        })
    }

    /// Stores the cookies of a response to a request for this path.
    fn store(&self, path: &str, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let line = line.to_str().ok().map(str::to_owned);
            self.keep(path, line.and_then(|line| Cookie::parse(line).ok()));
        }
    }

    fn keep(&self, path: &str, cookie: Option<Cookie<'static>>) {
        let Some(cookie) = cookie else {
            return;
        };
        let path = match cookie.path() {
            Some(path) if path.starts_with('/') => path,
            _ => default_path(path),
        };
        let mut cookies = self.cookies();
        let old = cookies
            .iter()
            .position(|old| old.name == cookie.name() && old.path == path);
        let new = StoredCookie {
            name: cookie.name().to_owned(),
            value: cookie.value().to_owned(),
            path: path.to_owned(),
        };
        match (old, is_expired(&cookie)) {
            (Some(at), true) => _ = cookies.remove(at),
            // A replaced cookie keeps its age, and with it its place.
            (Some(at), false) => cookies[at] = new,
            (None, true) => {}
            (None, false) => cookies.push(new),
        }
    }

    fn cookies(&self) -> MutexGuard<'_, Vec<StoredCookie>> {
        let lock = self.0.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

/// Returns whether this cookie removes the one of its name; `Max-Age` takes precedence.
fn is_expired(cookie: &Cookie<'_>) -> bool {
    match (cookie.max_age(), cookie.expires_datetime()) {
        (Some(age), _) => !age.is_positive(),
        (None, Some(expires)) => expires <= OffsetDateTime::now_utc(),
        (None, None) => false,
    }
}

/// Returns the path of a cookie that names none (RFC 6265, 5.1.4).
fn default_path(request: &str) -> &str {
    match request.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &request[..end],
    }
}

/// Returns whether a request for this path sends a cookie (RFC 6265, 5.1.4).
fn matches(request: &str, cookie: &str) -> bool {
    let rest = request.strip_prefix(cookie);
    rest.is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_stored_and_sent_as_by_a_browser() {
        let jar = CookieJar::default();
        for (path, line, sent_to_shop) in [
            ("/", "id=1; Path=/", "id=1"),
            ("/", "theme=dark", "id=1; theme=dark"),
            ("/shop/list", "basket=2", "basket=2; id=1; theme=dark"),
            ("/", "id=3; Path=/shop", "basket=2; id=3; id=1; theme=dark"),
            ("/", "id=4; Path=/", "basket=2; id=3; id=4; theme=dark"),
            (
                "/",
                "id=; Path=/shop; Max-Age=0",
                "basket=2; id=4; theme=dark",
            ),
            (
                "/",
                "theme=; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "basket=2; id=4",
            ),
            ("/", "elsewhere=5; Path=/shopping", "basket=2; id=4"),
            (
                "/",
                "name=Zo%C3%AB; Path=shop",
                "basket=2; id=4; name=Zo%C3%AB",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::SET_COOKIE, line.parse().unwrap());

            jar.store(path, &headers);

            assert_eq!(jar.header("/shop/list").unwrap(), sent_to_shop, "{line}");
        }
        assert_eq!(jar.get("name").as_deref(), Some("Zo\u{eb}"));
        assert_eq!(jar.header("/").unwrap(), "id=4; name=Zo%C3%AB");
        jar.set("name", "a;b");
        assert_eq!(jar.header("/").unwrap(), "id=4; name=a%3Bb");
        jar.clear();
        assert_eq!(jar.header("/shop"), None);
    }

    #[test]
    fn a_path_matches_whole_segments() {
        for (request, cookie, expected) in [
            ("/", "/", true),
            ("/a/b", "/", true),
            ("/a", "/a", true),
            ("/a/b", "/a", true),
            ("/a/b", "/a/", true),
            ("/a", "/a/", false),
            ("/ab", "/a", false),
            ("/", "/a", false),
        ] {
            assert_eq!(matches(request, cookie), expected, "{request} {cookie}");
        }
    }
}
