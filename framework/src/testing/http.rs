//! An HTTP client for tests: one request to an application, without a server.

use super::{
    Caller,
    cookie_jar::CookieJar,
    described,
    event_stream::{EventParser, ReceivedEvent},
    explain, fail, scope, soon_at, start,
};
use crate::{
    application::Application,
    error::Result,
    protocol::{Body, Exchange, Http, ResponseReceiver},
    rejection_log::Peer,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use std::{fmt, future::Future, panic::Location};
use tokio::task::JoinHandle;

/// One HTTP request for tests, without a server.
///
/// Where a test should fail, it panics and names what it waited for.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{ApplicationExt, from_service, testing::HttpCommunicator};
///
/// let web = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// let app = from_service(web).boxed();
///
/// let response = HttpCommunicator::request(&app, http::Request::get("/").body("").unwrap()).await.unwrap();
/// assert_eq!(response.body(), "hello");
/// # });
/// ```
///
/// A streamed response is read in parts:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use seaway::{ApplicationExt, Channels, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent, Rejection, Result};
/// # struct Greeter;
/// # impl HttpConsumer for Greeter {
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> { Ok(Greeter) }
/// #     async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
/// #         let events = ctx.sse().await?;
/// #         events.send("ahoy").await?;
/// #         ctx.next_event().await?;
/// #         Ok(events.end())
/// #     }
/// # }
/// # let app = Greeter::application(&Channels::in_memory());
/// use seaway::testing::HttpCommunicator;
///
/// let mut ana = HttpCommunicator::open(&app, http::Request::get("/events").body("").unwrap());
/// assert_eq!(ana.status().await, 200);
/// assert_eq!(ana.receive_event().await.data, "ahoy");
/// ana.drop_connection().await.unwrap();
/// # });
/// ```
pub struct HttpCommunicator {
    task: Option<JoinHandle<Result<()>>>,
    response: ResponseState,
    events: EventParser,
}

enum ResponseState {
    Pending(ResponseReceiver),
    Received(Response<()>, Body),
}

/// Maximum size in bytes of a response body that [`HttpCommunicator::request`] reads (64 MiB).
const LIMIT: usize = 64 * 1024 * 1024;

impl HttpCommunicator {
    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// The error of the application if it sends no response, or of the response body.
    ///
    /// # Panics
    /// If the head, or the body after it, does not arrive within 5 s.
    #[track_caller]
    pub fn request<B: Into<Body>>(
        application: &(impl Application<Http> + Clone),
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Bytes>>> {
        let caller = Location::caller();
        async move { Self::open(application, request).complete(caller).await }
    }

    /// Sends a request whose response is read in parts.
    pub fn open<B: Into<Body>>(
        application: &(impl Application<Http> + Clone),
        request: Request<B>,
    ) -> Self {
        Self::open_with(application, request.map(Into::into), None)
    }

    /// Does the same as [`open`](Self::open), with the cookies of a client.
    pub(super) fn open_with(
        application: &(impl Application<Http> + Clone),
        request: Request<Body>,
        cookies: Option<&CookieJar>,
    ) -> Self {
        let (mut head, body) = request.into_parts();
        let (mut exchange, response) = Exchange::new(body, Peer::new(&head.uri, None), None);
        if let Some(cookies) = cookies {
            cookies.attach::<Http>(&mut head, &mut exchange);
        }
        let task = start(application, scope(head), exchange);
        Self {
            task: Some(task),
            response: ResponseState::Pending(response),
            events: EventParser::default(),
        }
    }

    /// Returns the head of the response.
    ///
    /// # Panics
    /// If there is none within 5 s.
    #[track_caller]
    pub fn response(&mut self) -> impl Future<Output = &Response<()>> {
        self.response_at(Location::caller())
    }

    /// Returns the status of the response.
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

    /// Returns the next part of the response body; `None` at its end.
    ///
    /// # Panics
    /// If nothing arrives within 5 s, or the response is incomplete.
    #[track_caller]
    pub fn receive(&mut self) -> impl Future<Output = Option<Bytes>> {
        let caller = Location::caller();
        async move { self.receive_at(caller).await }
    }

    /// Reads the rest of a response that the server aborts.
    ///
    /// # Panics
    /// If nothing arrives within 5 s, or the response is complete.
    #[track_caller]
    pub fn receive_aborted(&mut self) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            loop {
                match self.receive_piece(caller).await {
                    Ok(Some(_)) => {}
                    Ok(None) => fail(
                        caller,
                        "waited for an incomplete response, but it is complete",
                    ),
                    Err(_) => return,
                }
            }
        }
    }

    /// Returns the next server-sent event, and skips comments.
    ///
    /// # Panics
    /// As [`receive`](Self::receive), and if the stream ends, or the response is no event stream.
    #[track_caller]
    pub fn receive_event(&mut self) -> impl Future<Output = ReceivedEvent> {
        let caller = Location::caller();
        async move {
            if !is_event_stream(self.response_at(caller).await) {
                let response = self.described(caller).await;
                fail(
                    caller,
                    format_args!("waited for an event and got {response}"),
                );
            }
            loop {
                if let Some(event) = self.events.next() {
                    return event;
                }
                match self.receive_at(caller).await {
                    Some(piece) => self.events.feed(&piece),
                    None => fail(caller, "waited for an event, but the stream has ended"),
                }
            }
        }
    }

    /// Disconnects, waits for the application to end, and returns its result.
    ///
    /// If the consumer has not responded yet, its `disconnect` runs in a separate task, as in a
    /// server.
    ///
    /// # Errors
    /// The error of the application.
    ///
    /// # Panics
    /// If the application does not end within 5 s.
    #[track_caller]
    pub fn drop_connection(mut self) -> impl Future<Output = Result<()>> {
        let caller = Location::caller();
        async move {
            let task = self.task.take();
            let task = task.expect("only this takes it");
            if !self.has_response() {
                task.abort();
            }
            drop(self);
            match soon_at(caller, "the end of the application", task).await {
                Ok(ended) => ended,
                Err(stopped) if stopped.is_cancelled() => Ok(()),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
    }

    /// Reads the whole response.
    pub(super) async fn complete(mut self, caller: Caller) -> Result<Response<Bytes>> {
        self.wait_for_response(caller).await?;
        let ResponseState::Received(head, body) = &mut self.response else {
            unreachable!("it was just waited for");
        };
        let body = std::mem::take(body).to_bytes(LIMIT);
        let head = std::mem::take(head);
        let body = soon_at(caller, "the end of the response", body).await?;
        Ok(head.map(|()| body))
    }

    /// Returns whether there is a response, read or not.
    fn has_response(&mut self) -> bool {
        match &mut self.response {
            ResponseState::Pending(response) => response.try_recv().is_ok(),
            ResponseState::Received(..) => true,
        }
    }

    async fn response_at(&mut self, caller: Caller) -> &Response<()> {
        if let Err(error) = self.wait_for_response(caller).await {
            fail(
                caller,
                format_args!("expected a response and got {error:?}"),
            );
        }
        match &self.response {
            ResponseState::Received(head, _) => head,
            ResponseState::Pending(_) => unreachable!("it was just waited for"),
        }
    }

    async fn receive_at(&mut self, caller: Caller) -> Option<Bytes> {
        match self.receive_piece(caller).await {
            Ok(piece) => piece,
            Err(error) => fail(
                caller,
                format_args!("the response is incomplete: {error:?}"),
            ),
        }
    }

    /// Describes the complete response.
    async fn described(&mut self, caller: Caller) -> String {
        let mut text = String::new();
        while let Some(piece) = self.receive_at(caller).await {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        let head = self.response_at(caller).await;
        described(head.status(), &text, head.extensions())
    }

    async fn wait_for_response(&mut self, caller: Caller) -> Result<()> {
        let ResponseState::Pending(receiver) = &mut self.response else {
            return Ok(());
        };
        let Ok(response) = soon_at(caller, "a response", receiver).await else {
            let task = self.task.take();
            let task = task.expect("only the end takes it");
            let ended = soon_at(caller, "the end of the application", task).await;
            let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            ended?;
            fail(caller, "the application ended without a response");
        };
        let (head, body) = response.into_parts();
        explain(caller, head.status, &head.extensions);
        self.response = ResponseState::Received(Response::from_parts(head, ()), body);
        Ok(())
    }

    async fn receive_piece(&mut self, caller: Caller) -> Result<Option<Bytes>> {
        self.wait_for_response(caller).await?;
        let ResponseState::Received(_, body) = &mut self.response else {
            unreachable!("it was just waited for");
        };
        while let Some(frame) = soon_at(caller, "a part of the body", body.frame()).await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

fn is_event_stream(head: &Response<()>) -> bool {
    let kind = head.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// Aborts the application if there is no response yet, as for a client that disconnects.
impl Drop for HttpCommunicator {
    fn drop(&mut self) {
        let has_response = self.has_response();
        if let (Some(task), false) = (&self.task, has_response) {
            task.abort();
        }
    }
}

impl fmt::Debug for HttpCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCommunicator").finish_non_exhaustive()
    }
}
