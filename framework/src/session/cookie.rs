//! The session cookie: its attributes, and how its value is protected.

use super::Id;
use crate::{cookies::Cookies, header_list::is_token};
use cookie::{Cookie, CookieJar, time::Duration};
pub use cookie::{Key, SameSite};
use http::{HeaderMap, HeaderValue};
use std::{borrow::Cow, fmt};

/// The prefix of a cookie that browsers accept only from this host, over HTTPS and for all its
/// paths (RFC 6265bis, 4.1.3.2).
const HOST_PREFIX: &str = "__Host-";

/// Name, attributes and protection of the session cookie.
#[derive(Clone)]
pub(crate) struct SessionCookie {
    name: Cow<'static, str>,
    has_host_prefix: bool,
    pub(crate) path: Cow<'static, str>,
    pub(crate) domain: Option<Cow<'static, str>>,
    pub(crate) same_site: SameSite,
    pub(crate) is_secure: bool,
    pub(crate) is_http_only: bool,
    protection: Protection,
}

/// Protection of the cookie's value.
#[derive(Clone)]
enum Protection {
    /// None: the value is 128 random bits, which cannot be guessed.
    Plain,
    /// A signature: a forged value does not reach the store.
    Signed(Key),
    /// Encryption: only this server can read the value.
    Private(Key),
}

impl Default for SessionCookie {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed("session"),
            has_host_prefix: false,
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
    /// Checks a cookie name.
    ///
    /// # Panics
    /// If it is not a token (RFC 6265, 4.1.1).
    #[track_caller]
    pub(crate) fn check_name(name: &str) {
        assert!(
            is_token(name),
            "{name:?} is not a valid cookie name: use letters, digits, - and _"
        );
    }

    /// Sets the name, to which a prefix is added if one was chosen.
    pub(crate) fn set_name(&mut self, name: Cow<'static, str>) {
        self.name = match self.has_host_prefix && !name.starts_with(HOST_PREFIX) {
            true => format!("{HOST_PREFIX}{name}").into(),
            false => name,
        };
    }

    /// Adds the prefix of cookies that only this host can set.
    pub(crate) fn add_host_prefix(&mut self) {
        self.has_host_prefix = true;
        self.set_name(self.name.clone());
    }

    /// Checks a cookie path.
    ///
    /// # Panics
    /// If browsers would ignore it (RFC 6265, 5.2.4).
    #[track_caller]
    pub(crate) fn check_path(path: &str) {
        let is_clean = path
            .bytes()
            .all(|byte| byte != b';' && !byte.is_ascii_control());
        assert!(
            path.starts_with('/') && is_clean,
            "{path:?} is not a valid cookie path: start it with / and use no semicolon"
        );
    }

    /// Checks a cookie domain.
    ///
    /// # Panics
    /// If browsers would reject a cookie for it (RFC 6265, 5.3).
    #[track_caller]
    pub(crate) fn check_domain(domain: &str) {
        let name = domain.strip_prefix('.').unwrap_or(domain);
        let is_name = name.split('.').all(|label| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(fits)
        });
        assert!(
            is_name,
            "{domain:?} is not a valid cookie domain: use a host such as example.com, without scheme and port"
        );
    }

    /// Checks the attributes together.
    ///
    /// # Panics
    /// If browsers reject a cookie with these attributes (RFC 6265bis, 5.7).
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
                "browsers would reject this session cookie: {remedy}"
            );
        }
    }

    pub(crate) fn protect_by_signature(&mut self, key: Key) {
        self.protection = Protection::Signed(key);
    }

    pub(crate) fn protect_by_encryption(&mut self, key: Key) {
        self.protection = Protection::Private(key);
    }

    /// Returns whether the client sent this cookie, and the session id in it if the value is
    /// genuine.
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

    /// Returns the `Set-Cookie` header that sets the cookie; without an age, it lasts until the
    /// browser is closed.
    pub(crate) fn set(&self, id: Id, age: Option<Duration>) -> HeaderValue {
        let mut cookie = self.cookie(id.to_string());
        cookie.set_max_age(age);
        self.header(cookie)
    }

    /// Returns the `Set-Cookie` header that removes the cookie.
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
    /// Returns the value of a cookie that was signed with this key
    /// (`cookie::CookieJar::signed_mut`), or `None` if it is missing or forged.
    ///
    /// ```
    /// use cookie::{Cookie, CookieJar};
    /// use seaway::{Cookies, http::{HeaderMap, HeaderValue}, session::Key};
    ///
    /// let key = Key::generate();
    /// let mut jar = CookieJar::new();
    /// jar.signed_mut(&key).add(Cookie::new("name", "ana"));
    ///
    /// let mut headers = HeaderMap::new();
    /// let line = jar.get("name").unwrap().encoded().to_string();
    /// headers.insert("cookie", HeaderValue::try_from(line).unwrap());
    /// let cookies = Cookies::of(&headers);
    /// assert_eq!(cookies.signed("name", &key).as_deref(), Some("ana"));
    /// assert_eq!(cookies.signed("name", &Key::generate()), None);
    /// ```
    pub fn signed(&self, name: &str, key: &Key) -> Option<String> {
        let cookie = self.jar().signed(key).get(name)?;
        Some(cookie.value().to_owned())
    }

    /// Returns the value of a cookie that was encrypted with this key
    /// (`cookie::CookieJar::private_mut`), or `None` if it is missing or forged.
    ///
    /// ```
    /// # fn example(cookies: &seaway::Cookies, key: &seaway::session::Key) {
    /// let voted = cookies.private("vote", key).is_some();
    /// # }
    /// ```
    pub fn private(&self, name: &str, key: &Key) -> Option<String> {
        let cookie = self.jar().private(key).get(name)?;
        Some(cookie.value().to_owned())
    }
}

