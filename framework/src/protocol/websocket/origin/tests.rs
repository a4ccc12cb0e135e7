//! Tests of the origin rule.

use super::*;

fn from(origin: &str, host: &str) -> Origin {
    Origin {
        page: Page::parse(origin.as_bytes()),
        requested: RequestedHost {
            host: Some(host.to_owned()),
            scheme: None,
        },
        is_forwarded: false,
    }
}

#[test]
fn the_same_origin_is_host_and_port() {
    let rule = AllowedOrigins::same_origin();
    for (origin, host, allowed) in [
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
        ("http://8:8", "8:8", true),
        ("http://8:8", "8", false),
        ("http://80", "80", true),
        ("http://80", "80:80", true),
        ("http://1.1.1.1:1", "1.1.1.1:1", true),
        ("http://a:1@a:2", "a:2", true),
        ("http://[0:0:0:0:0:0:0:1]", "[::1]", true),
        ("http://[zz]", "[zz]", false),
        ("https://a.example/", "a.example", true),
        ("https://a.example/page", "a.example", false),
        ("https://a.example/?page", "a.example", false),
    ] {
        assert_eq!(
            rule.allows(&from(origin, host)),
            allowed,
            "{origin} at {host}"
        );
    }
}

#[test]
fn the_same_origin_has_the_forwarded_host_and_scheme() {
    let (https, http) = (Some(Scheme::HTTPS), Some(Scheme::HTTP));
    for (forwarded, scheme, origin, allowed) in [
        (Some("a.example"), https.clone(), "https://a.example", true),
        (Some("a.example"), https.clone(), "http://a.example", false),
        (
            Some("a.example:443"),
            https.clone(),
            "https://a.example",
            true,
        ),
        (
            Some("a.example:443"),
            https.clone(),
            "http://a.example:443",
            false,
        ),
        (
            Some("a.example:8443"),
            https.clone(),
            "https://a.example:8443",
            true,
        ),
        (Some("a.example"), http.clone(), "http://a.example", true),
        (Some("a.example"), http, "https://a.example", false),
        (Some("a.example"), None, "https://a.example", true),
        (Some("a.example"), None, "http://a.example", true),
        (Some("a.example"), None, "http://internal", false),
        (None, https.clone(), "https://internal", true),
        (None, https, "http://internal", false),
        (None, None, "http://internal", true),
    ] {
        let mut headers = HeaderMap::new();
        headers.append(header::ORIGIN, origin.parse().unwrap());
        headers.append(header::HOST, "internal".parse().unwrap());
        let mut extensions = Extensions::new();
        extensions.insert(RequestedHost {
            host: forwarded.map(str::to_owned),
            scheme: scheme.clone(),
        });

        let page = Origin::of(&headers, &Uri::default(), &extensions);

        let found = AllowedOrigins::same_origin().allows(&page);
        assert_eq!(found, allowed, "{origin} at {forwarded:?} {scheme:?}");
    }
}

#[test]
fn a_list_allows_what_it_names() {
    for (pattern, origin, allowed) in [
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
        ("localhost", "file://", false),
        (" https://a.example", "https://a.example", true),
        ("https://a.example\t", "https://a.example", true),
        ("HTTPS://A.Example:443", "https://a.example", true),
        ("https://a.example", "https://a.example:443", true),
        ("http://8:8", "http://8:8", true),
        ("8:8", "http://8:8", true),
        ("a.example:443", "https://a.example", true),
        (
            "https://xn--mnchen-3ya.example",
            "https://xn--mnchen-3ya.example",
            true,
        ),
        ("http://[0:0::1]:8000", "http://[::1]:8000", true),
        ("https://a.example.", "https://a.example.", true),
        ("capacitor://localhost", "capacitor://localhost", true),
        ("a.example", "http://a.example.", false),
        ("chrome-extension://abc", "chrome-extension://abc", true),
    ] {
        let rule = AllowedOrigins::list([pattern]);
        assert_eq!(
            rule.allows(&from(origin, "h")),
            allowed,
            "{pattern} for {origin}"
        );
    }
}

