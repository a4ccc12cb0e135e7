//! A WebSocket client for tests, connected to an application in memory.

use super::{
    Caller, PATIENCE, cookie_jar::CookieJar, described, explain, fail, from_json, head_of, scope,
    soon_at, start,
};
use crate::{
    application::Application,
    error::Result,
    message::{Close, Message},
    protocol::{
        HandshakeResponse, Lifetime, Opened, Origin, Outbound, Rate, Sender, Transport, Upgrade,
        WebSocket, WebSocketConfig, too_large,
    },
    rejection_log::Peer,
};
use http::{Response, StatusCode, request};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    borrow::Cow,
    fmt,
    future::Future,
    panic::Location,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::Instant,
};

/// A WebSocket client for tests, without a server.
///
/// Where a test should fail, it panics and names what it waited for.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{Channels, WebSocketConsumer, testing::WebSocketCommunicator};
/// # use seaway::{Context, Handshake, Json, NoEvent, Rejection, Result};
/// # struct Sum;
/// # impl WebSocketConsumer for Sum {
/// #     type Input = Json<[u8; 2]>;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, ctx: &mut Context, Json([a, b]): Json<[u8; 2]>) -> Result<()> {
/// #         Ok(ctx.send(Json(a + b)).await?)
/// #     }
/// # }
/// let app = Sum::application(&Channels::in_memory());
/// let mut client = WebSocketCommunicator::open(&app, http::Request::get("/"));
///
/// client.send_json(&[1, 2]).await;
/// assert_eq!(client.receive_json::<u8>().await, 3);
/// client.disconnect().await.unwrap();
/// # });
/// ```
pub struct WebSocketCommunicator {
    application: ApplicationState,
    response: HandshakeState,
    /// `None` once this client has dropped the connection.
    to_server: Option<mpsc::UnboundedSender<Result<Message, Close>>>,
    from_server: mpsc::UnboundedReceiver<FromServer>,
}

enum HandshakeState {
    Pending(oneshot::Receiver<HandshakeResponse>),
    Received(Response<Cow<'static, str>>),
}

/// A message or a close frame from the server.
#[derive(Debug)]
enum FromServer {
    Message(Message),
    Close(Close),
}

impl WebSocketCommunicator {
    /// Starts a handshake with the application.
    ///
    /// The request is usually `http::Request::get("/ws/…")` with headers.
    ///
    /// # Panics
    /// If the request is malformed.
    #[track_caller]
    pub fn open(
        application: &(impl Application<WebSocket> + Clone),
        request: request::Builder,
    ) -> Self {
        Self::open_with(application, head_of(request), None)
    }

    /// Does the same as [`open`](Self::open), with the cookies of a client.
    pub(super) fn open_with(
        application: &(impl Application<WebSocket> + Clone),
        mut head: request::Parts,
        cookies: Option<&CookieJar>,
    ) -> Self {
        let (to_server, incoming) = mpsc::unbounded_channel();
        let (outgoing, from_server) = mpsc::unbounded_channel();
        let transport = Memory::new(incoming, outgoing);
        let (mut upgrade, response) = Upgrade::new(
            Origin::of(&head.headers, &head.uri, &head.extensions),
            None,
            Peer::new(&head.uri, None),
            None,
            Box::new(|| Box::pin(async { Ok(Opened::Transport(Box::new(transport))) })),
        );
        if let Some(cookies) = cookies {
            cookies.attach::<WebSocket>(&mut head, &mut upgrade);
        }
        let task = start(application, scope(head), upgrade);
        Self {
            application: ApplicationState::Running(task),
            response: HandshakeState::Pending(response),
            to_server: Some(to_server),
            from_server,
        }
    }

    /// Returns the response to the handshake.
    ///
    /// # Panics
    /// If there is none within 5 s.
    #[track_caller]
    pub fn response(&mut self) -> impl Future<Output = &Response<Cow<'static, str>>> {
        self.response_at(Location::caller())
    }

    /// Returns the status of the response: 101 if the handshake was accepted.
    ///
    /// The reason of a 500 or 503 is in the output of a test that fails.
    ///
    /// # Panics
    /// As [`response`](Self::response).
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = StatusCode> {
        let caller = Location::caller();
        async move { self.response_at(caller).await.status() }
    }

