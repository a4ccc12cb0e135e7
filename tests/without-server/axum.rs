//! Tests of consumers in an axum app that axum serves, with the feature `server` off.

use axum::{Router, routing::get};
use futures_util::{SinkExt, StreamExt};
use seaway::{
    Channels, Close, Context, Event, Group, HttpConsumer, HttpContext, HttpResponse, Json, Result,
    Shared, WebSocketConsumer, consumer, http::StatusCode,
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};

/// The timeout of anything that should happen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[group("chat")]
    room: Group<ChatEvent>,
}

#[consumer]
impl Chat {
    async fn receive(&mut self, ctx: &mut Context<ChatEvent>, text: String) -> Result<()> {
        match text.as_str() {
            "leave" => Ok(ctx.close(Close::new(4000, "as requested"))?),
            _ => Ok(self.room.send(&ChatEvent::Message { text }).await?),
        }
    }

    #[on("chat.message")]
    async fn message(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}

/// Long polling: the next message of the room.
#[derive(HttpConsumer)]
struct Next {
    #[group("chat")]
    _room: Group<ChatEvent>,
}

#[consumer]
impl Next {
    async fn handle(&mut self, ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
        match ctx.next_event().await? {
            Some(event) => ctx.response(Json(event)),
            None => ctx.response(StatusCode::NO_CONTENT),
        }
    }
}

/// Serves the app with axum, and returns its address.
async fn serve(channels: &Channels) -> SocketAddr {
    let app = Router::new()
        .route("/", get(async || "an axum handler"))
        .route_service("/ws", Chat::application(channels))
        .route_service("/next", Next::application(channels));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn connect(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, response) = client_async(format!("ws://{address}/ws"), stream)
        .await
        .unwrap();
    assert_eq!(response.status(), 101);
    client
}

async fn receive(client: &mut WebSocketStream<TcpStream>) -> Message {
    let received = timeout(PATIENCE, client.next()).await.expect("in time");
    received.expect("the connection is open").unwrap()
}

/// Returns the body of the response to a GET request, whose length it has.
async fn get_text(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    read.expect("a response in time").unwrap();
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

#[tokio::test]
async fn websocket_consumers_run_in_an_axum_app_without_seaways_server() {
    let channels = Channels::in_memory();
    let address = serve(&channels).await;
    let (mut ana, mut bo) = (connect(address).await, connect(address).await);

    ana.send("ahoy".into()).await.unwrap();
    for client in [&mut ana, &mut bo] {
        let event = receive(client).await.into_text().unwrap();
        assert_eq!(event, r#"{"type":"chat.message","text":"ahoy"}"#);
    }

    bo.send("leave".into()).await.unwrap();
    let close = CloseFrame {
        code: 4000.into(),
        reason: "as requested".into(),
    };
    assert_eq!(receive(&mut bo).await, Message::Close(Some(close)));
    assert_eq!(get_text(address, "/").await, "an axum handler");
}

#[tokio::test]
async fn http_consumers_run_in_an_axum_app_without_seaways_server() {
    let channels = Channels::in_memory();
    let address = serve(&channels).await;

    let waiting = tokio::spawn(async move { get_text(address, "/next").await });
    let room = channels.group("chat").unwrap();
    let joined = async {
        while channels.local_members(&room).unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, joined).await.expect("a member in time");
    let text = "ahoy".to_owned();
    room.send(&ChatEvent::Message { text }).await.unwrap();

    let event = waiting.await.unwrap();
    assert_eq!(event, r#"{"type":"chat.message","text":"ahoy"}"#);
}
