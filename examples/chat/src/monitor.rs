//! What a monitoring system asks for, on a port that is nobody else's.

use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use launch::{Address, Metrics};
use seaway::{Channels, Result, from_service, routing::ProtocolTypeRouter, serve};
use std::{future::pending, net::SocketAddr};

/// Serves `/metrics` and `/ready` on this port of this machine until the process ends; returns where.
///
/// # Errors
/// If it cannot listen there.
pub async fn begin(port: u16, metrics: Metrics, channels: &Channels) -> Result<SocketAddr> {
    let address = Address {
        port,
        ..Address::default()
    };
    let listener = address.listen().await?;
    let address = listener.local_addr()?;
    let pages = Router::new()
        .route("/metrics", get(async move || metrics.render()))
        .route("/ready", get(ready))
        .with_state(channels.clone());
    let app = ProtocolTypeRouter::new().http(from_service(pages));
    tokio::spawn(async move {
        // The chat's own server ends the process.
        if let Err(error) = serve(listener, app).stop_on(pending()).await {
            tracing::error!(%error, "the port for monitoring is not served any more");
        }
    });
    Ok(address)
}

/// Whether a load balancer should send people here.
async fn ready(State(channels): State<Channels>) -> (StatusCode, String) {
    match channels.health() {
        Ok(()) => (StatusCode::OK, "ready".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
