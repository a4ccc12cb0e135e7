//! What people and rooms may be called.

/// The name without spaces around it, if it has 1 to `longest` characters and all of them can be seen.
pub fn clean(name: &str, longest: usize) -> Option<&str> {
    let name = name.trim();
    let fits = (1..=longest).contains(&name.chars().count());
    (fits && !name.chars().any(is_hidden)).then_some(name)
}

/// The form in which names are compared: nobody is Ana beside ana.
pub fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// Control characters, and those that take no room or turn the text around: they make one name look like another.
/// The two joiners are not among them, for Persian and many emoji need them.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_few_characters_that_can_all_be_seen() {
        let (longest, too_long) = ("ø".repeat(30), "ø".repeat(31));
        for (name, expected) in [
            ("Ana", Some("Ana")),
            ("  Ana Maria ", Some("Ana Maria")),
            ("👩\u{200d}🚀", Some("👩\u{200d}🚀")),
            (longest.as_str(), Some(longest.as_str())),
            (too_long.as_str(), None),
            (" ", None),
            ("A\u{7}na", None),
            ("A\nna", None),
            ("Ana\u{200b}", None),
            ("\u{202e}anA", None),
        ] {
            assert_eq!(clean(name, 30), expected, "{name:?}");
        }
    }
}