    /// Sends a message.
    pub async fn send(&mut self, message: impl Into<Message>) {
        self.send_to_server(Ok(message.into()));
    }

    /// Sends a text message in JSON.
    ///
    /// # Panics
    /// If the value cannot be serialized.
    pub async fn send_json(&mut self, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("the value can be written as JSON");
        self.send(text).await;
    }

    /// Returns the next message.
    ///
    /// # Panics
    /// If there is none within 5 s, or the server closes or rejects the connection instead.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Message> {
        self.receive_at(Location::caller())
    }

    /// Returns the text of the next message.
    ///
    /// # Panics
    /// As [`receive`](Self::receive), and if the message is binary.
    #[track_caller]
    pub fn receive_text(&mut self) -> impl Future<Output = String> {
        self.receive_text_at(Location::caller())
    }

    /// Returns the next message, decoded from JSON.
    ///
    /// # Panics
    /// As [`receive_text`](Self::receive_text), and if the text is no `T`.
    #[track_caller]
    pub fn receive_json<T: DeserializeOwned>(&mut self) -> impl Future<Output = T> {
        let caller = Location::caller();
        async move {
            let text = self.receive_text_at(caller).await;
            from_json(caller, text.as_bytes())
        }
    }

    /// Returns the close frame with which the server closes the connection.
    ///
    /// # Panics
    /// If there is none within 5 s, or the server sends a message or rejects the connection
    /// instead.
    #[track_caller]
    pub fn receive_close(&mut self) -> impl Future<Output = Close> {
        let caller = Location::caller();
        async move {
            match self.receive_from_server(caller, "a close").await {
                FromServer::Close(close) => close,
                FromServer::Message(message) => fail(
                    caller,
                    format_args!("waited for a close and got {message:?}"),
                ),
            }
        }
    }

    /// Checks that the server sends nothing.
    ///
    /// The application runs until it is idle, which is certain only under paused time
    /// (`#[tokio::test(start_paused = true)]`).
    ///
    /// # Panics
    /// If the server sends a message or a close frame, or there is no connection: it was rejected,
    /// or the application has ended.
    #[track_caller]
    pub fn receive_nothing(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            match tokio::time::timeout(PATIENCE / 50, self.from_server.recv()).await {
                Ok(Some(received)) => fail(
                    caller,
                    format_args!("waited for nothing and got {received:?}"),
                ),
                Ok(None) => self.no_connection(caller, "nothing").await,
                Err(_) => {}
            }
        }
    }

    /// Sends a close frame, waits for the application to end, and returns its result.
    ///
    /// # Errors
    /// The error of the application.
    ///
    /// # Panics
    /// If the application does not end within 50 s, or has rejected the connection and the test has
    /// not asked for the response.
    #[track_caller]
    pub fn close(mut self, close: impl Into<Close>) -> impl Future<Output = Result<()>> {
        let caller = Location::caller();
        async move {
            self.send_to_server(Err(close.into()));
            self.ended(caller).await
        }
    }

    /// Closes with code 1000, waits for the application to end, and returns its result.
    ///
    /// # Errors
    /// The error of the application.
    ///
    /// # Panics
    /// As [`close`](Self::close).
    #[track_caller]
    pub fn disconnect(self) -> impl Future<Output = Result<()>> {
        self.close(Close::NORMAL)
    }

    /// Disconnects without a close frame (1006), waits for the application to end, and returns its
    /// result.
    ///
    /// If there is no response to the handshake yet, the handshake is abandoned.
    ///
    /// # Errors
    /// The error of the application.
    ///
    /// # Panics
    /// As [`close`](Self::close).
    #[track_caller]
    pub fn drop_connection(mut self) -> impl Future<Output = Result<()>> {
        let caller = Location::caller();
        async move {
            self.to_server = None;
            if let HandshakeState::Pending(response) = &mut self.response {
                response.close();
            }
            self.ended(caller).await
        }
    }

    pub(super) async fn response_at(&mut self, caller: Caller) -> &Response<Cow<'static, str>> {
        if let HandshakeState::Pending(response) = &mut self.response {
            match soon_at(caller, "a response to the handshake", response).await {
                Ok(response) => self.response_received(caller, response).await,
                Err(_) => {
                    let failed = self.no_response(caller).await;
                    self.response = HandshakeState::Received(failed);
                }
            }
        }
        match &self.response {
            HandshakeState::Received(response) => response,
            HandshakeState::Pending(_) => unreachable!("it was just put there"),
        }
    }

    async fn response_received(&mut self, caller: Caller, response: HandshakeResponse) {
        let response = with_text(response).await;
        explain(caller, response.status(), response.extensions());
        self.response = HandshakeState::Received(response);
    }

    /// Returns the 500 that a client gets if the application sends no response, with the
    /// application's error.
    async fn no_response(&mut self, caller: Caller) -> Response<Cow<'static, str>> {
        let why = self.described_failure(caller).await;
        let why = format!("the application sent no response{why}");
        let mut failed = Response::new(Cow::Owned(why));
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        failed
    }

    /// Describes the error of an application that is about to end; empty if it has none.
    async fn described_failure(&mut self, caller: Caller) -> String {
        match tokio::time::timeout(PATIENCE / 50, self.outcome(caller)).await {
            Ok(Err(error)) => format!(": {error:?}"),
            _ => String::new(),
        }
    }

    async fn receive_at(&mut self, caller: Caller) -> Message {
        match self.receive_from_server(caller, "a message").await {
            FromServer::Message(message) => message,
            FromServer::Close(close) => fail(
                caller,
                format_args!("waited for a message and got {close:?}"),
            ),
        }
    }

    async fn receive_text_at(&mut self, caller: Caller) -> String {
        match self.receive_at(caller).await {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => {
                let count = bytes.len();
                fail(
                    caller,
                    format_args!("waited for text and got {count} bytes"),
                )
            }
        }
    }

    async fn ended(mut self, caller: Caller) -> Result<()> {
        _ = self.outcome(caller).await;
        if let HandshakeState::Pending(response) = &mut self.response
            && let Ok(response) = response.try_recv()
        {
            self.response_received(caller, response).await;
            self.check_accepted(caller, "the end of the connection");
        }
        match self.application {
            ApplicationState::Ended(outcome) => outcome,
            ApplicationState::Running(_) => unreachable!("it was just waited for"),
        }
    }

    /// Waits for the application to end.
    async fn outcome(&mut self, caller: Caller) -> &Result<()> {
        if let ApplicationState::Running(task) = &mut self.application {
            // A handler may use its whole `grace`, and a disconnect hook its own.
            let limit = PATIENCE * 10;
            let Ok(ended) = tokio::time::timeout(limit, task).await else {
                fail(
                    caller,
                    format_args!("waited {limit:?} for the application to end"),
                );
            };
            let outcome =
                ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            self.application = ApplicationState::Ended(outcome);
        }
        match &self.application {
            ApplicationState::Ended(outcome) => outcome,
            ApplicationState::Running(_) => unreachable!("it was just waited for"),
        }
    }

    fn send_to_server(&mut self, message: Result<Message, Close>) {
        let sender = self.to_server.as_ref();
        let sender = sender.expect("`drop_connection` takes the client");
        // The send fails if the application has ended, which the next call reports.
        _ = sender.send(message);
    }

    async fn receive_from_server(&mut self, caller: Caller, what: &'static str) -> FromServer {
        if let Some(received) = soon_at(caller, what, self.from_server.recv()).await {
            return received;
        }
        self.no_connection(caller, what).await
    }

    /// Fails because there is no connection, and says why.
    async fn no_connection(&mut self, caller: Caller, what: &str) -> ! {
        self.response_at(caller).await;
        self.check_accepted(caller, what);
        let why = self.described_failure(caller).await;
        fail(
            caller,
            format_args!("waited for {what}, but the application has ended{why}"),
        )
    }

    /// Fails if the handshake was rejected.
    fn check_accepted(&self, caller: Caller, what: &str) {
        let HandshakeState::Received(response) = &self.response else {
            return;
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let rejection = described(response.status(), response.body(), response.extensions());
            fail(
                caller,
                format_args!("waited for {what}, but was rejected with {rejection}"),
            );
        }
    }
}

