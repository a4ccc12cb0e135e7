//! Names of users and rooms: one rule to create, look up, rate limit and show them; and which texts
//! show anything.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};
use unicode_normalization::UnicodeNormalization;
use unicode_security::{MixedScript, RestrictionLevel, RestrictionLevelDetection};

/// Characters that are drawn as nothing, although Unicode does not define them so.
const BLANK: [char; 2] = ['\u{2800}', '\u{1d159}'];

/// The name of an account.
pub type UserName = Name<30>;

/// The name of a room.
pub type RoomName = Name<40>;

/// A name of 1 to `LONGEST` characters, as typed in a form.
///
/// Two names are the same if their folded forms are equal. All that stores, finds or counts by name
/// uses that form as a whole, so that all agree on whose name it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Name<const LONGEST: usize> {
    shown: String,
    folded: String,
}

impl<const LONGEST: usize> Name<LONGEST> {
    /// Parses a name from a form. Returns `None` if no account and no room can have it: it is
    /// empty, longer than `LONGEST` characters after trimming, or consists of invisible characters.
    pub fn typed(text: &str) -> Option<Self> {
        let shown = text.trim();
        let folded = folded(shown);
        let fits = shown.chars().count() <= LONGEST && !folded.trim().is_empty();
        fits.then(|| Self {
            shown: shown.to_owned(),
            folded,
        })
    }

    /// Returns the name as it is shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the form in which names are compared.
    pub fn folded(&self) -> &str {
        &self.folded
    }

    /// Returns the reason why no new account or room may have this name, as a sentence; `None` if
    /// it may.
    ///
    /// It is checked only on creation: accounts and rooms from before the rule became stricter are
    /// still found by their names.
    pub fn problem(&self) -> Option<&'static str> {
        // Pages show several spaces as one.
        let is_spaced = self.shown.split(' ').any(str::is_empty);
        let is_drawn = !self.shown.chars().any(is_hidden) && folded(&self.folded) == self.folded;
        if is_spaced || !is_drawn {
            return Some("A name has only characters that can be seen.");
        }
        if !self.folded.split_whitespace().all(is_in_one_script) {
            return Some("A word of a name has letters of one script, such as Latin or Cyrillic.");
        }
        None
    }
}

/// Returns whether a text is empty, or consists of white space and invisible characters.
pub fn is_blank(text: &str) -> bool {
    let is_drawn =
        |letter: char| !letter.is_whitespace() && !is_ignorable(letter) && !BLANK.contains(&letter);
    !text.chars().any(is_drawn)
}

/// Returns a name without case, compatibility forms (full-width letters, ligatures) and invisible
/// characters.
///
/// Accounts and rooms store this form, so a change here needs a migration that updates it.
fn folded(name: &str) -> String {
    let drawn = name.nfkc().filter(|letter| !is_ignorable(*letter));
    drawn.collect::<String>().to_lowercase()
}

/// Returns whether Unicode defines a character as not drawn by itself: joiners, fillers, direction
/// marks, variation selectors.
fn is_ignorable(letter: char) -> bool {
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter)
}

/// Returns whether a character is forbidden: control characters, white space except the usual one,
/// and invisible ones, which make one name look like another. Persian needs the non-joiner, and
/// emoji need the joiner and the selector of their coloured form.
fn is_hidden(letter: char) -> bool {
    const NEEDED: [char; 3] = ['\u{200c}', '\u{200d}', '\u{fe0f}'];
    if NEEDED.contains(&letter) || letter == ' ' {
        return false;
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    ) || letter.is_whitespace()
        || is_ignorable(letter)
        || BLANK.contains(&letter)
}

