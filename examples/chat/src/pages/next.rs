//! The redirect after a login: a page of this site, never another site.

use serde::Deserialize;

/// The longest target in bytes.
const LONGEST: usize = 500;

/// The path of a page of this site: that of `?next=…` if it is one, else the list of rooms.
///
/// Anyone can write a link to `/login?next=…`, and users trust the page after a login (open
/// redirect).
#[derive(Debug, PartialEq, Deserialize)]
#[serde(from = "Asked")]
pub struct Next(String);

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

impl Next {
    /// Returns the path, which begins with a slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Asked> for Next {
    fn from(Asked { next }: Asked) -> Self {
        match is_local(&next) {
            true => Self(next),
            false => Self("/".to_owned()),
        }
    }
}

/// Returns whether a target is a path of this site.
///
/// `//host` and, in browsers, `/\host` lead to another host; browsers also ignore tabs and line
/// feeds anywhere, so only visible ASCII is allowed. All else is percent-encoded in URLs.
fn is_local(next: &str) -> bool {
    let is_path = next.starts_with('/') && !next[1..].starts_with(['/', '\\']);
    is_path && next.len() <= LONGEST && next.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_ours_is_followed() {
        for (next, expected) in [
            ("/", true),
            ("/rooms/harbour", true),
            ("/rooms/harbour?x=%20#y", true),
            ("", false),
            ("rooms", false),
            ("https://evil.example", false),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("/\t/evil.example", false),
            ("/\n/evil.example", false),
            ("/ /evil.example", false),
            ("/caf\u{e9}", false),
            ("javascript:alert(1)", false),
        ] {
            assert_eq!(is_local(next), expected, "{next:?}");
        }
        assert!(!is_local(&format!("/{}", "x".repeat(LONGEST))));
    }
}
