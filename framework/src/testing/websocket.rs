//! A client for tests: speaks to a WebSocket application in memory.

use super::{PATIENCE, soon};
use crate::{
    application::{Application, BoxApplication},
    error::Result,
    frame::{Close, Frame},
    protocol::{Answer, Origin, Sender, Transport, Upgrade, WebSocket},
    scope::Scope,
};
use http::{Response, StatusCode, request};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    borrow::Cow,
    fmt,
    task::{Context, Poll, ready},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// A client for tests. It panics, with what it waited for, where a test should fail.
///
/// See [`testing`](super) for an example.
pub struct WebSocketCommunicator {
    conversation: JoinHandle<Result<()>>,
    answer: Answered,
    /// What this client says; gone once it has left.
    said: Option<mpsc::UnboundedSender<Result<Frame, Close>>>,
    heard: mpsc::UnboundedReceiver<Heard>,
}

enum Answered {
    NotYet(oneshot::Receiver<Answer>),
    Got(Answer),
}

/// What a server sends.
#[derive(Debug)]
enum Heard {
    Frame(Frame),
    Close(Close),
}

impl WebSocketCommunicator {
    /// Asks to come in. The request is usually `http::Request::get("/ws/…")` with headers.
    ///
    /// # Panics
    /// If the request is malformed.
    #[track_caller]
    pub fn open(application: &BoxApplication<WebSocket>, request: request::Builder) -> Self {
        let request = request.body(()).expect("the request is well formed");
        let (head, ()) = request.into_parts();
        let (said, incoming) = mpsc::unbounded_channel();
        let (outgoing, heard) = mpsc::unbounded_channel();
        let transport = Memory { incoming, outgoing };
        let (upgrade, answer) = Upgrade::new(
            Origin::of(&head.headers, &head.uri),
            None,
            Box::new(|_| Box::pin(async { Ok::<Box<dyn Transport>, _>(Box::new(transport)) })),
        );
        let application = application.clone();
        let conversation =
            tokio::spawn(async move { application.call(Scope::new(head), upgrade).await });
        Self {
            conversation,
            answer: Answered::NotYet(answer),
            said: Some(said),
            heard,
        }
    }

