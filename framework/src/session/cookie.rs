//! The cookie that leads to a session.

use crate::{cookies::Cookies, header_list::is_token};
use cookie::{Cookie, CookieJar, time::Duration};
pub use cookie::{Key, SameSite};
use http::{HeaderMap, HeaderValue};
use std::{borrow::Cow, fmt};
use tower_sessions::session::Id;

/// Name and attributes of the cookie, and how its value is protected.
#[derive(Clone)]
pub(crate) struct SessionCookie {
    pub(crate) name: Cow<'static, str>,
    pub(crate) path: Cow<'static, str>,
    pub(crate) domain: Option<Cow<'static, str>>,
    pub(crate) same_site: SameSite,
    pub(crate) is_secure: bool,
    pub(crate) is_http_only: bool,
    protection: Protection,
}

/// How a cookie's value is written.
#[derive(Clone)]
enum Protection {
    /// As it is: 128 bits of chance, which nobody guesses.
    Plain,
    /// With a signature: a forged one does not reach the store.
    Signed(Key),
    /// Encrypted: nobody but this server reads it.
    Private(Key),
}

impl Default for SessionCookie {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed("session"),
            path: Cow::Borrowed("/"),
            domain: None,
            same_site: SameSite::Lax,
            is_secure: true,
            is_http_only: true,
            protection: Protection::Plain,
        }
    }
}

impl SessionCookie {
    /// # Panics
    /// If a cookie can have no such name (RFC 6265, 4.1.1).
    #[track_caller]
    pub(crate) fn check_name(name: &str) {
        assert!(
            is_token(name),
            "{name:?} can be no cookie's name: write letters, digits, - and _"
        );
    }

    /// # Panics
    /// If no browser would keep to this path (RFC 6265, 5.2.4).
    #[track_caller]
    pub(crate) fn check_path(path: &str) {
        let is_clean = path
            .bytes()
            .all(|byte| byte != b';' && !byte.is_ascii_control());
        assert!(
            path.starts_with('/') && is_clean,
            "{path:?} can be no cookie's path: it starts with / and has no semicolon"
        );
    }

    /// # Panics
    /// If no browser would take a cookie for this domain (RFC 6265, 5.3).
    #[track_caller]
    pub(crate) fn check_domain(domain: &str) {
        let name = domain.strip_prefix('.').unwrap_or(domain);
        let is_name = name.split('.').all(|label| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(fits)
        });
        assert!(
            is_name,
            "{domain:?} can be no cookie's domain: write a host as in example.com, without scheme and port"
        );
    }

    /// # Panics
    /// If browsers refuse a cookie with these attributes (RFC 6265bis, 5.7).
    #[track_caller]
    pub(crate) fn check(&self) {
        let name = self.name.to_ascii_lowercase();
        let is_for_this_host = self.is_secure && self.path == "/" && self.domain.is_none();
        for (is_mistake, remedy) in [
            (
                name.starts_with("__host-") && !is_for_this_host,
                "a name that begins with __Host- needs secure(true), the path / and no domain",
            ),
            (
                name.starts_with("__secure-") && !self.is_secure,
                "a name that begins with __Secure- needs secure(true)",
            ),
            (
                self.same_site == SameSite::None && !self.is_secure,
                "SameSite::None needs secure(true)",
            ),
        ] {
            assert!(
                !is_mistake,
                "no browser keeps the cookie of the session: {remedy}"
            );
        }
    }

    pub(crate) fn protect_by_signature(&mut self, key: Key) {
        self.protection = Protection::Signed(key);
    }

    pub(crate) fn protect_by_encryption(&mut self, key: Key) {
        self.protection = Protection::Private(key);
    }

    /// Whether the client sent such a cookie, and the session it leads to, if it is genuine.
    pub(crate) fn read(&self, headers: &HeaderMap) -> (bool, Option<Id>) {
        let cookies = Cookies::of(headers);
        let value = match &self.protection {
            Protection::Plain => cookies.get(&self.name).map(str::to_owned),
            Protection::Signed(key) => cookies.signed(&self.name, key),
            Protection::Private(key) => cookies.private(&self.name, key),
        };
        let is_there = cookies.get(&self.name).is_some();
        (is_there, value.and_then(|value| value.parse().ok()))
    }

    /// The header that makes a client keep the cookie; with no age, until the browser is closed.
    pub(crate) fn set(&self, id: Id, age: Option<Duration>) -> HeaderValue {
        let mut cookie = self.cookie(id.to_string());
        cookie.set_max_age(age);
        self.header(cookie)
    }

    /// The header that makes a client forget the cookie.
    pub(crate) fn remove(&self) -> HeaderValue {
        let mut cookie = self.cookie(String::new());
        cookie.make_removal();
        encoded(&cookie)
    }

    fn cookie(&self, value: String) -> Cookie<'static> {
        let mut cookie = Cookie::new(self.name.clone(), value);
        cookie.set_path(self.path.clone());
        cookie.set_same_site(self.same_site);
        cookie.set_secure(self.is_secure);
        cookie.set_http_only(self.is_http_only);
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.clone());
        }
        cookie
    }

    fn header(&self, cookie: Cookie<'static>) -> HeaderValue {
        let mut jar = CookieJar::new();
        match &self.protection {
            Protection::Plain => jar.add(cookie),
            Protection::Signed(key) => jar.signed_mut(key).add(cookie),
            Protection::Private(key) => jar.private_mut(key).add(cookie),
        }
        encoded(jar.get(&self.name).expect("it was just put in"))
    }
}

