//! One request for tests, without a server.

use super::{
    event_stream::{EventStream, ReceivedEvent},
    soon,
};
use crate::{
    application::{Application, BoxApplication},
    error::Result,
    protocol::{Body, Exchange, Http, Reply},
    scope::Scope,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::fmt;
use tokio::task::JoinHandle;

/// One request for tests, without a server. It panics, with what it waited for, where a test should fail.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{ApplicationExt, from_service, testing::HttpCommunicator};
///
/// let pages = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// let app = from_service(pages).boxed();
///
/// let response = HttpCommunicator::request(&app, http::Request::get("/").body("").unwrap()).await.unwrap();
/// assert_eq!(response.body(), "hello");
/// # });
/// ```
///
/// An answer that is streamed is read piece by piece:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # use seaway::{Answer, ApplicationExt, Channels, HttpConsumer, HttpContext, HttpHandshake, NoEvent, Reject, Result};
/// # struct Greeter;
/// # impl HttpConsumer for Greeter {
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut HttpHandshake) -> Result<Self, Reject> { Ok(Greeter) }
/// #     async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Answer> {
/// #         let events = ctx.sse().await?;
/// #         events.send("ahoy").await?;
/// #         ctx.next_event().await;
/// #         Ok(events.end())
/// #     }
/// # }
/// # let app = Greeter::application(&Channels::in_memory()).boxed();
/// use seaway::testing::HttpCommunicator;
///
/// let mut ana = HttpCommunicator::open(&app, http::Request::get("/events").body("").unwrap());
/// assert_eq!(ana.status().await, 200);
/// assert_eq!(ana.receive_event().await.data, "ahoy");
/// ana.vanish().await.unwrap();
/// # });
/// ```
pub struct HttpCommunicator {
    conversation: Option<JoinHandle<Result<()>>>,
    answer: Answered,
    events: EventStream,
}

enum Answered {
    NotYet(Reply),
    Got(Response<()>, Body),
}

/// No test reads more.
const LIMIT: usize = 64 * 1024 * 1024;

impl HttpCommunicator {
    /// Sends a request and reads the whole response.
    ///
    /// # Errors
    /// Whatever the application failed with instead of answering.
    ///
    /// # Panics
    /// If no answer comes within 5 s.
    pub async fn request<B: Into<Body>>(
        application: &BoxApplication<Http>,
        request: Request<B>,
    ) -> Result<Response<Bytes>> {
        let mut client = Self::open(application, request);
        client.wait_for_answer().await?;
        let Answered::Got(head, body) = &mut client.answer else {
            unreachable!("it was just waited for");
        };
        let body = std::mem::take(body).to_bytes(LIMIT);
        let head = std::mem::take(head);
        let body = soon("the end of the response", body).await?;
        Ok(head.map(|()| body))
    }

    /// Sends a request whose answer is read step by step.
    pub fn open<B: Into<Body>>(application: &BoxApplication<Http>, request: Request<B>) -> Self {
        let (head, body) = request.into_parts();
        let (exchange, reply) = Exchange::new(body.into(), None);
        let application = application.clone();
        let conversation =
            tokio::spawn(async move { application.call(Scope::new(head), exchange).await });
        Self {
            conversation: Some(conversation),
            answer: Answered::NotYet(reply),
            events: EventStream::default(),
        }
    }

    /// The head of the answer.
    ///
    /// # Panics
    /// If none comes within 5 s.
    pub async fn reply(&mut self) -> &Response<()> {
        let answer = self.wait_for_answer().await;
        answer.expect("the application answers");
        match &self.answer {
            Answered::Got(head, _) => head,
            Answered::NotYet(_) => unreachable!("it was just waited for"),
        }
    }

    /// The status of the answer.
    ///
    /// # Panics
    /// As [`reply`](Self::reply).
    pub async fn status(&mut self) -> StatusCode {
        self.reply().await.status()
    }

    /// The next piece of the answer's body; `None` at its end.
    ///
    /// # Panics
    /// If nothing comes within 5 s, or the answer is cut off.
    pub async fn receive(&mut self) -> Option<Bytes> {
        self.receive_piece().await.expect("the answer is whole")
    }

    /// Reads on to the end of an answer that is cut off.
    ///
    /// # Panics
    /// If it does not come within 5 s, or the answer is whole.
    pub async fn receive_cut_off(&mut self) {
        loop {
            match self.receive_piece().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the answer is whole"),
                Err(_) => return,
            }
        }
    }

    /// The next server-sent event; comments are passed over.
    ///
    /// # Panics
    /// As [`receive`](Self::receive), and if the stream ends.
    pub async fn receive_event(&mut self) -> ReceivedEvent {
        loop {
            if let Some(event) = self.events.next() {
                return event;
            }
            let piece = self.receive().await;
            self.events.feed(&piece.expect("the stream goes on"));
        }
    }

    /// Leaves, and waits for the application to end; what it returned is the result.
    ///
    /// The `disconnect` of a consumer that was still waiting runs in a task of its own, as behind a server.
    ///
    /// # Errors
    /// Whatever a handler failed with.
    ///
    /// # Panics
    /// If the application does not end within 5 s.
    pub async fn vanish(mut self) -> Result<()> {
        let conversation = self.conversation.take();
        let conversation = conversation.expect("only this takes it");
        if let Answered::NotYet(_) = self.answer {
            conversation.abort();
        }
        drop(self);
        match soon("the end of the application", conversation).await {
            Ok(ended) => ended,
            Err(stopped) if stopped.is_cancelled() => Ok(()),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    async fn wait_for_answer(&mut self) -> Result<()> {
        let Answered::NotYet(reply) = &mut self.answer else {
            return Ok(());
        };
        let Ok(response) = soon("a response", reply).await else {
            let conversation = self.conversation.take();
            let ended = conversation.expect("only the end takes it").await;
            let ended = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            ended?;
            panic!("the application ended without an answer");
        };
        let (head, body) = response.into_parts();
        self.answer = Answered::Got(Response::from_parts(head, ()), body);
        Ok(())
    }

    async fn receive_piece(&mut self) -> Result<Option<Bytes>> {
        self.wait_for_answer().await?;
        let Answered::Got(_, body) = &mut self.answer else {
            unreachable!("it was just waited for");
        };
        while let Some(frame) = soon("a piece of the answer", body.frame()).await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// One that is dropped before it was answered has left.
impl Drop for HttpCommunicator {
    fn drop(&mut self) {
        if let (Some(conversation), Answered::NotYet(_)) = (&self.conversation, &self.answer) {
            conversation.abort();
        }
    }
}

impl fmt::Debug for HttpCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCommunicator").finish_non_exhaustive()
    }
}
