//! Forms come from our own pages: nobody makes a visitor's browser send one from elsewhere.
//!
//! A browser says of each request which page it comes from, and no page can make it lie. So the forms need no secret,
//! and one that was loaded long ago, or before a log-in in another tab, is as good as any.

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

/// Refuses what would change something, if it comes from a page that is not ours.
pub async fn only_ours(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_ours(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    let problem = "This form was not sent from a page of ours.";
    Problem::new(StatusCode::FORBIDDEN, problem).into_response()
}

/// Browsers have sent `Sec-Fetch-Site` since 2023, over HTTPS and to this machine, and `Origin` since 2020. A client
/// that sends neither is no browser: the cookies that it has are its own.
fn is_ours(headers: &HeaderMap, uri: &Uri) -> bool {
    let header = |name| headers.get(name).map(|value| value.as_bytes());
    match (header("sec-fetch-site"), header(ORIGIN.as_str())) {
        (Some(site), _) => matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => {
            // Over HTTP/2 the host stands in the address.
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
    fn a_page_of_ours_is_known_by_what_the_browser_says() {
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
