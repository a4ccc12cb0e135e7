//! Fernet tokens, the encryption of channels_redis (<https://github.com/fernet/spec>).
//!
//! A token is Base64 of a version byte, the time, an initialization vector, the message in
//! AES-128-CBC, and an HMAC-SHA256 over all before it.

use crate::error::{Error, ErrorKind, Result};
use aes::Aes128;
use cbc::{
    Decryptor, Encryptor,
    cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit, block_padding::Pkcs7},
};
use data_encoding::BASE64URL;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::time::Duration;

const VERSION: u8 = 0x80;
/// The length of version, time and initialization vector.
const HEADER: usize = 1 + 8 + 16;
const HMAC: usize = 32;

/// How far the clock of a sender may be ahead, if tokens expire.
const CLOCK_SKEW: u64 = 60;

/// The keys: the first encrypts, each of them decrypts.
#[derive(Clone, Default)]
pub(super) struct FernetKeys(Vec<FernetKey>);

#[derive(Clone, PartialEq, Eq)]
struct FernetKey {
    signing: [u8; 16],
    encryption: [u8; 16],
}

/// Why a token could not be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// It is not a token, or of no known key.
    Invalid,
    /// It is too old, or of the future.
    Expired,
}

impl FernetKeys {
    /// Derives the keys as channels_redis does: from the SHA-256 of each secret.
    pub(super) fn new<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self(
            secrets
                .into_iter()
                .map(|secret| FernetKey::of(secret.as_ref()))
                .collect(),
        )
    }

    /// Checks that no secret is empty: everyone has the key of that one.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if one is.
    pub(super) fn check(&self) -> Result<()> {
        if !self.0.contains(&FernetKey::of(b"")) {
            return Ok(());
        }
        let message = "a key of `symmetric_encryption_keys` is empty: set the variable or file that it is read from, or leave out the call to send without encryption";
        Err(Error::new(ErrorKind::Layer, message))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Encrypts a message with the first key; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the operating system returns no random bytes.
    pub(super) fn encrypt(&self, message: &[u8], now: Duration) -> Result<Option<Vec<u8>>> {
        let Some(key) = self.0.first() else {
            return Ok(None);
        };
        let mut iv = [0; 16];
        getrandom::fill(&mut iv).map_err(|error| {
            let message = format!("the operating system returned no random bytes: {error}");
            Error::new(ErrorKind::Io, message)
        })?;
        Ok(Some(key.encrypt(message, now.as_secs(), iv)))
    }

    /// Decrypts a token with whichever key it is of. With a `ttl`, the token must be younger.
    ///
    /// # Errors
    /// The reason why not.
    pub(super) fn decrypt(
        &self,
        token: &[u8],
        now: Duration,
        ttl: Option<Duration>,
    ) -> Result<Vec<u8>, Mistake> {
        let token = BASE64URL.decode(token).map_err(|_| Mistake::Invalid)?;
        let mut keys = self.0.iter();
        let (created, message) = keys
            .find_map(|key| key.decrypt(&token))
            .ok_or(Mistake::Invalid)?;
        let now = now.as_secs();
        if let Some(ttl) = ttl {
            let is_old = created.saturating_add(ttl.as_secs()) < now;
            if is_old || created > now.saturating_add(CLOCK_SKEW) {
                return Err(Mistake::Expired);
            }
        }
        Ok(message)
    }
}

impl FernetKey {
    fn of(secret: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let (mut signing, mut encryption) = ([0; 16], [0; 16]);
        signing.copy_from_slice(&digest[..16]);
        encryption.copy_from_slice(&digest[16..]);
        Self {
            signing,
            encryption,
        }
    }

    fn encrypt(&self, message: &[u8], seconds: u64, iv: [u8; 16]) -> Vec<u8> {
        let cipher = Encryptor::<Aes128>::new(&self.encryption.into(), &iv.into());
        let mut token = Vec::with_capacity(HEADER + message.len() + 16 + HMAC);
        token.push(VERSION);
        token.extend(seconds.to_be_bytes());
        token.extend(iv);
        token.extend(cipher.encrypt_padded_vec_mut::<Pkcs7>(message));
        let hmac = self.hmac(&token).finalize().into_bytes();
        token.extend(hmac);
        BASE64URL.encode(&token).into_bytes()
    }