#[test]
fn the_settings_of_a_django_site_allow_its_pages() {
    let debug: &[&str] = &[];
    for (hosts, trusted, origin, allowed) in [
        (&["a.example"][..], &[][..], "https://a.example", true),
        (&["A.example"], &[], "http://a.EXAMPLE:8000", true),
        (&["a.example"], &[], "https://sub.a.example", false),
        (&["a.example"], &[], "https://served.example", false),
        (&[".a.example"], &[], "https://a.example", true),
        (&[".a.example"], &[], "https://x.y.a.example", true),
        (&[".a.example"], &[], "https://nota.example", false),
        (&["*"], &[], "https://served.example", true),
        (&["*"], &[], "https://served.example:8443", false),
        (&["*"], &[], "https://evil.example", false),
        (&["*", ".a.example"], &[], "https://x.a.example", true),
        (debug, &[], "http://localhost:8000", true),
        (debug, &[], "http://shop.localhost:8000", true),
        (debug, &[], "http://127.0.0.1:8000", true),
        (debug, &[], "http://[::1]:8000", true),
        (debug, &[], "https://served.example", false),
        (&["h"], &["https://b.example"], "https://b.example", true),
        (&["h"], &["https://b.example"], "http://b.example", false),
        (
            &["h"],
            &["https://b.example"],
            "https://b.example:8443",
            false,
        ),
        (
            &["h"],
            &["https://b.example:8443"],
            "https://b.example:8443",
            true,
        ),
        (
            &["h"],
            &["https://*.b.example"],
            "https://x.y.b.example",
            true,
        ),
        (&["h"], &["https://*.b.example"], "https://b.example", true),
        (
            &["h"],
            &["https://*.b.example"],
            "http://x.b.example",
            false,
        ),
        (
            &["h"],
            &["https://*.b.example"],
            "https://x.b.example:8443",
            false,
        ),
        (
            &["h"],
            &["https://*.b.example:8443"],
            "https://x.b.example:8443",
            true,
        ),
        (
            &["h"],
            &["https://*.b.example"],
            "https://notb.example",
            false,
        ),
        (&["*"], &[], "null", false),
        (&["*"], &[], "file://", false),
    ] {
        let rule = AllowedOrigins::django(hosts.iter().copied(), trusted.iter().copied());
        let origin = from(origin, "served.example");
        assert_eq!(
            rule.allows(&origin),
            allowed,
            "{hosts:?} {trusted:?} {origin}"
        );
    }
}

