//! Middleware that rejects requests from pages of other origins.

use crate::{
    application::Application,
    protocol::{AllowedOrigins, Exchange, Http, Origin},
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{OpensOverHttp, Scope},
};
use http::{Extensions, HeaderMap, StatusCode, Uri};
use tower_layer::Layer;

/// Middleware that rejects unsafe requests from pages of other origins with 403: protection against
/// cross-site request forgery (CSRF).
///
/// Wrap the pages in it: an HTTP application, such as an axum router.
///
/// ```
/// use axum::{Router, routing::post};
/// use seaway::{
///     ApplicationExt, from_service, middleware::RejectCrossSite, routing::ProtocolTypeRouter,
/// };
///
/// let pages = Router::new().route("/orders", post(async || "ordered"));
/// let app = ProtocolTypeRouter::new().http(from_service(pages).with(RejectCrossSite));
/// ```
///
/// A browser states where a request comes from, in headers that no page can forge, so forms need no
/// token. A request whose method is not safe (RFC 9110, 9.2.1) is accepted if
///
/// - `Sec-Fetch-Site` is `same-origin`, or `none`: the user made it, not a page; or
/// - there is no `Sec-Fetch-Site`, and `Origin` is the
///   [same origin](AllowedOrigins::same_origin); or
/// - it has neither header: the client is not a browser, or one from before 2020.
///
/// A page of another subdomain or port is rejected too. WebSockets need no such check:
/// [`AllowedOrigins`] applies to them by default.
#[derive(Clone, Copy, Debug)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct RejectCrossSite;

/// An application wrapped by [`RejectCrossSite`].
#[derive(Clone, Debug)]
pub struct WithCrossSiteCheck<A> {
    inner: A,
}

impl<A> Layer<A> for RejectCrossSite {
    type Service = WithCrossSiteCheck<A>;

    fn layer(&self, inner: A) -> Self::Service {
        WithCrossSiteCheck { inner }
    }
}

impl<A: Application<Http>> Application<Http> for WithCrossSiteCheck<A> {
    async fn call(&self, scope: Scope<Http>, exchange: Exchange) -> crate::Result<()> {
        let head = &scope.head;
        if head.method.is_safe() || is_same_origin(&head.headers, &head.uri, &scope.extensions) {
            return self.inner.call(scope, exchange).await;
        }
        let text = "this request was sent by a page of another origin";
        let rejection = Rejection::new(StatusCode::FORBIDDEN, text).by(Rule::Origin);
        Ok(Http::reject(exchange, rejection).await?)
    }

    fn required_state(&self) -> RequiredState {
        self.inner.required_state()
    }
}

/// Returns whether a request comes from a page of this origin, or from no page.
fn is_same_origin(headers: &HeaderMap, uri: &Uri, extensions: &Extensions) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => matches!(site.as_bytes(), b"same-origin" | b"none"),
        None => AllowedOrigins::same_origin().allows(&Origin::of(headers, uri, extensions)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::HOST;

    #[test]
    fn pages_of_this_origin_are_known_by_sec_fetch_site_or_origin() {
        for (site, origin, expected) in [
            (Some("same-origin"), Some("https://chat.example"), true),
            (Some("none"), None, true),
            (Some("same-site"), Some("https://evil.chat.example"), false),
            (Some("cross-site"), Some("https://chat.example"), false),
            (Some("cross-site"), None, false),
            (Some(""), None, false),
            (None, Some("https://chat.example"), true),
            (None, Some("http://chat.example"), true),
            (None, Some("https://chat.example:8443"), false),
            (None, Some("ftp://chat.example"), false),
            (None, Some("https://chat.example/page"), false),
            (None, Some("https://evil.example"), false),
            (None, Some("https://chat.example.evil.example"), false),
            (None, Some("https://user@evil.example"), false),
            (None, Some("null"), false),
            (None, Some("file://"), false),
            (None, Some(""), false),
            (None, None, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }

            let none = Extensions::new();
            let uri = Uri::from_static("http://chat.example/");
            let over_http_2 = is_same_origin(&headers, &uri, &none);
            headers.insert(HOST, "chat.example".parse().unwrap());
            let over_http_1 = is_same_origin(&headers, &Uri::from_static("/"), &none);

            let found = [over_http_1, over_http_2];
            assert_eq!(found, [expected; 2], "{site:?} {origin:?}");
        }
    }
}
