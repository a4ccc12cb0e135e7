//! Letting a consumer go: its last hook, in bounded time.

use crate::guard::guarded;
use std::{future::Future, time::Duration};

/// How long `disconnect` may take: time for a slow database, not for a lost one.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(30);

/// Runs a consumer's `disconnect`.
pub(super) async fn dismiss(disconnect: impl Future<Output = ()> + Send) {
    match tokio::time::timeout(DISCONNECT_LIMIT, Box::pin(guarded(disconnect))).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => tracing::error!(error = %panic, "a consumer's disconnect panicked"),
        Err(_) => tracing::warn!("a consumer's disconnect took too long and was dropped"),
    }
}