/// State of the application's task.
enum ApplicationState {
    Running(JoinHandle<Result<()>>),
    Ended(Result<()>),
}

/// The largest body of a rejection, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// Reads the body of a rejection.
async fn with_text(response: HandshakeResponse) -> Response<Cow<'static, str>> {
    let (head, body) = response.into_parts();
    let text = match body.to_bytes(MAX_BODY).await {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(error) => format!("the body of the response failed: {error:#}"),
    };
    Response::from_parts(head, text.into())
}

/// A transport in memory.
///
/// Its two queues have no bound: a bound would be backpressure that depends on when the test reads,
/// and a test would wait for a consumer that waits for the test. They hold at most what one test
/// sends and its consumer sends to it, and end with the test.
struct Memory {
    incoming: mpsc::UnboundedReceiver<Result<Message, Close>>,
    outgoing: mpsc::UnboundedSender<FromServer>,
    config: Arc<WebSocketConfig>,
    /// The rate of a client that is disconnected if it sends faster; no other is slowed down.
    rate: Option<Rate>,
    lifetime: Option<Box<Lifetime>>,
    /// The close of a client that has exceeded a limit, until it is sent.
    ending: Option<Close>,
}

impl Memory {
    fn new(
        incoming: mpsc::UnboundedReceiver<Result<Message, Close>>,
        outgoing: mpsc::UnboundedSender<FromServer>,
    ) -> Self {
        Self {
            incoming,
            outgoing,
            config: WebSocketConfig::shared(),
            rate: None,
            lifetime: None,
            ending: None,
        }
    }

