//! The announcement of a session's end, which closes its connections in every process.

use super::{Id, error::GONE, operations::SessionCore};
use crate::{
    channels::Channels, log_limit::log_limited, message::Close, name::GroupName,
    revocation::Revocation,
};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tokio::time::sleep;

/// Time within which a browser is expected to store the cookie of a response.
const COOKIE_ARRIVES: Duration = Duration::from_secs(1);

/// Closes all connections of an ended session, in every process.
pub(super) async fn announce(channels: &Channels, id: &Id) {
    let close = Close::new(Close::UNAUTHORIZED, GONE);
    if let Err(error) = channels.disconnect_group(&group(id), close).await {
        log_limited!(warn, %error, "could not close the connections of an ended session");
    }
}

/// Closes all connections of a session that goes on under a new id, once the browser has its
/// cookie, because clients reconnect immediately.
pub(super) fn announce_later(channels: &Channels, id: Id) {
    let channels = channels.clone();
    tokio::spawn(async move {
        sleep(COOKIE_ARRIVES).await;
        announce(&channels, &id).await;
    });
}

/// Returns the group of all connections of a session. Its name is a digest, because a session id is
/// secret and a group name is not.
fn group(id: &Id) -> GroupName {
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

/// Closes a connection that has read its session when that session ends.
#[async_trait]
impl Revocation for SessionCore {
    fn group(&self) -> Option<GroupName> {
        let state = self.state();
        state.stage.known().map(|session| group(&session.id))
    }

    async fn broken(&self) -> Option<Close> {
        let id = self.state().stage.known().map(|session| session.id)?;
        match self.backend.store.load(&id).await {
            Ok(Some(_)) => None,
            Ok(None) => Some(Close::new(Close::UNAUTHORIZED, GONE)),
            Err(error) => {
                log_limited!(warn, error = %error.chain(), "could not recheck a session");
                None
            }
        }
    }
}
