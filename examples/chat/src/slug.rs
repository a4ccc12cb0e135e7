//! The part of a room's address that is made from its name.

/// What a room is called whose name has no letter that an address can have.
const NAMELESS: &str = "room";

/// Lower case letters and digits of ASCII, and single hyphens for all that stands between them.
pub fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    match slug.as_str() {
        "" => NAMELESS.to_owned(),
        _ => slug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_clean_whatever_the_name() {
        for (name, expected) in [
            ("Lobby", "lobby"),
            ("The  Old Harbour!", "the-old-harbour"),
            ("-- 2 x 2 --", "2-x-2"),
            ("Café Zoë", "caf-zo"),
            ("日本", "room"),
            ("../../etc", "etc"),
            ("%2e%2e", "2e-2e"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }
}
