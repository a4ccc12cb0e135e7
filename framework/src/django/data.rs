//! The values of a Django session.

use crate::error::{Error, ErrorKind, Result};
use serde::{
    Deserializer, Serialize,
    de::{DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::Arc,
};

/// The size of the largest session that is decoded, in bytes of JSON. A larger one counts as
/// corrupted.
pub(super) const MAX_SESSION: usize = 1024 * 1024;

/// The values of a session: a JSON object.
#[derive(Clone, Debug)]
pub(super) struct SessionData {
    json: Arc<[u8]>,
    /// Whether a number that JSON has not was replaced.
    has_nan: bool,
}

/// What `django.contrib.auth.login` stores in a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogInData {
    pub(super) user_id: String,
    /// The Python path of the authentication backend.
    pub(super) backend: String,
    pub(super) hash: String,
}

impl SessionData {
    /// Returns the values in this JSON; `None` if it is no object, or larger than [`MAX_SESSION`].
    ///
    /// The keys and values are only skipped here and in each look-up, so one that Rust cannot
    /// represent, such as half of a surrogate pair, does not hide the others.
    pub(super) fn from_json(mut json: Vec<u8>) -> Option<Self> {
        let is_json = |json: &[u8]| serde_json::from_slice::<IgnoredAny>(json).is_ok();
        if json.len() > MAX_SESSION || !json.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let has_nan = !is_json(&json);
        if has_nan {
            json = without_nan(&json);
        }
        is_json(&json).then(|| Self {
            json: json.into(),
            has_nan,
        })
    }

    /// Returns what the login has stored; `None` if nobody is logged in.
    pub(super) fn log_in(&self) -> Option<LogInData> {
        let text = |key| match self.find(key) {
            Ok(Some(Value::String(text))) => Some(text),
            _ => None,
        };
        Some(LogInData {
            user_id: text("_auth_user_id")?,
            backend: text("_auth_user_backend")?,
            hash: text("_auth_user_hash")?,
        })
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if it cannot be decoded as `T`.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let found = self.find(key);
        let decoded = found.and_then(|value| value.map(serde_json::from_value).transpose());
        decoded.map_err(|error| undecodable(&format!("the session value {key:?}"), error))
    }

    fn find(&self, key: &str) -> serde_json::Result<Option<Value>> {
        serde_json::Deserializer::from_slice(&self.json).deserialize_map(ValueOf(key))
    }

    /// Returns the values with one of them changed, as JSON of ASCII characters, which is all that
    /// Django reads. The others keep their text.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be encoded, the session is too large with it, or
    /// the session has numbers that JSON has not, or a key with half of a surrogate pair.
    pub(super) fn with<T: Serialize>(&self, key: &str, value: &T) -> Result<String> {
        if self.has_nan {
            let message = "cannot change a Django session that contains NaN or infinity";
            return Err(Error::new(ErrorKind::Codec, message));
        }
        let mut values: BTreeMap<String, &RawValue> = serde_json::from_slice(&self.json)
            .map_err(|error| undecodable("a Django session", error))?;
        let unencodable = |error| {
            let message = format!("cannot encode the session value {key:?}");
            Error::new(ErrorKind::Codec, message).with_source(error)
        };
        let value = to_raw_value(value).map_err(unencodable)?;
        values.insert(key.to_owned(), &value);
        let json = ascii(&serde_json::to_string(&values).map_err(unencodable)?);
        if json.len() > MAX_SESSION {
            let message = format!("a Django session is too large with the value {key:?}: 1 MiB");
            return Err(Error::new(ErrorKind::Codec, message));
        }
        Ok(json)
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> Value {
        serde_json::from_slice(&self.json).expect("it was checked")
    }
}

/// Finds the value of a key in an object: of several, the last, as Python does.
struct ValueOf<'a>(&'a str);

