//! Where to go after a log-in: a page of ours, and never another site.

use serde::Deserialize;

/// The longest address that is followed.
const LONGEST: usize = 500;

/// An address that leads to a page of ours: that of `?next=…` if it does, and the list of rooms otherwise.
///
/// Anyone can write a link to `/login?next=…`, and who has just typed a password trusts what comes then.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(from = "Asked")]
pub struct Next(String);

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
}

impl Next {
    /// The address, which begins with a slash.
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

/// `//host` and, for browsers, `/\host` lead to another host; they also pass over tabs and line feeds, wherever they
/// stand, so nothing but visible ASCII is let through. What an address needs beyond it is percent-encoded.
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
