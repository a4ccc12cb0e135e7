//! Metrics and a readiness probe, on a port of their own.

use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use launch::{Address, Metrics};
use seaway::{Channels, Result, from_service, routing::ProtocolTypeRouter, serve};
use std::net::SocketAddr;

/// Serves `/metrics` and `/ready` on this port of this machine until the process is told to stop; returns where. From then
/// on a probe is refused: no load balancer shall send further clients.
///
/// # Errors
/// If it cannot listen there.
pub async fn begin(port: u16, metrics: Metrics, channels: &Channels) -> Result<SocketAddr> {
    let address = Address {
        port,
        ..Address::default()
    };
    let listener = address.listen_as("--monitor").await?;
    let address = listener.local_addr()?;
    let pages = Router::new()
        .route("/metrics", get(async move || metrics.render()))
        .route("/ready", get(ready))
        .with_state(channels.clone());
    let app = ProtocolTypeRouter::new().http(from_service(pages));
    tokio::spawn(async move {
        if let Err(error) = serve(listener, app).await {
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