    /// Checks a message against the limits, each message as one frame.
    fn check(&mut self, message: &Message) -> Result<(), Close> {
        let size = message.payload().len();
        if size > self.config.max_message_size {
            return Err(too_large(self.config.max_message_size));
        }
        let rate = self.rate.as_mut();
        match rate.and_then(|rate| rate.record(1, size, Instant::now())) {
            Some(_) => Err(Close::new(Close::POLICY, "the client sends too fast")),
            None => Ok(()),
        }
    }

    /// Ends the connection of a client that has exceeded a limit.
    fn end(&mut self, close: Close) -> Close {
        // The first close counts.
        if !self.incoming.is_closed() {
            self.ending = Some(close.clone());
        }
        close
    }

    fn send_close(&mut self, close: Close) {
        _ = self.outgoing.send(FromServer::Close(close));
        // The test client responds to a close immediately, as browsers do.
        self.incoming.close();
    }
}

impl Transport for Memory {
    fn configure(&mut self, config: &Arc<WebSocketConfig>) {
        self.config = config.clone();
        self.lifetime = Lifetime::new(config);
        let limit = config.rate_limit.filter(|limit| limit.closes());
        self.rate = limit.map(|limit| Rate::new(limit, Instant::now()));
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Close>> {
        let Poll::Ready(received) = self.incoming.poll_recv(cx) else {
            self.poll_timers(cx)?;
            return Poll::Pending;
        };
        let message = received.unwrap_or_else(|| Err(Close::from(Close::ABNORMAL)))?;
        if let Err(close) = self.check(&message) {
            return Poll::Ready(Err(self.end(close)));
        }
        if let Some(lifetime) = &mut self.lifetime {
            lifetime.received();
        }
        Poll::Ready(Ok(message))
    }

    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let outgoing = &self.outgoing;
        let close = sender.drain(cx, |queued| {
            while let Some(message) = queued.pop() {
                let Outbound::Plain(message) = message else {
                    unreachable!("a communicator offers no compression");
                };
                _ = outgoing.send(FromServer::Message(message));
            }
            queued.close().cloned()
        });
        if let Some(close) = close.or_else(|| self.ending.take()) {
            self.send_close(close);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        if self.incoming.is_closed() {
            return Poll::Ready(Ok(()));
        }
        self.poll_timers(cx)?;
        Poll::Pending
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        if let Some(lifetime) = &mut self.lifetime
            && let Poll::Ready(close) = lifetime.poll(self.config.idle_timeout, cx)
        {
            return Err(self.end(close));
        }
        Ok(())
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<()> {
        if let Some(close) = self.ending.take() {
            self.send_close(close);
        }
        Poll::Ready(())
    }

    fn explain(&self, failure: fmt::Arguments<'_>) {
        eprintln!("a hook failed on {failure}");
    }
}

impl fmt::Debug for WebSocketCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketCommunicator")
            .finish_non_exhaustive()
    }
}