fn encoded(cookie: &Cookie<'_>) -> HeaderValue {
    let line = cookie.encoded().to_string();
    HeaderValue::try_from(line).expect("an encoded cookie is visible ASCII")
}

impl Cookies {
    /// The value of a cookie that was signed with this key (`cookie::CookieJar::signed_mut`); none if it was forged.
    pub fn signed(&self, name: &str, key: &Key) -> Option<String> {
        let cookie = self.jar().signed(key).get(name)?;
        Some(cookie.value().to_owned())
    }

    /// The value of a cookie that was encrypted with this key (`cookie::CookieJar::private_mut`); none if it was forged.
    pub fn private(&self, name: &str, key: &Key) -> Option<String> {
        let cookie = self.jar().private(key).get(name)?;
        Some(cookie.value().to_owned())
    }
}

/// Keys are not shown.
impl fmt::Debug for SessionCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCookie")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a check says to one who configures it that way.
    fn told(check: impl FnOnce() + std::panic::UnwindSafe) -> Option<String> {
        let panic = std::panic::catch_unwind(check).err()?;
        Some(*panic.downcast::<String>().unwrap())
    }

    #[test]
    fn a_setting_that_no_browser_keeps_to_is_told_at_once() {
        for (name, fits) in [
            ("shop", true),
            ("__Host-id", true),
            ("", false),
            ("my id", false),
            ("a=b", false),
            ("caf\u{e9}", false),
        ] {
            let told = told(|| SessionCookie::check_name(name));
            assert_eq!(told.is_none(), fits, "{name}: {told:?}");
        }
        for (path, fits) in [
            ("/", true),
            ("/shop", true),
            ("", false),
            ("shop", false),
            ("/a;b", false),
            ("/a\n", false),
        ] {
            let told = told(|| SessionCookie::check_path(path));
            assert_eq!(told.is_none(), fits, "{path}: {told:?}");
        }
        for (domain, fits) in [
            ("example.com", true),
            (".example.com", true),
            ("", false),
            ("https://example.com", false),
            ("example.com:8000", false),
            ("example.com/shop", false),
            ("*.example.com", false),
            (" example.com", false),
        ] {
            let told = told(|| SessionCookie::check_domain(domain));
            assert_eq!(told.is_none(), fits, "{domain}: {told:?}");
        }
    }

    #[test]
    fn attributes_that_browsers_refuse_together_are_told_at_once() {
        let host = || SessionCookie {
            name: "__Host-id".into(),
            ..SessionCookie::default()
        };
        let secure = || SessionCookie {
            name: "__secure-id".into(),
            ..SessionCookie::default()
        };
        let everywhere = || SessionCookie {
            same_site: SameSite::None,
            ..SessionCookie::default()
        };
        for (cookie, mistake) in [
            (SessionCookie::default(), None),
            (host(), None),
            (secure(), None),
            (everywhere(), None),
            (
                SessionCookie {
                    is_secure: false,
                    ..SessionCookie::default()
                },
                None,
            ),
            (
                SessionCookie {
                    is_secure: false,
                    ..host()
                },
                Some("__Host-"),
            ),
            (
                SessionCookie {
                    path: "/shop".into(),
                    ..host()
                },
                Some("__Host-"),
            ),
            (
                SessionCookie {
                    domain: Some("a.example".into()),
                    ..host()
                },
                Some("__Host-"),
            ),
            (
                SessionCookie {
                    is_secure: false,
                    ..secure()
                },
                Some("__Secure-"),
            ),
            (
                SessionCookie {
                    is_secure: false,
                    ..everywhere()
                },
                Some("SameSite::None"),
            ),
        ] {
            let told = told(|| cookie.check());
            match mistake {
                None => assert_eq!(told, None),
                Some(mistake) => assert!(told.unwrap().contains(mistake), "{mistake}"),
            }
        }
    }
}
