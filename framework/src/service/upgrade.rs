//! A WebSocket handshake over HTTP/1.1, and the stream behind it.

use super::response_future::refusal;
use crate::{
    application::{BoxApplication, note},
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    protocol::{Body, Origin, Transport, Upgrade, WebSocket, WebSocketConfig, detached},
    refusal_log::{self, Peer, Rule},
    scope::Scope,
    server::{ByteTransport, ClientStream, ConnectionHandle, handle},
};
use http::{HeaderValue, Response, StatusCode, header, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::Arc;

/// Responds to a handshake. The application runs in a task of its own: it outlives the request.
pub(super) async fn open(
    sockets: BoxApplication<WebSocket>,
    mut head: request::Parts,
    accept: HeaderValue,
) -> Response<Body> {
    let Some(upgrading) = head.extensions.remove::<OnUpgrade>() else {
        log_limited!(
            error,
            "cannot open a WebSocket: something before this service has taken hyper's OnUpgrade from the request"
        );
        return refusal(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let handle = handle();
    let origin = Origin::of(&head.headers, &head.uri);
    let mut scope = Scope::new(detached(&head));
    scope.client = handle.as_ref().and_then(|handle| handle.client);
    scope.extensions = head.extensions;
    let host = handle.clone().map(ConnectionHandle::host);
    let peer = scope.peer();
    let of_transport = peer.clone();
    let (upgrade, answered) = Upgrade::new(
        origin,
        peer.clone(),
        host,
        Box::new(|config| Box::pin(transport(upgrading, config, of_transport))),
    );
    let conversation = sockets.start(scope, upgrade);
    let conversing = async move { note::<WebSocket>(conversation.await) };
    match handle {
        Some(handle) => handle.spawn(conversing),
        None => _ = tokio::spawn(conversing),
    }
    let Ok(reply) = answered.await else {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let reason = "the application ended without a response";
        peer.refused(
            Rule::Failure,
            refusal_log::Outcome::Status(status),
            Some(reason),
        );
        return refusal(status);
    };
    let mut response = reply.map(Body::from);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Returns the stream that hyper releases once the 101 is written.
async fn transport(
    upgrading: OnUpgrade,
    config: Arc<WebSocketConfig>,
    peer: Peer,
) -> Result<Box<dyn Transport>> {
    let upgraded = upgrading
        .await
        .map_err(|source| Error::new(ErrorKind::Closed, "the client left").with_source(source))?;
    // Over plain HTTP/1.1 of our own server it is the bare socket; elsewhere it is the stream of
    // the host.
    match upgraded.downcast::<TokioIo<ClientStream>>() {
        Ok(parts) => {
            let socket = parts.io.into_inner().into_socket();
            let socket = socket.ok_or_else(|| Error::new(ErrorKind::Closed, "the client left"))?;
            Ok(Box::new(ByteTransport::new(
                socket,
                &parts.read_buf,
                config,
                peer,
            )))
        }
        Err(upgraded) => Ok(wrapped(upgraded, config, peer)),
    }
}

fn wrapped(upgraded: Upgraded, config: Arc<WebSocketConfig>, peer: Peer) -> Box<dyn Transport> {
    Box::new(ByteTransport::new(
        TokioIo::new(upgraded),
        &[],
        config,
        peer,
    ))
}
