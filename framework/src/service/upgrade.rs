//! A WebSocket handshake, and the stream behind it.

use super::response_future::rejected;
use crate::{
    application::{BoxApplication, log_outcome},
    connection_span::ConnectionSpan,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    protocol::{Body, ConnectionHandle, Deflate, Opened, Origin, Upgrade, WebSocket, detached},
    rejection::Rejection,
    rejection_log::{Rule, Severity},
    scope::{Protocol, Scope},
};
use http::{HeaderValue, Response, StatusCode, header, request};
use hyper::upgrade::OnUpgrade;
use std::future::poll_fn;
use tracing::Instrument;

/// Responds to a handshake. The application runs in a task of its own: it outlives the request.
pub(super) async fn upgrade(
    application: BoxApplication<WebSocket>,
    head: request::Parts,
    accept: Option<HeaderValue>,
    handle: Option<ConnectionHandle>,
) -> Response<Body> {
    let mut response = respond(application, head, handle).await;
    metric::handshake(response.status());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        switch_protocols(&mut response, accept);
    }
    response
}

/// Completes the response to an accepted handshake: 101 with three headers (RFC 6455, 4.2.2), and
/// over HTTP/2 200 without them (RFC 8441, 5).
fn switch_protocols(response: &mut Response<Body>, accept: Option<HeaderValue>) {
    let Some(accept) = accept else {
        *response.status_mut() = StatusCode::OK;
        // Of a server behind a proxy.
        response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
        return;
    };
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
}

async fn respond(
    application: BoxApplication<WebSocket>,
    mut head: request::Parts,
    handle: Option<ConnectionHandle>,
) -> Response<Body> {
    let Some(upgrading) = head.extensions.remove::<OnUpgrade>() else {
        log_limited!(
            error,
            "cannot open a WebSocket: something before this service has taken hyper's OnUpgrade from the request"
        );
        return rejected(Rejection::from_status(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let origin = Origin::of(&head.headers, &head.uri, &head.extensions);
    let offer = Deflate::negotiate(&head.headers);
    let mut scope = Scope::<WebSocket>::new(detached(&head));
    scope.client = handle.as_ref().and_then(ConnectionHandle::client);
    ConnectionHandle::remove(&mut head.extensions);
    scope.extensions = head.extensions;
    let uri = &scope.head.uri;
    let span = ConnectionSpan::new(WebSocket::NAME, uri, &scope.head.headers, scope.client);
    let span = span.open();
    scope.set_span(ConnectionSpan::Open(span.clone()));
    let peer = scope.peer();
    let open = {
        let handle = handle.clone();
        Box::new(|| Box::pin(open(upgrading, handle)) as _)
    };
    let (upgrade, response) = Upgrade::new(origin, offer, peer.clone(), handle.clone(), open);
    let mut running = application.start(scope, upgrade);
    // Not an async block, which would store the future twice for as long as the socket is open.
    let running = poll_fn(move |cx| running.as_mut().poll(cx).map(log_outcome::<WebSocket>));
    ConnectionHandle::spawn(handle.as_ref(), running.instrument(span.clone()));
    let Ok(response) = response.await else {
        // An error of the application is in the log already.
        let rejection = Rejection::from_status(StatusCode::INTERNAL_SERVER_ERROR)
            .by(Rule::Failure)
            .failure(Severity::Reported)
            .because("the application ended without a response");
        let response = span.in_scope(|| rejection.into_logged_response(&peer));
        return response.map(Body::from);
    };
    response
}

/// Waits for the stream that hyper releases once the response is written.
async fn open(upgrading: OnUpgrade, handle: Option<ConnectionHandle>) -> Result<Opened> {
    let upgraded = upgrading
        .await
        .map_err(|source| Error::new(ErrorKind::Closed, "the client left").with_source(source))?;
    let stream = ConnectionHandle::upgraded_stream(handle.as_ref(), upgraded)?;
    Ok(Opened::Stream(stream))
}
