//! What these tests share: consumers to talk to, a real server, and waiting without sleeping.

use futures_util::{SinkExt, StreamExt};
use seaway::{
    Application, ApplicationExt, BoxApplication, Channels, Close, Context, Error, Handshake,
    Message, NoEvent, Rejection, Result, WebSocketConsumer, application_fn, protocol::WebSocket,
    serve,
};
use std::{
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

/// How long anything that should happen may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Says what it hears.
pub(crate) struct Echo;

impl WebSocketConsumer for Echo {
    type Input = Message;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Echo)
    }

    async fn receive(&mut self, ctx: &mut Context, frame: Message) -> Result<()> {
        ctx.send(frame).await
    }
}

pub(crate) fn echo() -> seaway::consumer::ConsumerApplication<Echo> {
    Echo::application(&Channels::in_memory())
}

/// What consumers note for the test to look at.
#[derive(Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until the diary holds `count` entries.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        eventually(|| {
            let entries = self.entries();
            (entries.len() >= count).then_some(entries)
        })
        .await
    }
}

/// Asks again and again until there is an answer, for as long as patience lasts.
pub(crate) async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        loop {
            pause.tick().await;
            if let Some(answer) = ask() {
                return answer;
            }
        }
    };
    let answer = timeout(PATIENCE, asking).await;
    answer.expect("it should have happened by now")
}

/// A server on a port of its own, stopped on request.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
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

    /// Tells the server to stop; the returned task ends when it has.
    pub(crate) fn stop(mut self) -> JoinHandle<Result<()>> {
        drop(self.stop.take());
        self.task
    }
}

/// Reads until this has come.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&answer).contains(end) {
            let count = stream.read_buf(&mut answer).await.unwrap();
            assert!(count > 0, "it ended: {}", String::from_utf8_lossy(&answer));
        }
    };
    timeout(PATIENCE, reading).await.expect(end);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) type Client = WebSocketStream<TcpStream>;

/// A real WebSocket client.
pub(crate) async fn connect(address: SocketAddr, path: &str) -> Client {
    try_connect(address, path, &[]).await.expect("a WebSocket")
}

/// A client whose kernel keeps little of what it does not read.
pub(crate) async fn connect_with_little_room(address: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let (client, _) = client_async(format!("ws://{address}/"), stream)
        .await
        .unwrap();
    client
}

/// A real WebSocket client; the status if the server refuses it.
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
    match opened.expect("an answer to the handshake") {
        Ok((client, _)) => Ok(client),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) async fn say(client: &mut Client, text: &str) {
    client.send(Message::text(text)).await.unwrap();
}

pub(crate) async fn hear(client: &mut Client) -> String {
    match next(client).await {
        Message::Text(text) => text.to_string(),
        other => panic!("waited for text and got {other:?}"),
    }
}

/// How the server ended the conversation.
pub(crate) async fn farewell(client: &mut Client) -> Close {
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

/// Middleware that drops the conversation once it is told to, as a time-out does.
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

/// An error of the test's own.
pub(crate) fn trouble() -> Error {
    Error::user("the database is on fire")
}