    /// Returns the time of a token in seconds, and its message.
    fn decrypt(&self, token: &[u8]) -> Option<(u64, Vec<u8>)> {
        let (signed, hmac) = token.split_at_checked(token.len().checked_sub(HMAC)?)?;
        // In constant time.
        self.hmac(signed).verify_slice(hmac).ok()?;
        let (header, ciphertext) = signed.split_first_chunk::<HEADER>()?;
        let ([VERSION], rest) = header.split_first_chunk::<1>()? else {
            return None;
        };
        let (seconds, iv) = rest.split_first_chunk::<8>()?;
        let cipher = Decryptor::<Aes128>::new_from_slices(&self.encryption, iv).ok()?;
        let message = cipher.decrypt_padded_vec_mut::<Pkcs7>(ciphertext).ok()?;
        Some((u64::from_be_bytes(*seconds), message))
    }

    fn hmac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(&self.signing).expect("HMAC takes a key of any length");
        hmac.update(bytes);
        hmac
    }
}

#[cfg(test)]
mod tests {
    use super::{super::RedisConfig, *};
    use crate::channels::Channels;

    const MESSAGE: &[u8] = b"\x82\xa4type\xacchat.message\xa4text\xacHello there!";
    /// A token of Python's `cryptography`.
    const TOKEN: &str = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0OD8nWqB6S1ckqE2gVjSX-xgpOnCj0-kGilJ9Kn_6RO7ojODrWm3kNghGcdywVOzShVdRseOm80EhVMcbUWNXBb9vXtvy3qGlC-5W71CLjUKEM";
    const CREATED: u64 = 1_700_000_000;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_is_the_same_as_that_of_python() {
        let key = FernetKey::of(b"super-secret-key-1");
        let iv = std::array::from_fn(|index| index as u8);

        let token = key.encrypt(MESSAGE, CREATED, iv);

        assert_eq!(String::from_utf8(token).unwrap(), TOKEN);
    }

    #[test]
    fn each_key_decrypts_and_only_until_the_token_expires() {
        let keys = FernetKeys::new(["new", "super-secret-key-1"]);
        let ttl = Some(at(70));
        for (now, ttl, expected) in [
            (CREATED, ttl, Ok(MESSAGE.to_vec())),
            (CREATED + 70, ttl, Ok(MESSAGE.to_vec())),
            (CREATED + 71, ttl, Err(Mistake::Expired)),
            (CREATED - 60, ttl, Ok(MESSAGE.to_vec())),
            (CREATED - 61, ttl, Err(Mistake::Expired)),
            (CREATED + 1_000_000, None, Ok(MESSAGE.to_vec())),
        ] {
            assert_eq!(
                keys.decrypt(TOKEN.as_bytes(), at(now), ttl),
                expected,
                "{now}"
            );
        }
    }

    #[test]
    fn what_was_encrypted_is_decrypted_with_the_first_of_new_keys_or_a_later_one() {
        let token = FernetKeys::new(["old"])
            .encrypt(b"hello", at(CREATED))
            .unwrap();
        let token = token.expect("there is a key");

        for secrets in [&["old"][..], &["new", "old"]] {
            let message = FernetKeys::new(secrets).decrypt(&token, at(CREATED), None);
            assert_eq!(message.as_deref(), Ok(&b"hello"[..]));
        }
        let unknown = FernetKeys::new(["new"]).decrypt(&token, at(CREATED), None);
        assert_eq!(unknown, Err(Mistake::Invalid));
    }

    #[tokio::test]
    async fn an_empty_secret_is_refused_at_startup() {
        let secrets: [(&[&str], bool); 4] = [
            (&[], true),
            (&["a"], true),
            (&[""], false),
            (&["a", ""], false),
        ];
        for (secrets, is_valid) in secrets {
            // Nothing listens there.
            let config = RedisConfig::new("redis://127.0.0.1:1").symmetric_encryption_keys(secrets);
            let error = Channels::redis(config).await.map(drop).unwrap_err();
            let is_refused = error.to_string().contains("is empty: set the variable");
            assert_eq!(!is_refused, is_valid, "{secrets:?}: {error}");
        }
    }

    #[test]
    fn a_changed_token_is_invalid() {
        let keys = FernetKeys::new(["super-secret-key-1"]);
        let whole = BASE64URL.decode(TOKEN.as_bytes()).unwrap();

        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            let token = BASE64URL.encode(&changed);
            let decrypted = keys.decrypt(token.as_bytes(), self::at(CREATED), None);
            assert_eq!(decrypted, Err(Mistake::Invalid), "byte {at}");
        }
        for end in 0..TOKEN.len() {
            let decrypted = keys.decrypt(&TOKEN.as_bytes()[..end], at(CREATED), None);
            assert_eq!(decrypted, Err(Mistake::Invalid), "cut at {end}");
        }
    }
}