impl<'de> Visitor<'de> for ValueOf<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Option<Value>, A::Error> {
        let mut found = None;
        while let Some(is_wanted) = values.next_key_seed(IsKey(self.0))? {
            if is_wanted {
                found = Some(values.next_value()?);
            } else {
                values.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key as bytes, which it has even if half of a surrogate pair is in it.
struct IsKey<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for IsKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for IsKey<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

fn undecodable(what: &str, error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Codec, format!("cannot decode {what}")).with_source(error)
}

/// Replaces other characters by their escapes; in JSON, only texts contain any.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").expect("a String accepts all text");
        }
    }
    escaped
}

/// Replaces the numbers that only Python's JSON has (`NaN`, `Infinity`, `-Infinity`) by null.
fn without_nan(json: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(json.len());
    let mut is_text = false;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        let names: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
        let number = names.iter().find(|name| json[at..].starts_with(name));
        if let Some(number) = number.filter(|_| !is_text) {
            replaced.extend_from_slice(b"null");
            at += number.len();
            continue;
        }
        // An escaped quote does not end a text.
        let length = if is_text && byte == b'\\' { 2 } else { 1 };
        is_text ^= byte == b'"';
        replaced.extend(json[at..].iter().take(length));
        at += length;
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> SessionData {
        SessionData::from_json(json.into()).unwrap_or_else(|| panic!("{json}"))
    }

    #[test]
    fn a_login_needs_all_three_values_whatever_else_the_session_holds() {
        let log_in = r#""_auth_user_id":"7","_auth_user_backend":"a.B","_auth_user_hash":"00""#;
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        for other in [
            r#""n":null"#,
            r#""half":"\ud800""#,
            r#""\ud800":1,"\udfff\ud83d\ude00":2"#,
            r#""_auth_user_id":1"#,
            r#""big":1e999"#,
            r#""no":NaN,"text":"\"NaN","far":[-Infinity,Infinity]"#,
            &format!(r#""deep":{deep}"#),
        ] {
            let found = data(&format!("{{{other},{log_in}}}")).log_in();
            assert_eq!(found.expect(other).user_id, "7");
        }
        for json in [
            "{}",
            r#"{"_auth_user_id":"7","_auth_user_backend":"a.B"}"#,
            r#"{"_auth_user_id":7,"_auth_user_backend":"a.B","_auth_user_hash":"00"}"#,
        ] {
            assert_eq!(data(json).log_in(), None, "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_session() {
        for json in ["", "[]", "null", "{", "{NaN}", r#"["7","a.B","00"]"#] {
            assert!(SessionData::from_json(json.into()).is_none(), "{json}");
        }
    }

    #[test]
    fn one_value_is_changed_and_the_others_keep_their_text() {
        let before = r#"{"big":1e999,"half":"\ud800","int":123456789012345678901234567890,"a":1}"#;

        let after = data(before).with("a", &"hé 😀").unwrap();

        let expected = r#"{"a":"h\u00e9 \ud83d\ude00","big":1e999,"half":"\ud800","int":123456789012345678901234567890}"#;
        assert_eq!(after, expected);
        assert_eq!(data("{}").with("ü", &[1]).unwrap(), r#"{"\u00fc":[1]}"#);
        for (before, value) in [
            (r#"{"no":NaN}"#, "short"),
            (r#"{"\ud800":1}"#, "short"),
            ("{}", &*"x".repeat(MAX_SESSION)),
        ] {
            let error = data(before).with("a", &value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Codec, "{before}");
        }
    }

    #[test]
    fn a_value_is_decoded_as_its_type() {
        let data = data(r#"{"\ud800":1,"half":"\udfff","cart":[1,2],"text":"NaN","far":Infinity}"#);

        assert_eq!(data.get::<Vec<u8>>("cart").unwrap(), Some(vec![1, 2]));
        assert_eq!(data.get::<String>("text").unwrap().unwrap(), "NaN");
        assert_eq!(data.get::<Option<f64>>("far").unwrap(), Some(None));
        assert_eq!(data.get::<u8>("other").unwrap(), None);
        assert!(data.get::<String>("half").is_err());
        let error = data.get::<u8>("cart").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Codec);
        assert!(error.to_string().contains("\"cart\""), "{error}");
    }
}
