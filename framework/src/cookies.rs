//! The cookies that a client sent.

use cookie::{Cookie, CookieJar};
use http::{HeaderMap, header};

/// The cookies that a client sent, parsed and decoded; what is no cookie is passed over.
///
/// ```
/// use seaway::{Scope, Cookies, protocol::Http};
///
/// let request = http::Request::get("/").header("cookie", "theme=dark; lang=da");
/// let (head, ()) = request.body(()).unwrap().into_parts();
/// let cookies = Cookies::of(&Scope::<Http>::new(head).head.headers);
/// assert_eq!(cookies.get("lang"), Some("da"));
/// ```
///
/// It is an extractor: `handshake.extract::<Cookies>().await?`.
/// To set one from a socket, add a `Set-Cookie` header to the [reply](crate::Handshake::reply_headers_mut).
#[derive(Clone, Debug, Default)]
pub struct Cookies(CookieJar);

impl Cookies {
    /// The cookies in the `Cookie` headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut jar = CookieJar::new();
        for cookie in parse(headers) {
            jar.add_original(cookie.into_owned());
        }
        Self(jar)
    }

    /// The value of a cookie.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Cookie::value)
    }

    /// The jar itself, to verify or decrypt.
    #[cfg(feature = "sessions")]
    pub(crate) fn jar(&self) -> &CookieJar {
        &self.0
    }
}

/// The cookies in the `Cookie` headers, one by one.
pub(crate) fn parse(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    let lines = headers.get_all(header::COOKIE);
    lines
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(Cookie::split_parse_encoded)
        .filter_map(Result::ok)
}
