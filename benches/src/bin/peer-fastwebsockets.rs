//! A second lower bound for echo and handshakes: hyper and fastwebsockets without a framework.
//!
//! It reads and writes as fastwebsockets' own echo server does, with TCP_NODELAY and one task per
//! connection that keeps nothing of the request. It has no rooms, limits, timeouts or pings.
//!
//! `peer-fastwebsockets --port P` serves `/`, `/healthz` and `/ws/echo` on 127.0.0.1.

use std::convert::Infallible;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, OpCode, WebSocketError, upgrade};
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = seaway_benches::listen().await?;
    println!(
        "peer-fastwebsockets listens on http://{}",
        listener.local_addr()?
    );

    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond));
    // A client that leaves is no error, and no response can be sent on a broken connection.
    let _ = connection.with_upgrades().await;
}

async fn respond(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/" => Response::new(Full::from("hello")),
        "/healthz" => Response::new(Full::from("ok")),
        "/ws/echo" => open(&mut request),
        _ => status(StatusCode::NOT_FOUND),
    })
}

fn open(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok((response, opened)) = upgrade::upgrade(request) else {
        return status(StatusCode::BAD_REQUEST);
    };
    tokio::spawn(async move {
        if let Ok(socket) = opened.await {
            // A new task, so that an idle socket does not keep the upgrade's state in memory.
            tokio::spawn(echo(FragmentCollector::new(socket)));
        }
    });
    response.map(|_| Full::default())
}

async fn echo<S>(mut socket: FragmentCollector<S>) -> Result<(), WebSocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        // It replies to pings and to the closing handshake by itself.
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            _ => {}
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
