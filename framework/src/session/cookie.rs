//! The cookie that leads to a session.

use crate::cookies::Cookies;
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
