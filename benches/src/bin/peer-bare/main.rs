//! The lower bound: hyper and tokio-tungstenite without a framework.
//!
//! It is optimized as far as these crates allow: 4 KiB buffers instead of 128 KiB, TCP_NODELAY, one
//! task per connection that keeps nothing of the request, payloads shared between the members of a
//! room and encoded as an event once, and one write for everything queued for a socket. It has no
//! limits, timeouts or pings, so it shows the cost of the libraries themselves.
//!
//! `peer-bare --port P` serves the arena's routes on 127.0.0.1.

mod http;
mod room;
mod socket;
mod stream;

use std::sync::Arc;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::room::Rooms;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = seaway_benches::listen().await?;
    println!("peer-bare listens on http://{}", listener.local_addr()?);

    let rooms = Arc::new(Rooms::default());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, Arc::clone(&rooms)));
    }
}

async fn serve(stream: TcpStream, rooms: Arc<Rooms>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| http::respond(request, Arc::clone(&rooms)));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // A client that leaves is no error, and no response can be sent on a broken connection.
    let _ = connection.with_upgrades().await;
}
