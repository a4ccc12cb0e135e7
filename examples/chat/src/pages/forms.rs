//! Protection against cross-site request forgery (CSRF).
//!
//! A browser sends the origin of each request in headers that no page can forge. So the forms need
//! no secret, and one that was loaded long ago, or before a log-in in another tab, is still valid.

use super::problem::Problem;
use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{HOST, ORIGIN},
};

/// Rejects unsafe methods from other sites with 403.
pub async fn only_ours(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_ours(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    let problem = "This form was sent from another site.";
    Problem::new(StatusCode::FORBIDDEN, problem).into_response()
}

/// Returns whether a request comes from our own page or from no browser.
///
/// Browsers have sent `Origin` since 2020, and `Sec-Fetch-Site` since 2023, over HTTPS and to
/// localhost. A client that sends neither is no browser: its cookies are its own.
fn is_ours(headers: &HeaderMap, uri: &Uri) -> bool {
    let header = |name| headers.get(name).map(|value| value.as_bytes());
    match (header("sec-fetch-site"), header(ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => {
            // Over HTTP/2 the host is in the URI (`:authority`).
            let address = uri.authority().map(|host| host.as_str().as_bytes());
            let host = header(HOST.as_str()).or(address);
            host.is_some() && host == origin.split(|byte| *byte == b'/').nth(2)
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pages_are_recognized_by_sec_fetch_site_or_origin() {
        for (site, origin, expected) in [
            (Some("same-origin"), Some("https://chat.example"), true),
            (Some("none"), None, true),
            (Some("same-site"), Some("https://evil.chat.example"), false),
            (Some("cross-site"), Some("https://chat.example"), false),
            (None, Some("https://chat.example"), true),
            (None, Some("https://chat.example:8443"), false),
            (None, Some("https://evil.example"), false),
            (None, Some("https://chat.example.evil.example"), false),
            (None, Some("null"), false),
            (None, Some(""), false),
            (None, None, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }

            let over_http_2 = is_ours(&headers, &Uri::from_static("http://chat.example/"));
            headers.insert(HOST, "chat.example".parse().unwrap());
            let over_http_1 = is_ours(&headers, &Uri::from_static("/"));

            let found = [over_http_1, over_http_2];
            assert_eq!(found, [expected; 2], "{site:?} {origin:?}");
        }
    }
}
