//! The accept loop, and graceful shutdown.

use super::{
    connection::{self, ConnectionLimits, Stalled, log_stall},
    drain::Drain,
    listener::{Accepted, ErasedListener},
    shutdown_signal::ShutdownSignal,
};
use crate::{
    error::BoxError,
    log_limit::log_limited,
    metric,
    protocol::Body,
    rejection_log::{Outcome, Peer, Rule},
};
use bytes::Bytes;
use http::{Request, Response};
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tower_service::Service;

/// The limits of a server.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) connection: ConnectionLimits,
    pub(super) connections: usize,
    pub(super) drain_timeout: Duration,
}

/// How long `disconnect` may take after its connection was aborted.
const DISCONNECT_GRACE: Duration = Duration::from_secs(3);

/// Accepts and serves connections until the shutdown signal, then drains them.
pub(super) async fn accept<S, B>(
    mut listener: Box<dyn ErasedListener>,
    app: S,
    limits: Limits,
    shutdown_signal: &mut ShutdownSignal,
) where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let drain = Drain::default();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accept = async {
            if places.available_permits() == 0 {
                log_limited!(
                    warn,
                    connections = limits.connections,
                    "reached `max_connections`; new clients wait until a connection ends"
                );
            }
            let permit = places.clone().acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = pin!(accept) => accepted,
            () = shutdown_signal.stop() => break,
        };
        let Accepted { socket, client } = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tokio::select! {
                    () = accept_failed(&error) => continue,
                    () = shutdown_signal.stop() => break,
                }
            }
        };
        let app = app.clone();
        let connection = drain.open(client, permit);
        connection.clone().spawn(async move {
            let _open = metric::OpenConnection::new();
            let serving = connection::serve(socket, app, connection, limits.connection);
            if let Err(error) = serving.await {
                log_end(client, &error);
            }
        });
    }
    drop(listener);
    drain.begin();
    tracing::info!(
        connections = drain.connections(),
        "stopping: closing WebSockets and finishing open requests"
    );
    let why = tokio::select! {
        left = drain.finish(limits.drain_timeout) => match left {
            0 => return,
            _ => "`drain_timeout` has passed: aborting the remaining connections",
        },
        () = shutdown_signal.again() => "received a second stop signal: aborting the remaining connections",
    };
    tracing::warn!(connections = drain.connections(), "{why}");
    drain.abort();
    let left = tokio::select! {
        left = drain.finish(DISCONNECT_GRACE) => left,
        () = shutdown_signal.again() => drain.connections(),
    };
    if left > 0 {
        tracing::warn!(
            connections = left,
            "aborted connections have not ended; stopping without them"
        );
    }
}

/// Logs why a connection ended with an error: as a rejection if hyper could not parse the request or
/// the client stalled, otherwise at the level `debug`, since a lost client needs no action.
fn log_end(client: Option<SocketAddr>, error: &BoxError) {
    if let Some(stalled) = error.downcast_ref::<Stalled>() {
        return log_stall(client, stalled);
    }
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse() => {
            let reason = error.to_string();
            let peer = Peer::without_request(client);
            peer.log_rejection(Rule::RequestHead, Outcome::Disconnect, Some(&reason));
        }
        _ => {
            let client = client.map(tracing::field::display);
            tracing::debug!(client, %error, "a connection ended with an error");
        }
    }
}

/// Waits before the next accept if the error is not the client's. A connection that was closed in
/// the listener's queue concerns only its client. After any other error, such as too many open
/// files, the loop waits 1 s, because it would otherwise use a whole CPU core.
async fn accept_failed(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    log_limited!(error, %error, "cannot accept connections; retrying in 1 s");
    tokio::time::sleep(Duration::from_secs(1)).await;
}
