//! What Django signs with its secret keys: strings (`django.core.signing`) and the session hash of
//! a user.

use super::data::{MAX_SESSION, SessionData};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use flate2::read::ZlibDecoder;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::{fmt, io::Read, sync::Arc};

/// The salt of sessions that the database stores.
pub(super) const ROW_SALT: &str = "django.contrib.sessions.SessionStore";

/// The salt of sessions that the cookie itself stores.
pub(super) const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";

/// The size of the longest signed session that is verified, in bytes: one of [`MAX_SESSION`] is a
/// third longer in Base64, and its time and signature take less than 100 bytes.
pub(super) const MAX_SIGNED: usize = 2 * MAX_SESSION;

/// The salt of a user's session hash.
const HASH_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// Django's `SECRET_KEY` and `SECRET_KEY_FALLBACKS`.
///
/// ```
/// use seaway::django::SecretKeys;
///
/// let keys = SecretKeys::new("the current key").fallback("the key before");
/// ```
#[derive(Clone)]
pub struct SecretKeys(Arc<[String]>);

impl SecretKeys {
    /// Creates keys with Django's `SECRET_KEY`.
    ///
    /// # Panics
    /// If the key is empty, as Django refuses it too: anybody could sign with it.
    #[track_caller]
    pub fn new(secret_key: impl Into<String>) -> Self {
        Self(Arc::from([checked(secret_key.into())]))
    }

    /// Adds one of Django's `SECRET_KEY_FALLBACKS`, with which sessions may still be signed.
    ///
    /// # Panics
    /// If the key is empty.
    #[must_use]
    #[track_caller]
    pub fn fallback(self, secret_key: impl Into<String>) -> Self {
        let added = checked(secret_key.into());
        Self(self.0.iter().cloned().chain([added]).collect())
    }

    /// Verifies a signed string; `None` if no key has signed it with this salt, or it is longer
    /// than [`MAX_SIGNED`].
    pub(super) fn unsign<'a>(&self, salt: &str, signed: &'a str) -> Option<Unsigned<'a>> {
        if signed.len() > MAX_SIGNED {
            return None;
        }
        let (value, signature) = signed.rsplit_once(':')?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        let is_signed_with = |key: &String| {
            let mac = mac(&format!("{salt}signer"), key).chain_update(value);
            // The comparison takes the same time whatever the signature is.
            mac.verify_slice(&signature).is_ok()
        };
        if !self.0.iter().any(is_signed_with) {
            return None;
        }
        let (payload, timestamp) = value.rsplit_once(':')?;
        Some(Unsigned {
            payload,
            timestamp: base62(timestamp)?,
        })
    }

    /// Signs JSON with the current key at this time, in seconds since 1970.
    pub(super) fn sign(&self, salt: &str, json: &str, now: u64) -> String {
        let payload = BASE64URL_NOPAD.encode(json.as_bytes());
        let value = format!("{payload}:{}", to_base62(now));
        let mac = mac(&format!("{salt}signer"), &self.0[0]).chain_update(&value);
        let signature = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
        format!("{value}:{signature}")
    }

    /// Returns whether this is the session hash of a user with this value in the password column.
    pub(super) fn is_session_hash(&self, hash: &str, password: &str) -> bool {
        let Ok(hash) = HEXLOWER.decode(hash.as_bytes()) else {
            return false;
        };
        let is_made_with = |key: &String| {
            let mac = mac(HASH_SALT, key).chain_update(password);
            mac.verify_slice(&hash).is_ok()
        };
        self.0.iter().any(is_made_with)
    }
}

/// Shows no key.
impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKeys").finish_non_exhaustive()
    }
}

#[track_caller]
fn checked(secret_key: String) -> String {
    assert!(
        !secret_key.is_empty(),
        "the secret key is empty: use the SECRET_KEY of the Django site"
    );
    secret_key
}

/// A string whose signature was verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsigned<'a> {
    payload: &'a str,
    /// When it was signed, in seconds since 1970.
    pub(super) timestamp: i64,
}

impl Unsigned<'_> {
    /// Decodes the payload: JSON in Base64, after a period compressed with zlib. `None` if it is
    /// something else, or larger than [`MAX_SESSION`].
    pub(super) fn decode(&self) -> Option<SessionData> {
        let (is_compressed, encoded) = match self.payload.strip_prefix('.') {
            Some(encoded) => (true, encoded),
            None => (false, self.payload),
        };
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).ok()?;
        if !is_compressed {
            return SessionData::from_json(bytes);
        }
        let mut json = Vec::new();
        // One byte more than allowed, so that a larger session is noticed and not truncated.
        let mut inflating = ZlibDecoder::new(&*bytes).take(MAX_SESSION as u64 + 1);
        inflating.read_to_end(&mut json).ok()?;
        SessionData::from_json(json)
    }
}

