//! The group in which the end of a session is announced.

use super::Id;
use crate::name::GroupName;
use sha2::{Digest, Sha256};

/// Returns the group of all connections of a session. Its name is a digest, because a session id is
/// secret and a group name is not.
pub(crate) fn group(id: &Id) -> GroupName {
    let digest = digest(&id.0.to_le_bytes());
    GroupName::new(format!("seaway.session.{digest}")).expect("hexadecimal digits are valid")
}

/// Returns 128 bits of SHA-256 in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
