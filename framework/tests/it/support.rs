//! Helpers of these tests: consumers, a real server, and waiting without sleeping.

use futures_util::{SinkExt, StreamExt};
use seaway::{
    Application, ApplicationExt, BoxApplication, Channels, Close, Context, Error, Handshake,
    NoEvent, Rejection, Result, WebSocketConsumer, application_fn, protocol::WebSocket, serve,
};
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, protocol::CloseFrame},
};

/// The timeout of anything that should happen, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A consumer that echoes every message.
pub(crate) struct Echo;

impl WebSocketConsumer for Echo {
    type Input = seaway::Message;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Echo)
    }

    async fn receive(&mut self, ctx: &mut Context, message: seaway::Message) -> Result<()> {
        Ok(ctx.send(message).await?)
    }
}

pub(crate) fn echo() -> seaway::consumer::ConsumerApplication<Echo> {
    Echo::application(&Channels::in_memory())
}

/// Entries that consumers record for the test.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    pub(crate) fn record(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Waits until there are `count` entries.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        eventually(|| {
            let entries = self.entries();
            (entries.len() >= count).then_some(entries)
        })
        .await
    }
}

/// A consumer that records the code with which its connection ended, in the [`Recorder`] of its
/// state.
pub(crate) struct CloseRecorder(Recorder);

impl WebSocketConsumer for CloseRecorder {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }

    async fn disconnect(self, close: Close) {
        self.0.record(close.code.to_string());
    }
}

/// Polls `ask` until it returns a value, for at most [`PATIENCE`].
pub(crate) async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        loop {
            pause.tick().await;
            if let Some(response) = ask() {
                return response;
            }
        }
    };
    let response = timeout(PATIENCE, asking).await;
    response.expect("it should have happened by now")
}

/// A server on its own port, stopped on request.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Server {
    pub(crate) async fn start<S, B>(app: S) -> Self
    where
        S: tower::Service<
                http::Request<seaway::protocol::Body>,
                Response = http::Response<B>,
                Error = std::convert::Infallible,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<seaway::BoxError>,
    {
        Self::configured(app, |server| server).await
    }

    pub(crate) async fn configured<S, B>(
        app: S,
        configure: impl FnOnce(seaway::Serve<S>) -> seaway::Serve<S>,
    ) -> Self
    where
        S: tower::Service<
                http::Request<seaway::protocol::Body>,
                Response = http::Response<B>,
                Error = std::convert::Infallible,
            > + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<seaway::BoxError>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = configure(serve(listener, app).stop_on(async {
            _ = stopped.await;
        }));
        Self {
            address,
            stop: Some(stop),
            task: tokio::spawn(server.into_future()),
        }
    }

    /// Stops the server; the returned task ends when it has stopped.
    pub(crate) fn stop(mut self) -> JoinHandle<Result<(), Error>> {
        drop(self.stop.take());
        self.task
    }
}

/// Waits until a server, or another task, has ended without an error.
pub(crate) async fn ended<E: fmt::Debug>(task: JoinHandle<Result<(), E>>) {
    let outcome = timeout(PATIENCE, task).await.expect("it ends in time");
    let outcome = outcome.expect("it does not panic");
    outcome.expect("it ends without an error");
}

/// Reads until `end` has arrived.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut response = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&response).contains(end) {
            let count = stream.read_buf(&mut response).await.unwrap();
            assert!(
                count > 0,
                "it ended: {}",
                String::from_utf8_lossy(&response)
            );
        }
    };
    timeout(PATIENCE, reading).await.expect(end);
    String::from_utf8_lossy(&response).into_owned()
}

pub(crate) type Client = WebSocketStream<TcpStream>;

/// Connects a real WebSocket client.
pub(crate) async fn connect(address: SocketAddr, path: &str) -> Client {
    try_connect(address, path, &[]).await.expect("a WebSocket")
}

/// Connects a client with a small receive buffer.
pub(crate) async fn connect_with_little_room(address: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (client, _) = client_async(format!("ws://{address}/"), stream)
        .await
        .unwrap();
    client
}

/// Connects a real WebSocket client; the status if the server rejects it.
pub(crate) async fn try_connect(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<Client, u16> {
    let mut request = format!("ws://{address}{path}")
        .into_client_request()
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let opened = timeout(PATIENCE, client_async(request, stream)).await;
    match opened.expect("an response to the handshake") {
        Ok((client, _)) => Ok(client),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn send_text(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
}

pub(crate) async fn next_text(client: &mut Client) -> String {
    match next(client).await {
        Message::Text(text) => text.to_string(),
        other => panic!("waited for text and got {other:?}"),
    }
}

/// Returns the close frame of the server.
pub(crate) async fn next_close(client: &mut Client) -> Close {
    loop {
        match next(client).await {
            Message::Close(Some(CloseFrame { code, reason })) => {
                return Close::new(code.into(), reason.as_str());
            }
            Message::Close(None) => return Close::from(Close::NO_STATUS),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("waited for a close and got {other:?}"),
        }
    }
}

pub(crate) async fn next(client: &mut Client) -> Message {
    let message = timeout(PATIENCE, client.next()).await;
    let message = message.expect("a message").expect("no end yet");
    message.expect("no error")
}

/// Wraps an app in middleware that drops its future on request, as a timeout does.
pub(crate) fn cut_short(
    app: &BoxApplication<WebSocket>,
    end: &Arc<Notify>,
) -> BoxApplication<WebSocket> {
    let (app, end) = (app.clone(), end.clone());
    let impatient = move |scope, upgrade| {
        let (app, end) = (app.clone(), end.clone());
        async move {
            tokio::select! {
                outcome = app.call(scope, upgrade) => outcome,
                () = end.notified() => Ok(()),
            }
        }
    };
    application_fn(impatient).boxed()
}

/// Returns a user error.
pub(crate) fn trouble() -> Error {
    Error::user("the database is on fire")
}
