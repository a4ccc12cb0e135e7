//! Metrics and a readiness probe, on a separate port.

use axum::{Router, extract::State, routing::get};
use http::StatusCode;
use launch::{Address, Metrics};
use seaway::{Channels, Result, from_service, routing::ProtocolTypeRouter, serve};
use std::net::SocketAddr;

/// Serves `/metrics` and `/ready` on this port of 127.0.0.1 until the process is asked to stop;
/// returns the address. From then on probes are refused, so that a load balancer sends no further
/// clients.
///
/// # Errors
/// If the port cannot be bound.
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
            tracing::error!(%error, "the monitoring server has stopped");
        }
    });
    Ok(address)
}

/// Reports whether a load balancer should send clients here.
async fn ready(State(channels): State<Channels>) -> (StatusCode, String) {
    match channels.health() {
        Ok(()) => (StatusCode::OK, "ready".to_owned()),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