#[test]
fn a_setting_that_django_would_refuse_or_never_match_panics() {
    for (hosts, trusted, expected) in [
        (&["https://a.example"][..], &[][..], "CSRF_TRUSTED_ORIGINS?"),
        (&["*.a.example"], &[], "a leading dot"),
        (&[""], &[], "it is empty"),
        (&["a.example"], &["b.example"], "https://b.example"),
        (&["a.example"], &["https://b.example/"], "without a slash"),
        (&["a.example"], &["https://*"], "is not an entry"),
        (&["a.example:8000"], &[], "has no port"),
        (&[".a.example:443"], &[], "has no port"),
        (&["[::1]:8000"], &[], "has no port"),
        (&["a.example."], &[], "no dot at its end"),
        (&["a.example"], &["https://B.example"], "in lower case"),
        (
            &["a.example"],
            &["https://b.example:443"],
            "the default port",
        ),
        (
            &["a.example"],
            &["https://*.b.example:443"],
            "the default port",
        ),
    ] {
        let setting = std::panic::catch_unwind(|| {
            AllowedOrigins::django(hosts.iter().copied(), trusted.iter().copied())
        });
        let panic = setting.expect_err(expected);
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_client_that_is_no_browser_is_allowed() {
    assert!(AllowedOrigins::same_origin().allows(&Origin::default()));
}

#[test]
fn two_origins_are_one_too_many() {
    let mut headers = HeaderMap::new();
    headers.append(header::ORIGIN, "http://a".parse().unwrap());
    headers.append(header::ORIGIN, "http://a".parse().unwrap());
    headers.append(header::HOST, "a".parse().unwrap());
    let both = Origin::of(&headers, &Uri::default(), &Extensions::new());

    for rule in [
        AllowedOrigins::same_origin(),
        AllowedOrigins::list(["http://a"]),
        AllowedOrigins::same_origin().allow_null().allow_file(),
    ] {
        assert!(!rule.allows(&both), "{rule:?}");
    }
}

#[test]
fn pages_without_an_origin_have_a_way_in_of_their_own() {
    let same = AllowedOrigins::same_origin;
    for (rule, null, file) in [
        (same(), false, false),
        (same().allow_null(), true, false),
        (same().allow_file(), false, true),
        (
            AllowedOrigins::list(["https://a.example"]).allow_file(),
            false,
            true,
        ),
        (AllowedOrigins::any(), true, true),
    ] {
        assert_eq!(rule.allows(&from("null", "h")), null, "{rule:?}");
        assert_eq!(rule.allows(&from("file://", "h")), file, "{rule:?}");
        assert!(!rule.allows(&from("", "h")) || matches!(rule.pages, Pages::Any));
    }
}

#[test]
fn a_pattern_that_can_match_nothing_panics_with_the_remedy() {
    for (pattern, remedy) in [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("*", "AllowedOrigins::any()"),
        ("null", "allow_null()"),
        ("file://", "allow_file()"),
        ("*.example.com", "a leading dot"),
        ("https://*.example.com", "a leading dot"),
        ("https://app.example/", "without a slash"),
        ("https://app.example/chat", "without a slash"),
        ("app.example/", "without a slash"),
        ("//app.example", "without a slash"),
        ("https:/app.example", "without a slash"),
        ("https://app.example?x", "without a slash"),
        ("wss://app.example", "http or https"),
        ("https://a.example,https://b.example", "split it first"),
        ("a.example, b.example", "split it first"),
        ("https://ana@app.example", "no user"),
        ("https://m\u{fc}nchen.example", "xn--"),
        ("https://app.example:http", "port"),
        ("https://app.example:99999", "port"),
        ("https:app.example", "port"),
        ("https://", "no valid host"),
        (".", "no valid host"),
        ("..example.com", "no valid host"),
        ("a..example", "no valid host"),
        ("a;b.example", "no valid host"),
        ("https://[zz]", "no valid host"),
        ("::1", "no valid host"),
    ] {
        let listing = std::panic::catch_unwind(|| AllowedOrigins::list([pattern]));
        let panic = listing.expect_err(pattern);
        let text = panic.downcast::<String>().unwrap();
        assert!(text.contains("is not an origin"), "{text}");
        assert!(text.contains(remedy), "{text}");
    }
}

#[test]
#[should_panic(expected = "allows no page")]
fn an_empty_list_panics() {
    _ = AllowedOrigins::list([]);
}

#[test]
fn the_log_names_the_page_that_was_rejected() {
    for (origin, text) in [
        (
            "https://evil.example",
            "the origin is https://evil.example and the Host header is a.example, see AllowedOrigins",
        ),
        (
            "http://a:8080",
            "the origin is http://a:8080 and the Host header is a.example, see AllowedOrigins",
        ),
        (
            "null",
            "the page has the origin null, see AllowedOrigins::allow_null",
        ),
        ("no origin", "the Origin header names no single origin"),
    ] {
        assert_eq!(from(origin, "a.example").to_string(), text);
    }
}

#[test]
fn the_log_names_the_host_and_scheme_that_the_proxy_states() {
    let mut origin = from("http://a.example", "a.example");
    origin.requested.scheme = Some(Scheme::HTTPS);
    origin.is_forwarded = true;

    assert_eq!(
        origin.to_string(),
        "the origin is http://a.example and the forwarded host is a.example over https, see AllowedOrigins"
    );
}

#[test]
fn the_log_names_the_rule_that_rejected_a_page() {
    let origin = from("http://127.0.0.1:8705", "127.0.0.1:8705");
    let host = "the origin is http://127.0.0.1:8705 and the Host header is 127.0.0.1:8705, see \
        AllowedOrigins";
    let list = "the origin is http://127.0.0.1:8705, which is not in the list of AllowedOrigins";
    for (origins, expected) in [
        (AllowedOrigins::same_origin(), host.to_owned()),
        (AllowedOrigins::list(["https://a.example"]), list.to_owned()),
        (AllowedOrigins::django([".a.example"], []), list.to_owned()),
        (
            AllowedOrigins::django(["*"], ["https://a.example"]),
            format!("{host}, whose list does not contain it either"),
        ),
    ] {
        assert_eq!(origins.refusal(&origin), expected);
    }
}
