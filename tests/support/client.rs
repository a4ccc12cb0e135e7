//! A well-behaved WebSocket client.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::HeaderValue;
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message, Utf8Bytes,
        client::IntoClientRequest,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::wait::DEADLINE;

/// An open WebSocket.
#[derive(Debug)]
pub struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// Connects to a path on a loopback port.
    ///
    /// # Panics
    /// If the server rejects the handshake or does not respond.
    pub async fn connect(port: u16, path: &str) -> Self {
        Self::connect_with(port, path, &[]).await
    }

    /// Connects with more headers in the handshake.
    ///
    /// # Panics
    /// If the server rejects the handshake or does not respond.
    pub async fn connect_with(port: u16, path: &str, headers: &[(&'static str, &str)]) -> Self {
        let url = format!("ws://127.0.0.1:{port}{path}");
        let mut request = url.into_client_request().expect("a valid URL");
        for (name, value) in headers {
            let value = HeaderValue::try_from(*value).expect("a valid value");
            request.headers_mut().append(*name, value);
        }
        let open = async {
            let socket = TcpStream::connect(("127.0.0.1", port))
                .await
                .expect("the server listens");
            client_async(request, socket).await
        };
        match timeout(DEADLINE, open)
            .await
            .expect("the server answers the handshake")
        {
            Ok((socket, _)) => Self(socket),
            Err(error) => panic!("{path} was refused: {error}"),
        }
    }

    /// Sends a text.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn send(&mut self, text: &str) {
        self.0
            .send(Message::text(text))
            .await
            .expect("the connection is open");
    }

    /// Sends a ping and waits for its pong.
    ///
    /// # Panics
    /// If another message than pings and pongs arrives, the connection ends, or no pong arrives in
    /// time.
    pub async fn answers_ping(&mut self) {
        const PAYLOAD: &[u8] = b"still here";
        let ping = Message::Ping(PAYLOAD.into());
        self.0.send(ping).await.expect("the connection is open");
        let pong = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Pong(payload))) if payload == PAYLOAD => return,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("instead of a pong came {other:?}"),
                }
            }
        };
        timeout(DEADLINE, pong).await.expect("a pong in time");
    }

    /// Sends a text, and returns whether the connection is open.
    pub async fn try_send(&mut self, text: &str) -> bool {
        self.0.send(Message::text(text)).await.is_ok()
    }

    /// Sends a value as JSON.
    pub async fn send_json(&mut self, value: &Value) {
        self.send(&value.to_string()).await;
    }

    /// Returns the next text.
    ///
    /// # Panics
    /// If the connection ends, or nothing arrives in time.
    pub async fn text(&mut self) -> String {
        self.text_within(DEADLINE)
            .await
            .expect("a text from the server")
    }

    /// Returns the next text, or the code with which the connection was closed, if either arrives
    /// in time.
    pub async fn next_within(&mut self, limit: Duration) -> Option<Result<String, Option<u16>>> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(Some(frame)))) => return Err(Some(frame.code.into())),
                    _ => return Err(None),
                }
            }
        };
        timeout(limit, next).await.ok()
    }

    /// Returns the next text, if one arrives in time.
    ///
    /// # Panics
    /// If the connection ends.
    pub async fn text_within(&mut self, limit: Duration) -> Option<String> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return text.to_string(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("instead of a text came {other:?}"),
                }
            }
        };
        timeout(limit, next).await.ok()
    }

    /// Returns the next text that is a JSON object of this `type`; skips others.
    pub async fn json(&mut self, kind: &str) -> Value {
        loop {
            let value: Value =
                serde_json::from_str(&self.text().await).expect("JSON from the server");
            if value["type"] == kind {
                return value;
            }
        }
    }

    /// Sends a text and waits for its echo.
    pub async fn echoes(&mut self, text: &str) {
        self.send(text).await;
        assert_eq!(self.text().await, text);
    }

    /// Starts the closing handshake with 1000, waits until the connection has ended, and returns
    /// the code of the server's reply; skips texts before it.
    ///
    /// # Panics
    /// If the connection ends without a close frame, or not in time.
    pub async fn close(mut self) -> u16 {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::default(),
        };
        // A server that has closed the connection is found at the next read.
        _ = self.0.close(Some(frame)).await;
        self.closed().await.0
    }

    /// Waits for the close frame, replies to it and closes; skips texts before it.
    ///
    /// # Panics
    /// If the connection ends without one.
    pub async fn closed(self) -> (u16, String) {
        self.closed_within(DEADLINE).await
    }

    /// Does the same, with a deadline.
    ///
    /// # Panics
    /// If the connection ends without a close frame, or does not end in time.
    pub async fn closed_within(mut self, limit: Duration) -> (u16, String) {
        let end = async {
            let mut close = None;
            // Further reads send our half of the closing handshake.
            while let Some(Ok(message)) = self.0.next().await {
                if let Message::Close(frame) = message {
                    close = frame;
                }
            }
            close.expect("a close frame before the end")
        };
        let frame = timeout(limit, end).await.expect("the end in time");
        (frame.code.into(), frame.reason.to_string())
    }
}
