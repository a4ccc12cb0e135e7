//! The common peer: an axum server as axum's users write one.
//!
//! It follows axum's own chat and echo examples: `axum::serve`, `ws` with its default settings, a
//! tokio broadcast per room, a split socket with a task for each half, and `Sse` with its
//! keep-alive. It differs from those examples in two favourable points: TCP_NODELAY is set, as the
//! figures would otherwise be those of Nagle's algorithm; and a member joins its room before the
//! handshake response.
//!
//! `peer-axum --port P` serves the arena's routes on 127.0.0.1. With `--redis URL`, its rooms span
//! all its processes on that Redis.

mod rooms;

use std::{convert::Infallible, io, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{
        Path, State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{any, get, post},
    serve::ListenerExt,
};
use futures_util::{SinkExt, Stream, StreamExt, stream};
use tokio::sync::broadcast;

use crate::rooms::{Room, Rooms};

#[tokio::main]
async fn main() -> io::Result<()> {
    let rooms = match seaway_benches::argument("--redis") {
        Some(url) => Rooms::over_redis(&url).await.map_err(io::Error::other)?,
        None => Rooms::in_memory(),
    };
    let listener = seaway_benches::listen().await?;
    println!("peer-axum listens on http://{}", listener.local_addr()?);

    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/healthz", get(|| async { "ok" }))
        .route("/body", post(|body: Bytes| async { body }))
        .route("/events/room/{name}", get(events))
        .route("/ws/echo", any(echo))
        .route("/ws/room/{name}", any(room))
        .with_state(rooms);
    let listener = listener.tap_io(|stream| {
        // The first read of a closed stream reports the error.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn room(
    upgrade: WebSocketUpgrade,
    Path(name): Path<String>,
    State(rooms): State<Rooms>,
) -> Result<Response, StatusCode> {
    let room = open(&rooms, &name).await?;
    let texts = room.subscribe();
    Ok(upgrade.on_upgrade(|socket| member(socket, room, texts)))
}

async fn events(
    Path(name): Path<String>,
    State(rooms): State<Rooms>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    let texts = open(&rooms, &name).await?.subscribe();
    let events = stream::unfold(texts, |mut texts| async {
        let text = next(&mut texts).await?;
        Some((Ok(Event::default().data(text.as_str())), texts))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

async fn open(rooms: &Rooms, name: &str) -> Result<Arc<Room>, StatusCode> {
    let room = rooms.open(name).await;
    room.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
}

async fn member(socket: WebSocket, room: Arc<Room>, mut texts: broadcast::Receiver<Utf8Bytes>) {
    let (mut sender, mut receiver) = socket.split();

    let mut send_task = tokio::spawn(async move {
        while let Some(text) = next(&mut texts).await {
            if sender.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    });
    let mut receive_task = tokio::spawn(async move {
        while let Some(Ok(message)) = receiver.next().await {
            if let Message::Text(text) = message
                && room.send(text).await.is_err()
            {
                return;
            }
        }
    });

    tokio::select! {
        _ = &mut send_task => receive_task.abort(),
        _ = &mut receive_task => send_task.abort(),
    }
}

async fn next(texts: &mut broadcast::Receiver<Utf8Bytes>) -> Option<Utf8Bytes> {
    loop {
        match texts.recv().await {
            Ok(text) => return Some(text),
            // Missed messages are lost; the load generator counts them.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}