/// Omits the keys.
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
    use proptest::{collection::vec, prelude::*, sample::Index};

    /// Returns the panic message of a check, if it fails.
    fn panic_text(check: impl FnOnce() + std::panic::UnwindSafe) -> Option<String> {
        let panic = std::panic::catch_unwind(check).err()?;
        Some(*panic.downcast::<String>().unwrap())
    }

    #[test]
    fn a_cookie_setting_that_browsers_ignore_panics() {
        for (name, fits) in [
            ("shop", true),
            ("__Host-id", true),
            ("", false),
            ("my id", false),
            ("a=b", false),
            ("caf\u{e9}", false),
        ] {
            let panic_text = panic_text(|| SessionCookie::check_name(name));
            assert_eq!(panic_text.is_none(), fits, "{name}: {panic_text:?}");
        }
        for (path, fits) in [
            ("/", true),
            ("/shop", true),
            ("", false),
            ("shop", false),
            ("/a;b", false),
            ("/a\n", false),
        ] {
            let panic_text = panic_text(|| SessionCookie::check_path(path));
            assert_eq!(panic_text.is_none(), fits, "{path}: {panic_text:?}");
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
            let panic_text = panic_text(|| SessionCookie::check_domain(domain));
            assert_eq!(panic_text.is_none(), fits, "{domain}: {panic_text:?}");
        }
    }

    #[test]
    fn attributes_that_browsers_reject_together_panic_at_once() {
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
            let panic_text = panic_text(|| cookie.check());
            match mistake {
                None => assert_eq!(panic_text, None),
                Some(mistake) => assert!(panic_text.unwrap().contains(mistake), "{mistake}"),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn only_the_cookie_that_was_set_has_its_id_in_any_header(
            before in vec(prop_oneof![0x20..0x7fu8, 0x80..=0xffu8], 0..20),
            after in vec(prop_oneof![0x20..0x7fu8, 0x80..=0xffu8], 0..20),
            change in proptest::option::of((any::<Index>(), 0x20..0x7fu8)),
        ) {
            let id = Id::default();
            for protect in [
                SessionCookie::protect_by_signature,
                SessionCookie::protect_by_encryption,
            ] {
                let mut cookie = SessionCookie::default();
                protect(&mut cookie, Key::generate());
                let header = cookie.set(id, None);
                let set = header.as_bytes().split(|byte| *byte == b';').next().unwrap();
                let mut ours = set.to_vec();
                if let Some((at, byte)) = change {
                    let at = at.index(ours.len());
                    ours[at] = byte;
                }
                let line = [&before[..], b";", &ours, b";", &after].concat();
                let line = HeaderValue::from_bytes(&line).expect("bytes of a header");

                let headers = HeaderMap::from_iter([(http::header::COOKIE, line)]);
                let (is_there, found) = cookie.read(&headers);

                prop_assert!(found.is_none() || found == Some(id) && is_there);
                prop_assert!(ours != set || found == Some(id));
            }
        }
    }
}
