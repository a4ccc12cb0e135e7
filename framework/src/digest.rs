//! Digests, by which a group may be named after a secret: the names of groups are in spans, in
//! errors and in Redis.

use sha2::{Digest, Sha256};

/// Returns 128 bits of SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