/// Returns whether no letter of a word can be another script's look-alike, such as a Cyrillic а
/// among Latin letters: all are of one script (Unicode Technical Standard 39, 5.1), or of Chinese,
/// Japanese or Korean with Latin ones (5.2).
///
/// A word that is entirely in another script may look like a Latin one. By this rule it is another
/// name.
fn is_in_one_script(word: &str) -> bool {
    let letters: String = word
        .chars()
        .filter(|letter| letter.is_alphanumeric())
        .collect();
    letters.is_single_script()
        || letters.check_restriction_level(RestrictionLevel::HighlyRestrictive)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> Option<UserName> {
        Name::typed(text)
    }

    #[test]
    fn names_that_look_alike_are_one() {
        for name in [
            "ana",
            "ANA",
            "An\u{200d}a",
            "Ana\u{ad}",
            "Ana\u{3164}",
            "\u{2060}\u{2060}\u{2060}\u{2060}\u{2060}\u{2060}\u{2060}\u{2060}ana",
            "Ａｎａ",
        ] {
            assert_eq!(user(name).unwrap().folded(), "ana", "{name:?}");
        }
        assert_eq!(
            user("Jose\u{301}").unwrap().folded(),
            user("José").unwrap().folded()
        );
        assert_ne!(
            user("Anna").unwrap().folded(),
            user("Ana").unwrap().folded()
        );
    }

    /// The first version of this program removed these characters from folded names, which accounts
    /// have kept.
    #[test]
    fn a_name_is_folded_as_it_was_when_its_account_was_made() {
        for left_out in [
            '\u{ad}'..='\u{ad}',
            '\u{34f}'..='\u{34f}',
            '\u{61c}'..='\u{61c}',
            '\u{115f}'..='\u{1160}',
            '\u{17b4}'..='\u{17b5}',
            '\u{180b}'..='\u{180f}',
            '\u{200b}'..='\u{200f}',
            '\u{202a}'..='\u{202e}',
            '\u{2060}'..='\u{206f}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{e0000}'..='\u{e0fff}',
        ] {
            for letter in left_out {
                assert_eq!(folded(&format!("A{letter}b")), "ab", "{letter:?}");
            }
        }
    }

    #[test]
    fn a_name_has_few_characters_of_which_some_are_drawn() {
        let (longest, too_long) = ("ø".repeat(30), "ø".repeat(31));
        let padded = format!("ana{}bel", "\u{200b}".repeat(28));
        for (name, expected) in [
            ("Ana", Some("Ana")),
            ("  Ana Maria ", Some("Ana Maria")),
            (longest.as_str(), Some(longest.as_str())),
            (too_long.as_str(), None),
            (padded.as_str(), None),
            (" ", None),
            ("", None),
            ("\u{3164}", None),
            ("\u{200b}\u{200b}", None),
        ] {
            assert_eq!(user(name).as_ref().map(Name::shown), expected, "{name:?}");
        }
    }

    #[test]
    fn nothing_new_gets_a_name_that_passes_for_another() {
        for (name, is_fine) in [
            ("Ana Maria", true),
            ("O’Neil-Smith 2", true),
            ("👩\u{200d}🚀 Zoë ❤\u{fe0f}", true),
            ("Аня", true),
            ("Анна Maria", true),
            ("Ελένη", true),
            ("نی\u{200c}لوفر", true),
            ("DJ太郎★", true),
            ("ひらがなカタカナ漢字", true),
            ("김철수", true),
            ("Аna", false),
            ("pаypal support", false),
            ("Αna", false),
            ("Ꭺna", false),
            ("Ana  Maria", false),
            ("Ana\u{a0}Maria", false),
            ("Ana\u{2028}Maria", false),
            ("Ana\u{2800}", false),
            ("Ana\u{fff9}", false),
            ("Ana\u{1d159}", false),
            ("Ana\u{13430}", false),
            ("Ana\u{e000}", false),
            ("A\u{7}na", false),
            ("A\nna", false),
            ("Ana\u{200b}", false),
            ("Ana\u{ad}", false),
            ("\u{202e}anA", false),
            ("Jose\u{200d}\u{301}", false),
        ] {
            assert_eq!(user(name).unwrap().problem().is_none(), is_fine, "{name:?}");
        }
    }
}