/// Returns a MAC with the key that Django derives for this salt.
fn mac(salt: &str, secret_key: &str) -> Hmac<Sha256> {
    let key = Sha256::new()
        .chain_update(salt)
        .chain_update(secret_key)
        .finalize();
    Hmac::new_from_slice(&key).expect("a MAC accepts a key of any length")
}

/// Parses a number with the digits 0 to 9, A to Z and a to z.
fn base62(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number = 0i64;
    for byte in digits.bytes() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number = number.checked_mul(62)?.checked_add(i64::from(digit))?;
    }
    Some(if is_negative { -number } else { number })
}

/// Writes a number with the digits 0 to 9, A to Z and a to z.
fn to_base62(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut reversed = Vec::new();
    loop {
        let digit = usize::try_from(number % 62).expect("it is less than 62");
        reversed.push(char::from(DIGITS[digit]));
        number /= 62;
        if number == 0 {
            return reversed.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::vectors::{Vectors, text},
        *,
    };
    use flate2::{Compression, read::ZlibEncoder};

    fn keys(vectors: &Vectors) -> SecretKeys {
        SecretKeys::new(vectors.secret_key())
    }

    /// Signs as Django does.
    fn signed(key: &str, salt: &str, value: &str) -> String {
        let mac = mac(&format!("{salt}signer"), key).chain_update(value);
        let signature = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
        format!("{value}:{signature}")
    }

    #[test]
    fn every_string_that_django_has_signed_is_read() {
        let vectors = Vectors::read();
        let keys = keys(&vectors);
        let at = i64::try_from(vectors.signed_at()).unwrap();
        let full = ["db_session_data", "signed_cookie_value"];
        let full = full.map(|name| &vectors.full_session[name]);
        assert!(vectors.signing.len() >= 12);

        for vector in vectors.signing.iter().chain(full) {
            let signed = text(vector, "signed");
            let unsigned = keys.unsign(text(vector, "salt"), signed).expect(signed);
            assert_eq!(unsigned.timestamp, at);
            assert_eq!(unsigned.decode().unwrap().values(), vector["object"]);
        }
        // Files are not read, but what Django writes to them is what it writes to rows.
        let stored = [
            text(&vectors.db_row, "session_data"),
            text(&vectors.file_backend, "content"),
        ];
        for signed in stored {
            let unsigned = keys.unsign(ROW_SALT, signed).expect(signed);
            let values = unsigned.decode().unwrap().values();
            assert_eq!(values, vectors.full_session["dict"]);
        }
    }

    #[test]
    fn what_is_signed_is_what_django_signs() {
        let vectors = Vectors::read();
        let signing = vectors.signing.iter();
        let plain = signing.filter(|vector| !text(vector, "signed").starts_with('.'));
        let plain: Vec<_> = plain.collect();
        assert!(plain.len() >= 4);

        for vector in plain {
            let (salt, json) = (text(vector, "salt"), text(vector, "json"));
            let signed = keys(&vectors).sign(salt, json, vectors.signed_at());
            assert_eq!(signed, text(vector, "signed"));
        }
    }

    #[test]
    fn a_string_counts_only_with_its_salt_its_key_and_unchanged() {
        let vectors = Vectors::read();
        let keys = keys(&vectors);
        let good = text(&vectors.full_session["db_session_data"], "signed");
        let other = SecretKeys::new("another site's");
        assert!(keys.unsign(ROW_SALT, good).is_some());

        assert_eq!(keys.unsign(COOKIE_SALT, good), None);
        assert_eq!(other.unsign(ROW_SALT, good), None);
        for at in 0..good.len() {
            let (shorter, mut changed) = (&good[..at], good.as_bytes().to_vec());
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(keys.unsign(ROW_SALT, shorter), None, "{shorter}");
            assert_eq!(keys.unsign(ROW_SALT, &changed), None, "{changed}");
        }
    }

    #[test]
    fn a_fallback_key_counts_as_long_as_it_is_listed() {
        let value = signed("old", ROW_SALT, "e30:1r31eq");
        let rotated = SecretKeys::new("new").fallback("older").fallback("old");

        assert!(rotated.unsign(ROW_SALT, &value).is_some());
        assert_eq!(SecretKeys::new("new").unsign(ROW_SALT, &value), None);
    }

    #[test]
    fn the_session_hash_is_that_of_the_password_and_of_any_key() {
        let vectors = Vectors::read();
        let keys = keys(&vectors);
        let rotated = keys.clone().fallback(text(&vectors.meta, "old_secret"));
        let users = vectors.session_auth_hash["vectors"].as_array().unwrap();
        assert_eq!(users.len(), 5);

        for user in users {
            let password = text(user, "password_column");
            let (hash, old) = (text(user, "hash"), text(user, "hash_with_old_secret"));
            let name = text(user, "username");
            let rows = &mut vectors.auth_user_rows.iter();
            let row = rows.find(|row| row["id"] == user["id"]).expect(name);
            assert_eq!(
                [text(row, "username"), text(row, "password")],
                [name, password]
            );
            assert_eq!(text(&vectors.password_hashes["values"], name), password);
            assert!(keys.is_session_hash(hash, password));
            assert!(!keys.is_session_hash(hash, &format!("{password} ")));
            assert!(!keys.is_session_hash(old, password));
            assert!(rotated.is_session_hash(old, password));
            assert!(!keys.is_session_hash(&hash[..62], password));
            assert!(!keys.is_session_hash(&hash.to_uppercase(), password));
            assert!(!keys.is_session_hash("", password));
        }
    }

    #[test]
    fn base_62_is_that_of_django() {
        let vectors = Vectors::read();
        for (number, text) in vectors.b62.as_object().unwrap() {
            assert_eq!(base62(text.as_str().unwrap()), number.parse().ok());
        }
        let signed_at = text(&vectors.meta, "frozen_time_b62");
        assert_eq!(to_base62(vectors.signed_at()), signed_at);
        for number in [0, 61, 62, 1_700_000_000, u64::MAX >> 1] {
            assert_eq!(base62(&to_base62(number)), i64::try_from(number).ok());
        }
        for (text, number) in [
            ("-1r31eq", Some(-1_700_000_000)),
            ("", None),
            ("-", None),
            ("1_0", None),
            ("zzzzzzzzzzzz", None),
        ] {
            assert_eq!(base62(text), number, "{text}");
        }
    }

    #[test]
    fn a_signed_payload_that_is_no_session_or_too_large_is_none() {
        let keys = SecretKeys::new("key");
        let zipped = |json: &str| {
            let mut bytes = Vec::new();
            let mut zip = ZlibEncoder::new(json.as_bytes(), Compression::default());
            zip.read_to_end(&mut bytes).unwrap();
            format!(".{}", BASE64URL_NOPAD.encode(&bytes))
        };
        let largest = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_SESSION - 8));
        for (payload, is_session) in [
            (BASE64URL_NOPAD.encode(b"{\"a\":1}"), true),
            (zipped("{}"), true),
            (zipped(&largest), true),
            (zipped(&format!("{largest} ")), false),
            (BASE64URL_NOPAD.encode(b"[]"), false),
            (BASE64URL_NOPAD.encode(b"{"), false),
            (".e30".to_owned(), false),
            ("e3".to_owned(), false),
            (String::new(), false),
        ] {
            let value = signed("key", ROW_SALT, &format!("{payload}:1r31eq"));
            let unsigned = keys.unsign(ROW_SALT, &value).unwrap();
            assert_eq!(unsigned.decode().is_some(), is_session, "{payload:.40}");
        }
    }

    #[test]
    fn only_a_string_that_a_session_can_have_is_verified() {
        let keys = SecretKeys::new("key");
        let signed_with_length = |length| {
            let rest = signed("key", ROW_SALT, ":1r31eq").len();
            signed(
                "key",
                ROW_SALT,
                &format!("{}:1r31eq", "x".repeat(length - rest)),
            )
        };

        let longest = signed_with_length(MAX_SIGNED);
        assert!(keys.unsign(ROW_SALT, &longest).is_some());
        let longer = signed_with_length(MAX_SIGNED + 1);
        assert_eq!(keys.unsign(ROW_SALT, &longer), None);
    }

    #[test]
    #[should_panic(expected = "the secret key is empty")]
    fn an_empty_key_panics() {
        _ = SecretKeys::new("key").fallback("");
    }
}
