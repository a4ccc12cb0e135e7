//! Where the end of a session is announced.

use super::Id;
use crate::name::GroupName;
use sha2::{Digest, Sha256};

/// The group of all sockets of a session. Its id is a secret, and names of groups are not.
pub(crate) fn group(id: &Id) -> GroupName {
    let digest = digest(&id.0.to_le_bytes());
    GroupName::new(format!("seaway.session.{digest}")).expect("hexadecimal digits are valid")
}

/// 128 bits of SHA-256, in hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
