//! What ends a request from outside: its client leaves, the server stops, or a revocation.

use super::{super::watch::ConditionWatch, handler_state::HandlerState, sse};
use crate::{
    channels::MailboxSignal,
    message::{Close, spread},
    protocol::{ConnectionHandle, PipeEnd, SignalWatch},
    revocation::Revocations,
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Sleep, sleep, timeout};

/// How long a stream of server-sent events may remain open once the server stops: its client
/// reconnects by itself. Everything else may finish, for as long as the server waits.
pub(crate) const EVENT_STREAM_GRACE: Duration = Duration::from_secs(5);

/// How long starting the watch over a waiting or streaming handler may take.
const WATCH_LIMIT: Duration = Duration::from_secs(10);

/// Why a handler was dropped.
#[derive(Debug)]
pub(super) enum Interrupt {
    /// The client has disconnected from its stream, or closed its sending side while the handler
    /// waited. If it resets the connection before the head is sent, the request's whole future is
    /// dropped instead.
    Left,
    /// The server stops, and the event stream did not end in time.
    Stopped,
    /// It was closed remotely, its session has ended, or its user is no longer allowed.
    Closed(Close),
}

/// Everything that may end one handler.
pub(super) struct Interrupts {
    handler_state: Arc<HandlerState>,
    revocations: Option<Revocations>,
    watch: WatchState,
    handle: Option<ConnectionHandle>,
    stop: Option<SignalWatch>,
    grace: Option<Pin<Box<Sleep>>>,
    disconnects_on_half_close: bool,
    half_close: Option<SignalWatch>,
}

/// The watch over the conditions of a handler that waits or streams.
enum WatchState {
    NotStarted,
    Starting(Starting),
    Running(Box<ConditionWatch>),
    NotNeeded,
}

type Starting = Pin<Box<dyn Future<Output = Result<Box<ConditionWatch>, Close>> + Send>>;

impl Interrupts {
    pub(super) fn new(
        handler_state: Arc<HandlerState>,
        revocations: Option<Revocations>,
        handle: Option<ConnectionHandle>,
        disconnects_on_half_close: bool,
    ) -> Self {
        Self {
            handler_state,
            revocations,
            watch: WatchState::NotStarted,
            handle,
            stop: None,
            grace: None,
            disconnects_on_half_close,
            half_close: None,
        }
    }

    /// Returns which sources of [`poll`](Self::poll) exist that a handler adds: its stream, its
    /// mailbox, and the watch of a handler that runs long.
    pub(super) fn sources(&self) -> [bool; 3] {
        let handler_state = &self.handler_state;
        [
            handler_state.pipe.get().is_some(),
            handler_state.address.mailbox().is_some(),
            handler_state.is_long_running(),
        ]
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Interrupt> {
        if let Some((pipe, _)) = self.handler_state.pipe.get()
            && pipe.poll_gone(cx).is_ready()
        {
            return Poll::Ready(Interrupt::Left);
        }
        loop {
            if let Poll::Ready(close) = self.poll_watch(cx) {
                return Poll::Ready(Interrupt::Closed(close));
            }
            // After the watch, which may have opened the mailbox.
            let Some(mailbox) = self.handler_state.address.mailbox() else {
                break;
            };
            match mailbox.poll_signal(cx) {
                Poll::Ready(MailboxSignal::Disconnect(end)) => {
                    return Poll::Ready(Interrupt::Closed(
                        end.disconnects().unwrap_or(Close::from(Close::POLICY)),
                    ));
                }
                Poll::Ready(MailboxSignal::Interrupted) => {
                    // Also while the watch starts: its first check may have begun before.
                    if let Some(revocations) = &self.revocations {
                        revocations.record_interruption();
                    }
                }
                Poll::Pending => break,
            }
        }
        self.poll_stop(cx).map(|()| Interrupt::Stopped)
    }

    /// Polls for the end of the client's sending side, if that counts as a disconnect. It is polled
    /// after the handler, so that a handler that is ready to respond still does.
    pub(super) fn poll_half_close(&mut self, cx: &mut Context<'_>) -> Poll<Interrupt> {
        let Some(handle) = self
            .handle
            .as_ref()
            .filter(|_| self.disconnects_on_half_close)
        else {
            return Poll::Pending;
        };
        let half_close = self.half_close.get_or_insert_with(|| handle.half_close());
        if !half_close.poll(cx) {
            return Poll::Pending;
        }
        // The response is complete: what the handler still does does not concern the client.
        match self.handler_state.pipe.get() {
            Some((pipe, _)) if !pipe.is_open() => Poll::Pending,
            _ => Poll::Ready(Interrupt::Left),
        }
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        loop {
            match &mut self.watch {
                WatchState::NotNeeded => return Poll::Pending,
                WatchState::Running(watch) => return watch.poll(cx),
                WatchState::NotStarted if !self.handler_state.is_long_running() => {
                    return Poll::Pending;
                }
                WatchState::NotStarted => {
                    self.watch = match self.revocations.clone() {
                        Some(revocations) => WatchState::Starting(Box::pin(start(
                            revocations,
                            self.handler_state.clone(),
                        ))),
                        None => WatchState::NotNeeded,
                    };
                }
                WatchState::Starting(starting) => {
                    self.watch = match ready!(starting.as_mut().poll(cx)) {
                        Ok(watch) => WatchState::Running(watch),
                        Err(close) => return Poll::Ready(close),
                    };
                }
            }
        }
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(handle) = &self.handle else {
            return Poll::Pending;
        };
        let stop = self.stop.get_or_insert_with(|| handle.closing());
        if !stop.poll(cx) {
            return Poll::Pending;
        }
        self.handler_state.give_stop_notice();
        // Only an event stream can be ended without loss; any other response may finish.
        let pipe = match self.handler_state.pipe.get() {
            Some((pipe, PipeEnd::Complete)) if pipe.is_open() => pipe,
            _ => return Poll::Pending,
        };
        if self.grace.is_none()
            && let Some(limit) = handle.retry_after()
        {
            pipe.push(sse::retry(spread(limit)));
        }
        let grace = self
            .grace
            .get_or_insert_with(|| Box::pin(sleep(EVENT_STREAM_GRACE)));
        grace.as_mut().poll(cx)
    }
}

/// Starts the watch, and opens the mailbox for it, once something has read the session or the user.
async fn start(
    revocations: Revocations,
    handler_state: Arc<HandlerState>,
) -> Result<Box<ConditionWatch>, Close> {
    revocations.needed().await;
    let watching = timeout(
        WATCH_LIMIT,
        ConditionWatch::over(&revocations, &handler_state.address),
    );
    watching
        .await
        .unwrap_or_else(|_| Err(Close::from(Close::TRY_AGAIN)))
}
