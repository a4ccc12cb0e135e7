//! JSON as Python's `json.dumps` writes it beyond RFC 8259: `NaN`, `Infinity` and `-Infinity` as
//! bare words, and halves of surrogate pairs in strings.

use serde::{Serialize, Serializer, ser::Error};
use serde_json::Value;

/// The numbers that are not finite.
const WORDS: [(&str, f64); 3] = [
    ("NaN", f64::NAN),
    ("Infinity", f64::INFINITY),
    ("-Infinity", f64::NEG_INFINITY),
];

/// A value of Python.
pub(super) struct PythonJson {
    /// Each word is a string that begins with the mark.
    value: Value,
    /// Random, so that no string of the text begins with it; `None` if the text has no words.
    mark: Option<String>,
}

impl PythonJson {
    /// Parses a text, and replaces halves of surrogate pairs with U+FFFD.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        if let Ok(value) = serde_json::from_slice(json) {
            return Some(Self { value, mark: None });
        }
        let mark = format!("{:016x}", fastrand::u64(..));
        let value = serde_json::from_slice(&standard(json, &mark)).ok()?;
        Some(Self {
            value,
            mark: Some(mark),
        })
    }

    pub(super) fn is_object(&self) -> bool {
        self.value.is_object()
    }
}

impl Serialize for PythonJson {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.mark {
            None => self.value.serialize(to),
            Some(mark) => Marked(&self.value, mark).serialize(to),
        }
    }
}

/// A value and the mark in front of its words.
struct Marked<'a>(&'a Value, &'a str);

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(value, mark) = self;
        match value {
            Value::String(text) => match text.strip_prefix(mark).and_then(number) {
                Some(number) => to.serialize_f64(number),
                None => to.serialize_str(text),
            },
            Value::Array(values) => to.collect_seq(values.iter().map(|value| Marked(value, mark))),
            Value::Object(entries) => {
                if entries.keys().any(|key| key.starts_with(mark)) {
                    return Err(S::Error::custom("a key is not a string"));
                }
                to.collect_map(
                    entries
                        .iter()
                        .map(|(key, value)| (key, Marked(value, mark))),
                )
            }
            value => value.serialize(to),
        }
    }
}

fn number(word: &str) -> Option<f64> {
    let known = WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, number)| *number)
}

/// Returns the text in standard JSON: each word is a string with a mark in front of it, and half of
/// a surrogate pair is U+FFFD.
fn standard(mut json: &[u8], mark: &str) -> Vec<u8> {
    let mut standard = Vec::with_capacity(json.len());
    let mut is_in_string = false;
    while let Some(first) = json.first() {
        let taken = match (first, is_in_string) {
            (b'\\', true) => match surrogates(json) {
                Surrogates::Half => {
                    standard.extend(br"\ufffd");
                    json = &json[6..];
                    continue;
                }
                Surrogates::Pair => 12,
                Surrogates::None => 2,
            },
            (b'"', _) => {
                is_in_string = !is_in_string;
                1
            }
            (_, true) => 1,
            (_, false) => match WORDS
                .iter()
                .find(|(word, _)| json.starts_with(word.as_bytes()))
            {
                Some((word, _)) => {
                    standard.extend(format!("\"{mark}{word}\"").bytes());
                    json = &json[word.len()..];
                    continue;
                }
                None => 1,
            },
        };
        let (copied, rest) = json.split_at(taken.min(json.len()));
        standard.extend(copied);
        json = rest;
    }
    standard
}

enum Surrogates {
    None,
    Half,
    Pair,
}

/// Returns what an escape sequence and the one after it are.
fn surrogates(json: &[u8]) -> Surrogates {
    match (code_unit(json), json.get(6..).and_then(code_unit)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => Surrogates::Pair,
        (Some(0xd800..=0xdfff), _) => Surrogates::Half,
        _ => Surrogates::None,
    }
}

/// Returns the code unit of UTF-16 that a text begins with, as `\u` and four hexadecimal digits.
fn code_unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(br"\u")?.get(..4)?;
    let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
    let digits = str::from_utf8(digits).ok().filter(|_| is_hex)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messagepack(json: &str) -> Option<Vec<u8>> {
        rmp_serde::to_vec_named(&PythonJson::parse(json.as_bytes())?).ok()
    }

    #[test]
    fn words_are_numbers_outside_strings_only() {
        let event =
            messagepack(r#"{"a":[NaN,-Infinity,1],"b":"NaN \" Infinity","c":{"d":Infinity}}"#);

        let list = [f64::NAN, f64::NEG_INFINITY].map(f64::to_be_bytes);
        let expected = [
            &b"\x83\xa1a\x93\xcb"[..],
            &list[0],
            b"\xcb",
            &list[1],
            b"\x01\xa1b\xaeNaN \" Infinity\xa1c\x81\xa1d\xcb",
            &f64::INFINITY.to_be_bytes(),
        ];
        assert_eq!(event.unwrap(), expected.concat());
    }

    #[test]
    fn half_of_a_surrogate_pair_is_a_replacement_character() {
        for (json, expected) in [
            (r#"["\ud800"]"#, "\u{fffd}"),
            (r#"["\ud800x\udfff"]"#, "\u{fffd}x\u{fffd}"),
            (r#"["\ud83d\ude00\ud83d"]"#, "\u{1f600}\u{fffd}"),
            (r#"["\\ud800\ud800"]"#, "\\ud800\u{fffd}"),
            (r#"["\ud83d\ud83d\ude00"]"#, "\u{fffd}\u{1f600}"),
        ] {
            let expected = rmp_serde::to_vec(&[expected]).unwrap();
            assert_eq!(messagepack(json), Some(expected), "{json}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for json in [
            "",
            "nan",
            "[NaN",
            "[-NaN]",
            "[1NaN]",
            "[NaN1]",
            "[--Infinity]",
            "{NaN:1}",
            "[\"NaN]",
            r#"["\ud8"]"#,
            r#"["\ud800\"]"#,
            r#"["\"#,
            "[NaN NaN]",
        ] {
            assert_eq!(messagepack(json), None, "{json}");
        }
    }
}