    /// The answer to the handshake.
    pub async fn reply(&mut self) -> &Response<Cow<'static, str>> {
        if let Answered::NotYet(answer) = &mut self.answer {
            let answer = soon("an answer to the handshake", answer).await;
            let answer = answer.unwrap_or_else(|_| {
                let mut failed = Response::new(Cow::Borrowed("the application gave no answer"));
                *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                failed
            });
            self.answer = Answered::Got(answer);
        }
        match &self.answer {
            Answered::Got(answer) => answer,
            Answered::NotYet(_) => unreachable!("it was just put there"),
        }
    }

    /// The status of the answer: 101 if the client was let in.
    pub async fn status(&mut self) -> StatusCode {
        self.reply().await.status()
    }

    /// Says something.
    ///
    /// # Panics
    /// If this client has left.
    pub async fn send(&mut self, frame: impl Into<Frame>) {
        self.say(Ok(frame.into()));
    }

    /// Says something in JSON.
    ///
    /// # Panics
    /// If the value cannot be written as JSON, or this client has left.
    pub async fn send_json(&mut self, value: &impl Serialize) {
        let text = serde_json::to_string(value).expect("the value can be written as JSON");
        self.send(text).await;
    }

    /// The next frame.
    ///
    /// # Panics
    /// If none comes within 5 s, or the server closes instead.
    pub async fn receive(&mut self) -> Frame {
        match self.hear("a frame").await {
            Heard::Frame(frame) => frame,
            Heard::Close(close) => panic!("waited for a frame and got {close:?}"),
        }
    }

    /// The next frame's text.
    ///
    /// # Panics
    /// As [`receive`](Self::receive), and if it is binary.
    pub async fn receive_text(&mut self) -> String {
        match self.receive().await {
            Frame::Text(text) => text.into(),
            Frame::Binary(bytes) => panic!("waited for text and got {} bytes", bytes.len()),
        }
    }

    /// The next frame's JSON.
    ///
    /// # Panics
    /// As [`receive_text`](Self::receive_text), and if it is no `T`.
    pub async fn receive_json<T: DeserializeOwned>(&mut self) -> T {
        let text = self.receive_text().await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }

    /// How the server ended the conversation.
    ///
    /// # Panics
    /// If it does not within 5 s, or sends a frame instead.
    pub async fn receive_close(&mut self) -> Close {
        match self.hear("a close").await {
            Heard::Close(close) => close,
            Heard::Frame(frame) => panic!("waited for a close and got {frame:?}"),
        }
    }

    /// Nothing comes.
    ///
    /// It lets the application run until it has nothing left to do, which is certain under paused time
    /// (`#[tokio::test(start_paused = true)]`).
    ///
    /// # Panics
    /// If something does come.
    pub async fn receive_nothing(&mut self) {
        if let Ok(Some(heard)) = tokio::time::timeout(PATIENCE / 50, self.heard.recv()).await {
            panic!("waited for nothing and got {heard:?}");
        }
    }

    /// Leaves with a close frame, and waits for the application to end; what it returned is the result.
    ///
    /// # Errors
    /// Whatever a handler failed with.
    ///
    /// # Panics
    /// If the application does not end.
    pub async fn close(mut self, close: impl Into<Close>) -> Result<()> {
        self.say(Err(close.into()));
        self.ended().await
    }

    /// Leaves with code 1000, and waits for the application to end; what it returned is the result.
    ///
    /// # Errors
    /// Whatever a handler failed with.
    pub async fn disconnect(self) -> Result<()> {
        self.close(Close::NORMAL).await
    }

    /// Vanishes without a word (1006), and waits for the application to end; what it returned is the result.
    ///
    /// # Errors
    /// Whatever a handler failed with.
    pub async fn vanish(mut self) -> Result<()> {
        self.said = None;
        self.ended().await
    }

    async fn ended(mut self) -> Result<()> {
        // A handler may use its whole grace period, and a disconnect hook its own.
        let patience = PATIENCE * 10;
        let ended = tokio::time::timeout(patience, &mut self.conversation).await;
        let ended =
            ended.unwrap_or_else(|_| panic!("waited {patience:?} for the application to end"));
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    #[track_caller]
    fn say(&mut self, said: Result<Frame, Close>) {
        let Some(sender) = &self.said else {
            panic!("this client has left");
        };
        // An application that has ended does not listen; what follows finds that out.
        _ = sender.send(said);
    }

    async fn hear(&mut self, what: &'static str) -> Heard {
        let heard = soon(what, self.heard.recv()).await;
        heard.unwrap_or_else(|| panic!("waited for {what}, but the application has ended"))
    }
}

/// A transport in memory. What is queued goes out whole: a test looks at all of it.
struct Memory {
    incoming: mpsc::UnboundedReceiver<Result<Frame, Close>>,
    outgoing: mpsc::UnboundedSender<Heard>,
}

impl Transport for Memory {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Close>> {
        let said = ready!(self.incoming.poll_recv(cx));
        Poll::Ready(said.unwrap_or_else(|| Err(Close::from(Close::ABNORMAL))))
    }

    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        let outgoing = &self.outgoing;
        sender.drain(cx, |queued| {
            while let Some(frame) = queued.pop() {
                _ = outgoing.send(Heard::Frame(frame));
            }
            if let Some(close) = queued.close() {
                _ = outgoing.send(Heard::Close(close.clone()));
                // The test client answers a close at once, as browsers do.
                self.incoming.close();
            }
        });
        Poll::Ready(Ok(()))
    }

    fn poll_stalled(&mut self, _: &mut Context<'_>) -> Poll<Close> {
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl fmt::Debug for WebSocketCommunicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketCommunicator")
            .finish_non_exhaustive()
    }
}
