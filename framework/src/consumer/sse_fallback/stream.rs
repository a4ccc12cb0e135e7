//! The transport of a WebSocket over server-sent events: messages out as events, messages in from
//! POSTs.

use super::forward::{ConnectionId, Forwarded, Post, PostOutcome};
use crate::{
    channels::{Channels, Mailbox},
    consumer::http::{SseEvent, sse},
    error::Result,
    message::{Close, Message},
    name::ChannelName,
    protocol::{
        Body, Lifetime, Outbound, PipeBody, PipeEnd, PipeSender, Rate, Sender, SignalWatch,
        Transport, WebSocketConfig,
    },
};
use serde_json::json;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// How many bytes wait in the stream; what more the consumer sends waits in its own queue, with the
/// policy for slow clients.
const BUFFER: usize = 16 * 1024;

/// How long a stream may be silent before it sends a comment.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The server's end of a connection whose client reads a stream and sends POSTs.
pub(super) struct FallbackStream {
    pipe: Arc<PipeSender>,
    channels: Channels,
    mailbox: Mailbox,
    /// Set when the client closes its sending side, as a page that is closed does: no client of a
    /// stream sends anything else on its connection.
    left: Option<SignalWatch>,
    /// The digest of the `Origin` of the page that opened the stream.
    page: Option<String>,
    config: Arc<WebSocketConfig>,
    rate: Option<Rate>,
    /// When a client that sent too fast may send again.
    paused_until: Option<Instant>,
    lifetime: Option<Box<Lifetime>>,
    /// The answer to the last POST, while it is sent.
    answering: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The close that was sent.
    closed: Option<Close>,
}

impl FallbackStream {
    /// Creates the transport, and the body of the response that it writes.
    pub(super) fn new(
        channels: Channels,
        mailbox: Mailbox,
        id: ConnectionId,
        left: Option<SignalWatch>,
        page: Option<String>,
    ) -> Result<(Self, Body)> {
        // `send` is never called, so no reader is ever waited for.
        let pipe = PipeSender::new(BUFFER, Duration::MAX);
        let open = SseEvent::json(&json!({ "connection": id.to_string() }))?;
        pipe.push(open.name("open").encode()?);
        let body = PipeBody::new(pipe.clone(), Some((KEEP_ALIVE, sse::KEEP_ALIVE)));
        let stream = Self {
            pipe,
            channels,
            mailbox,
            left,
            page,
            config: WebSocketConfig::shared(),
            rate: None,
            paused_until: None,
            lifetime: None,
            answering: None,
            closed: None,
        };
        Ok((stream, Body::new(body)))
    }

    /// Sends the close as the last event, and ends the stream.
    fn end(&mut self, close: Close) -> Close {
        let content = json!({ "code": close.code, "reason": close.reason() });
        let event = SseEvent::json(&content).and_then(|event| event.name("close").encode());
        if let Ok(event) = event {
            self.pipe.push(event);
        }
        self.pipe.end(PipeEnd::Complete);
        self.closed = Some(close.clone());
        close
    }

