//! The routes: three plain responses, a stream, and two WebSockets.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    upgrade::OnUpgrade,
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::server::create_response_with_body,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    room::{Form, Rooms},
    socket,
    stream::Events,
};

/// The largest body of `POST /body`, as in axum.
const BODY_LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// The size of both buffers of a socket; tungstenite's default is 128 KiB each.
const BUFFER_BYTES: usize = 4 * 1024;

/// Responds to one request.
pub(crate) async fn respond(
    mut request: Request<Incoming>,
    rooms: Arc<Rooms>,
) -> Result<Response<Either<Full<Bytes>, Events>>, Infallible> {
    let path = request.uri().path();
    // The member joins before the response head is sent, so it misses nothing.
    if let Some(name) = path.strip_prefix("/events/room/") {
        let membership = rooms.join(name, Form::Event);
        return Ok(stream(Events { membership }).map(Either::Right));
    }
    let response = match (request.method(), path) {
        (&Method::GET, "/") => text("hello"),
        (&Method::GET, "/healthz") => text("ok"),
        (&Method::POST, "/body") => body(request).await,
        (&Method::GET, "/ws/echo") => upgrade(&mut request, socket::echo),
        (&Method::GET, _) => match path.strip_prefix("/ws/room/") {
            Some(name) => {
                let membership = rooms.join(name, Form::Text);
                upgrade(&mut request, |socket| socket::room(socket, membership))
            }
            None => status(StatusCode::NOT_FOUND),
        },
        _ => status(StatusCode::NOT_FOUND),
    };
    Ok(response.map(Either::Left))
}

async fn body(request: Request<Incoming>) -> Response<Full<Bytes>> {
    match Limited::new(request.into_body(), BODY_LIMIT_BYTES)
        .collect()
        .await
    {
        Ok(body) => Response::new(Full::new(body.to_bytes())),
        Err(_) => status(StatusCode::PAYLOAD_TOO_LARGE),
    }
}

fn upgrade<F>(
    request: &mut Request<Incoming>,
    conversation: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static,
) -> Response<Full<Bytes>>
where
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(response) = create_response_with_body(request, Full::default) else {
        return status(StatusCode::BAD_REQUEST);
    };
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        if let Some(socket) = open(upgrade).await {
            // A new task, so that an idle socket does not keep the upgrade's state in memory.
            tokio::spawn(conversation(socket));
        }
    });
    response
}

async fn open(upgrade: OnUpgrade) -> Option<WebSocketStream<TcpStream>> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<TcpStream>>().ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES);
    let (stream, early) = (parts.io.into_inner(), parts.read_buf.to_vec());
    Some(WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await)
}

fn stream(events: Events) -> Response<Events> {
    let mut response = Response::new(events);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn text(text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
