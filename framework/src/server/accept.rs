//! The accept loop, and graceful shutdown.

use super::{
    addresses::{self, Addresses, TooMany},
    connection::{self, ConnectionLimits, ServedApp, Stalled, log_stall},
    drain::Drain,
    listener::{Accepted, AcceptedClient, Arrival, ErasedListener},
    place::Place,
    shutdown_signal::ShutdownSignal,
    trusted_proxies::TrustedProxies,
};
use crate::{
    catch_panic::catch_panic,
    error::{BoxError, Error, ErrorKind, Result},
    log_limit::log_limited,
    rejection_log::{Peer, Rejected, Rule},
};
use http::StatusCode;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// The limits of a server.
#[derive(Clone)]
pub(super) struct ServerLimits {
    pub(super) connection: ConnectionLimits,
    pub(super) connections: usize,
    pub(super) per_address: usize,
    pub(super) retry_after: Option<Duration>,
    pub(super) close_over: Duration,
    pub(super) proxies: Option<TrustedProxies>,
    pub(super) drain_timeout: Duration,
}

/// How long `disconnect` may take after its connection was aborted.
const DISCONNECT_GRACE: Duration = Duration::from_secs(3);

/// Accepts and serves connections until the shutdown signal, then drains them.
///
/// # Errors
/// [`ErrorKind::User`] if a listener panics, after the drain.
pub(super) async fn accept<S: ServedApp>(
    listeners: Vec<Box<dyn ErasedListener>>,
    app: S,
    limits: ServerLimits,
    shutdown_signal: &mut ShutdownSignal,
) -> Result<()> {
    let drain = Drain::new(
        limits.retry_after,
        limits.close_over,
        limits.connection.write_timeout,
    );
    let acceptor = Acceptor {
        permits: Arc::new(Semaphore::new(limits.connections)),
        addresses: Addresses::new(limits.per_address),
        drain: drain.clone(),
        limits: limits.clone(),
        app,
    };
    let addresses = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok());
    let address = addresses.collect::<Vec<_>>().join(", ");
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(acceptor.clone().accept_until_panic(listener));
    }
    let outcome = tokio::select! {
        Some(Ok(panic)) = accepting.join_next() => {
            tracing::error!(error = %panic, "a listener panicked; stopping");
            Err(Error::new(ErrorKind::User, "a listener panicked").with_source(panic))
        }
        () = shutdown_signal.stop() => Ok(()),
    };
    // This drops the listeners.
    accepting.shutdown().await;
    drain.begin();
    tracing::info!(
        address,
        connections = drain.connections(),
        "stopping: closing WebSockets and finishing open requests"
    );
    stop(&drain, limits.drain_timeout, shutdown_signal).await;
    outcome
}

/// Lets the connections end, for up to `limit` or until another signal, and then aborts them.
async fn stop(drain: &Drain, limit: Duration, shutdown_signal: &mut ShutdownSignal) {
    let draining = async {
        drain.close_in_batches().await;
        drain.finish(limit).await
    };
    let why = tokio::select! {
        left = draining => match left {
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

/// What serves the connections of all listeners.
#[derive(Clone)]
struct Acceptor<S> {
    permits: Arc<Semaphore>,
    addresses: Addresses,
    drain: Arc<Drain>,
    limits: ServerLimits,
    app: S,
}

impl<S: ServedApp> Acceptor<S> {
    /// Accepts connections until the listener panics; returns its panic.
    async fn accept_until_panic(self, listener: Box<dyn ErasedListener>) -> Error {
        match catch_panic(|| self.accept_from(listener)).await {
            Ok(never) => match never {},
            Err(panic) => panic,
        }
    }

    /// Accepts connections, and serves each in a task of its own.
    async fn accept_from(self, mut listener: Box<dyn ErasedListener>) -> Infallible {
        let (permits, limit) = (self.permits.clone(), self.limits.connections);
        loop {
            // Clients wait in the listener's queue, not here, except one if another listener has
            // taken the last permit meanwhile. The permit is given back, because one that an idle
            // listener held would be missing at the others.
            drop(permit(&permits, limit).await);
            match listener.accept().await {
                Ok(accepted) => {
                    let permit = permit(&permits, limit).await;
                    self.serve(accepted, permit);
                }
                Err(error) => accept_failed(&error).await,
            }
        }
    }

    fn serve(&self, Accepted(arrival): Accepted, permit: OwnedSemaphorePermit) {
        match arrival {
            Arrival::Now(client) => self.serve_client(client, permit),
            Arrival::Later(reading) => {
                let acceptor = self.clone();
                self.drain.spawn(async move {
                    tokio::select! {
                        client = reading => if let Some(client) = client {
                            acceptor.serve_client(client, permit);
                        },
                        () = acceptor.drain.first_bytes_overdue() => {}
                    }
                });
            }
        }
    }

    fn serve_client(&self, client: AcceptedClient, permit: OwnedSemaphorePermit) {
        let AcceptedClient { socket, address } = client;
        let (client, too_many) = match address.map(|address| self.addresses.open(address)) {
            Some((client, too_many)) => (Some(client), too_many),
            None => (None, None),
        };
        let connection = self.drain.open(Place::new(client, permit));
        if let Some(too_many) = too_many {
            log_too_many(address, &too_many);
            if too_many == TooMany::Response {
                connection.spawn(addresses::respond(socket));
            }
            return;
        }
        let (app, limits) = (self.app.clone(), self.limits.connection);
        let proxies = self.limits.proxies.clone();
        connection.clone().spawn(async move {
            let serving = connection::serve(socket, app, connection, limits, proxies);
            if let Err(error) = serving.await {
                log_end(address, &error);
            }
        });
    }
}

/// Waits until there are fewer connections than `max_connections`.
async fn permit(permits: &Arc<Semaphore>, limit: usize) -> OwnedSemaphorePermit {
    if permits.available_permits() == 0 {
        log_limited!(
            warn,
            connections = limit,
            "reached `max_connections`; new clients wait until a connection ends"
        );
    }
    let permit = permits.clone().acquire_owned().await;
    permit.expect("the semaphore is never closed")
}

/// Logs that a client has more connections than `max_connections_per_address`.
fn log_too_many(client: Option<SocketAddr>, too_many: &TooMany) {
    let outcome = match too_many {
        TooMany::Response => Rejected::Status(StatusCode::TOO_MANY_REQUESTS),
        TooMany::Disconnect => Rejected::Disconnect,
    };
    let reason = "its address has reached `max_connections_per_address`";
    let peer = Peer::without_request(client);
    peer.log_rejection(Rule::Address, outcome, Some(reason));
}

/// Logs why a connection ended with an error: as a rejection if hyper could not parse the request
/// or the client stalled, otherwise at the level `debug`, since a lost client needs no action.
fn log_end(client: Option<SocketAddr>, error: &BoxError) {
    if let Some(stalled) = error.downcast_ref::<Stalled>() {
        return log_stall(client, stalled);
    }
    match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse() => {
            let reason = error.to_string();
            let peer = Peer::without_request(client);
            peer.log_rejection(Rule::RequestHead, Rejected::Disconnect, Some(&reason));
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