    /// Polls for what ends the connection without a message.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        if let Some(close) = &self.closed {
            return Poll::Ready(close.clone());
        }
        let has_left = self.left.as_mut().is_some_and(|left| left.poll(cx));
        if has_left || self.pipe.poll_gone(cx).is_ready() {
            return Poll::Ready(Close::from(Close::ABNORMAL));
        }
        if let Some(lifetime) = &mut self.lifetime
            && let Poll::Ready(close) = lifetime.poll(self.config.idle_timeout, cx)
        {
            return Poll::Ready(self.end(close));
        }
        Poll::Pending
    }

    /// Sends the answer to the last POST.
    fn poll_answering(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(answering) = &mut self.answering {
            ready!(answering.as_mut().poll(cx));
            self.answering = None;
        }
        Poll::Ready(())
    }

    /// Polls for the next POST, once the one before is answered. A client that asks whether it may
    /// send gets this answer.
    fn poll_post(&mut self, asked: PostOutcome, cx: &mut Context<'_>) -> Poll<Post> {
        loop {
            ready!(self.poll_answering(cx));
            // A POST that overflowed the mailbox gets no answer, and its client 404.
            let Ok(envelope) = ready!(self.mailbox.poll_event(cx)) else {
                continue;
            };
            let event = self.channels.decode::<Forwarded>(envelope);
            match event.as_deref() {
                Some(Forwarded::Post(post)) => return Poll::Ready(post.clone()),
                Some(Forwarded::Ask { answer_to }) => {
                    self.answer(answer_to.clone(), asked);
                }
                Some(Forwarded::Answer { .. }) | None => {}
            }
        }
    }

    /// Returns the answer while the client may not send again yet.
    fn too_fast(&self, now: Instant) -> Option<PostOutcome> {
        let wait = self.paused_until?.checked_duration_since(now)?;
        // Rounded up: a client that comes earlier would be refused again.
        let seconds = wait.as_secs_f64().ceil() as u64;
        (seconds > 0).then_some(PostOutcome::TooFast(seconds))
    }

    /// Decides what becomes of a message.
    fn check(&mut self, post: &Post, now: Instant) -> PostOutcome {
        if post.foreign_origin.is_some() && post.foreign_origin != self.page {
            return PostOutcome::Origin;
        }
        if post.text.len() > self.config.max_message_size {
            return PostOutcome::TooLarge(self.config.max_message_size);
        }
        if let Some(too_fast) = self.too_fast(now) {
            return too_fast;
        }
        let wait = self
            .rate
            .as_mut()
            .and_then(|rate| rate.record(1, post.text.len(), now));
        self.paused_until = wait.and_then(|wait| now.checked_add(wait));
        match self.is_too_fast() {
            true => PostOutcome::TooFast(1),
            false => PostOutcome::Taken,
        }
    }

    fn answer(&mut self, to: ChannelName, answer: PostOutcome) {
        let channels = self.channels.clone();
        self.answering = Some(Box::pin(async move {
            // If it fails, the POST gets 404 once its time is over.
            _ = channels.send(&to, &Forwarded::Answer { answer }).await;
        }));
    }

    /// Returns whether the client has sent faster than it may, and is to be disconnected for that.
    fn is_too_fast(&self) -> bool {
        self.paused_until.is_some() && self.config.rate_limit.is_some_and(|limit| limit.closes())
    }
}

impl Transport for FallbackStream {
    fn configure(&mut self, config: &Arc<WebSocketConfig>) {
        self.config = config.clone();
        self.lifetime = Lifetime::new(config);
        let now = Instant::now();
        self.rate = config.rate_limit.map(|limit| Rate::new(limit, now));
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Close>> {
        loop {
            if let Poll::Ready(close) = self.poll_end(cx) {
                return Poll::Ready(Err(close));
            }
            let asked = self.too_fast(Instant::now()).unwrap_or(PostOutcome::Open);
            let post = ready!(self.poll_post(asked, cx));
            let answer = self.check(&post, Instant::now());
            self.answer(post.answer_to, answer);
            if self.is_too_fast() {
                let close = Close::new(Close::POLICY, "the client sends too fast");
                return Poll::Ready(Err(self.end(close)));
            }
            if answer != PostOutcome::Taken {
                continue;
            }
            if let Some(lifetime) = &mut self.lifetime {
                lifetime.received();
            }
            return Poll::Ready(Ok(Message::text(post.text)));
        }
    }

    fn poll_flush(&mut self, sender: &Sender, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        if self.closed.is_some() {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.pipe.poll_room(cx).is_pending() {
                // A close that another task queues still wakes this one.
                sender.drain(cx, |_| ());
                return Poll::Pending;
            }
            let (message, close) = sender.drain(cx, |queue| (queue.pop(), queue.close().cloned()));
            match (message, close) {
                (Some(Outbound::Plain(Message::Text(text))), _) => {
                    let event = SseEvent::text(&*text).encode();
                    self.pipe
                        .push(event.expect("text has neither a name nor an id"));
                    sender.record_progress();
                }
                (Some(_), _) => {
                    let reason = "server-sent events cannot carry a binary message";
                    let close = Close::new(Close::UNSUPPORTED, reason);
                    return Poll::Ready(Err(self.end(close)));
                }
                (None, Some(close)) => {
                    self.end(close);
                    return Poll::Ready(Ok(()));
                }
                (None, None) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Close>> {
        loop {
            if let Poll::Ready(close) = self.poll_end(cx) {
                return Poll::Ready(Err(close));
            }
            let post = ready!(self.poll_post(PostOutcome::Full, cx));
            self.answer(post.answer_to, PostOutcome::Full);
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // The message that closed the connection was taken, too.
        self.poll_answering(cx)
    }
}

/// What was queued is still read; the stream then ends without a close, unless there was one.
impl Drop for FallbackStream {
    fn drop(&mut self) {
        self.pipe.end(PipeEnd::Complete);
    }
}
