//! What people and rooms may be called.

use unicode_normalization::UnicodeNormalization;

/// The name without spaces around it, if it has 1 to `longest` characters and all of them can be seen.
pub fn clean(name: &str, longest: usize) -> Option<&str> {
    let name = name.trim();
    let fits = (1..=longest).contains(&name.chars().count());
    let is_seen = !name.chars().any(is_hidden) && !folded(name).trim().is_empty();
    (fits && is_seen).then_some(name)
}

/// The form in which names are compared: nobody is Ana beside ana, nor in letters that only look like those.
pub fn folded(name: &str) -> String {
    let plain = name.nfkc().filter(|letter| !takes_no_room(*letter));
    plain.collect::<String>().to_lowercase()
}

/// Letters that are drawn as nothing, the joiners included.
#[rustfmt::skip] // By blocks of Unicode.
fn takes_no_room(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}'
    )
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
    fn names_that_look_alike_are_one() {
        for name in [
            "ana",
            "ANA",
            "An\u{200d}a",
            "Ana\u{ad}",
            "Ana\u{3164}",
            "Ａｎａ",
        ] {
            assert_eq!(folded(name), "ana", "{name:?}");
        }
        assert_eq!(folded("Jose\u{301}"), folded("José"));
        assert_ne!(folded("Anna"), folded("Ana"));
    }

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
            ("\u{3164}", None),
        ] {
            assert_eq!(clean(name, 30), expected, "{name:?}");
        }
    }
}
