//! The announcement of a session's end, which closes its connections in every process.

use super::{Id, error::GONE};
use crate::{
    channels::Channels, digest::digest, log_limit::log_limited, message::Close, name::GroupName,
};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

/// Time within which a browser is expected to store the cookie of a response.
const COOKIE_ARRIVES: Duration = Duration::from_secs(1);

/// How long a response waits for the announcement, which continues after that: the session has
/// ended, also while the channel layer does not respond.
const RESPONSE_WAITS: Duration = Duration::from_secs(2);

/// Closes all connections of an ended session, in every process. Returns after at most 2 s.
pub(super) async fn announce(channels: &Channels, id: Id) {
    let announcing = close_connections(channels.clone(), id);
    let announcing = tokio::spawn(announcing.in_current_span());
    _ = timeout(RESPONSE_WAITS, announcing).await;
}

/// Closes all connections of a session that continues under a new id, once the browser has its
/// cookie, because clients reconnect immediately.
pub(super) fn announce_later(channels: &Channels, id: Id) {
    let channels = channels.clone();
    tokio::spawn(async move {
        sleep(COOKIE_ARRIVES).await;
        close_connections(channels, id).await;
    });
}

/// Closes all connections of a session, in every process, however long the channel layer takes.
pub(super) async fn close_connections(channels: Channels, id: Id) {
    let close = Close::new(Close::UNAUTHORIZED, GONE);
    if let Err(error) = channels.disconnect_group(&group(&id), close).await {
        log_limited!(warn, error = %format_args!("{error:#}"), "could not close the connections of an ended session");
    }
}

/// Returns the group of all connections of a session. Its name is a digest, because a session id is
/// secret and a group name is not.
pub(super) fn group(id: &Id) -> GroupName {
    let digest = digest(&id.0.to_le_bytes());
    GroupName::new(format!("seaway.session.{digest}")).expect("hexadecimal digits are valid")
}
