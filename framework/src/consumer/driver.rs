//! The driver of a WebSocket consumer: one hook at a time, messages and events alternately, and
//! `disconnect` at the end.

use super::{
    Timer, Trigger,
    hooks::Hooks,
    joined::{GroupMember, Joined},
    timers::Timers,
    watch::{ConditionWatch, poll_end},
};
use crate::{
    catch_panic::catch_panic,
    channels::{Channels, Departure, Envelope, Mailbox, Missed},
    error::Error,
    log_limit::log_limited,
    message::{Close, Message},
    protocol::Socket,
    waker::yield_to_others,
};
use std::{
    future::{Future, poll_fn},
    mem,
    ops::ControlFlow,
    pin::{Pin, pin},
    task::{Poll, ready},
};
use tokio::{
    task::coop::consume_budget,
    time::{Sleep, sleep},
};

/// The hooks of a consumer with its open connection.
pub(super) struct Driver<H: Hooks> {
    joined: Joined<AcceptedConnection, H>,
    /// The source of the last step: the other is polled first.
    last_source: Source,
    timers: Option<Box<Timers>>,
    /// Whether the last step was that of a timer: then waiting messages and events are handled before
    /// the next timer, even if one is due.
    was_timer: bool,
    /// Whether the last message or event was large.
    is_costly: bool,
}

/// The connection of a consumer whose handshake was accepted.
pub(super) struct AcceptedConnection {
    channels: Channels,
    state: ConnectionState,
}

/// What the driver polls while a hook runs, and what may end the connection.
struct ConnectionState {
    socket: Socket,
    mailbox: Mailbox,
    watch: Option<Box<ConditionWatch>>,
    /// Whether the connection was closed from outside; no more signals are polled then.
    is_revoked: bool,
    /// How many more items of the last source are handled before the other source and what ends the
    /// connection are polled again: they were pending, and the task has not slept since.
    run: u8,
    /// Started once the client has left, the server stops or the connection is closed from outside;
    /// shared by all hooks that still run.
    grace: Option<Pin<Box<Sleep>>>,
}

/// A source of messages or events.
#[derive(Clone, Copy)]
enum Source {
    Client,
    Mailbox,
}

impl Source {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Mailbox,
            Self::Mailbox => Self::Client,
        }
    }
}

/// How many items of one source are handled in a row while the other is pending: polling the other
/// each time would cost as much as handling an item. If both are ready they alternate.
const RUN: u8 = 16;

/// The size of a message or event that takes the whole turn of its connection, in bytes: inflating,
/// decoding and sending it may take as long as many small ones.
const COSTLY: usize = 32 * 1024;

/// The next step of the driver.
enum Step {
    Message(Message),
    Event(Envelope),
    Missed(Missed),
    Timer(&'static Timer),
    /// The client has left, this side has closed, or the server stops.
    Over,
}

/// Whether the connection continues; if not, with the error that a hook failed with.
type Flow = ControlFlow<crate::Result<()>>;

/// How a hook ended.
enum Handled {
    Done,
    Failed(Error),
    Panicked(Error),
    /// The connection has ended, and `grace` has passed.
    GraceExpired,
}

impl<H: Hooks> Driver<H> {
    pub(super) fn new(joined: Joined<AcceptedConnection, H>) -> Self {
        Self {
            joined,
            last_source: Source::Mailbox,
            timers: Timers::new(H::TIMERS),
            was_timer: false,
            is_costly: false,
        }
    }

    /// Serves the client until the connection ends. Returns the error that a hook failed with, or
    /// `disconnect`.
    ///
    /// An async block, which stores the driver once; an `async fn` stores its arguments twice.
    #[expect(clippy::manual_async_fn)]
    pub(super) fn run(mut self: Box<Self>) -> impl Future<Output = crate::Result<()>> + Send {
        async move {
            let outcome = self.run_hooks().await;
            // Boxed, so that an open connection does not hold the memory of its end.
            Box::pin(self.end(outcome)).await
        }
    }

    async fn end(self: Box<Self>, outcome: crate::Result<()>) -> crate::Result<()> {
        let code = match outcome {
            Ok(()) => Close::NORMAL,
            Err(_) => Close::ERROR,
        };
        let disconnected = self.joined.end(|socket| socket.close(code)).await;
        outcome?;
        Ok(disconnected?)
    }

    fn state(&mut self) -> &mut ConnectionState {
        &mut self.joined.connection.state
    }

    async fn run_hooks(&mut self) -> crate::Result<()> {
        // Each boxed while it runs, so that an idle connection does not hold the memory of its
        // largest hook.
        let mut flow = Box::pin(self.open()).await;
        while let ControlFlow::Continue(()) = flow {
            let step = poll_fn(|cx| self.poll_step(cx)).await;
            flow = Box::pin(self.handle(step)).await;
        }
        flow.break_value().unwrap_or(Ok(()))
    }

    async fn open(&mut self) -> Flow {
        let Joined {
            connection,
            consumer: hooks,
        } = &mut self.joined;
        let opened = connection.state.run_hook(|| hooks.opened()).await;
        self.conclude(opened, Trigger::Opened).await
    }

    /// Runs the hook for a step.
    async fn handle(&mut self, step: Step) -> Flow {
        self.is_costly = match &step {
            Step::Message(message) => message.payload().len() >= COSTLY,
            Step::Event(envelope) => envelope.as_bytes().len() >= COSTLY,
            Step::Missed(_) | Step::Timer(_) | Step::Over => false,
        };
        let Joined {
            connection,
            consumer: hooks,
        } = &mut self.joined;
        let AcceptedConnection { channels, state } = connection;
        // Dereferenced here, not in the closures: one that cannot panic needs no landing pad.
        let hooks: &mut H = hooks;
        // Decoding a message or an event is the user's code too, so it runs inside the hook.
        let (handled, trigger) = match step {
            Step::Over => return Flow::Break(Ok(())),
            Step::Message(message) => {
                let handled = state.run_hook(|| hooks.receive(message)).await;
                (handled, Trigger::Message { name: None })
            }
            Step::Timer(timer) => {
                let handled = state.run_hook(|| hooks.timer(timer)).await;
                (handled, Trigger::Timer { name: timer.name() })
            }
            Step::Event(envelope) => {
                let handler = || async {
                    match channels.decode(envelope) {
                        Some(event) => hooks.event(event).await,
                        None => Ok(()),
                    }
                };
                let handled = state.run_hook(handler).await;
                (handled, Trigger::Event { name: None })
            }
            Step::Missed(missed) => {
                channels.count_missed(missed);
                let handled = state.run_hook(|| hooks.missed(missed)).await;
                (handled, Trigger::Missed)
            }
        };
        match handled {
            Handled::Done => Flow::Continue(()),
            // Boxed: few hooks fail.
            handled => Box::pin(self.conclude(handled, trigger)).await,
        }
    }

    /// Decides whether the connection continues after a hook that may have failed.
    async fn conclude(&mut self, mut handled: Handled, mut trigger: Trigger) -> Flow {
        if let Handled::Failed(error) | Handled::Panicked(error) = &handled {
            trigger = trigger.with_name(error.handled());
        }
        if let Handled::Failed(error) = handled {
            handled = self.handle_error(error, trigger).await;
        }
        match handled {
            Handled::Done => Flow::Continue(()),
            Handled::Failed(error) | Handled::Panicked(error) => {
                // Before the closing handshake, which a client may delay.
                log_limited!(
                    error,
                    during = %trigger,
                    error = %format_args!("{error:#}"),
                    "a hook failed"
                );
                Flow::Break(Err(error.logged().into()))
            }
            Handled::GraceExpired => {
                self.state().socket.explain(format_args!(
                    "{trigger}: it outlasted `grace` after its connection ended and was dropped"
                ));
                log_limited!(
                    warn,
                    channel = %self.state().mailbox.name(),
                    "dropped a hook that outlasted `grace` after its connection ended"
                );
                Flow::Break(Ok(()))
            }
        }
    }

    /// Handles a hook's error: ignores it if this connection is closed (a next step ends it), and
    /// otherwise runs the consumer's `failed`.
    async fn handle_error(&mut self, error: Error, trigger: Trigger) -> Handled {
        if self.state().is_closed_by(&error) {
            return Handled::Done;
        }
        let Joined {
            connection,
            consumer: hooks,
        } = &mut self.joined;
        let state = &mut connection.state;
        state.socket.explain(format_args!("{trigger}: {error:#}"));
        match state.run_hook(|| hooks.failed(error, trigger)).await {
            Handled::Failed(error) if state.is_closed_by(&error) => Handled::Done,
            handled => handled,
        }
    }

    fn poll_step(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Step> {
        let step = self.poll_turn(cx);
        if step.is_pending() {
            self.state().run = 0;
        }
        step
    }

    fn poll_turn(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Step> {
        // A client that never pauses must not starve the other connections of its thread.
        if mem::take(&mut self.is_costly) {
            self.state().socket.serve_busy(cx);
            yield_to_others(cx);
            return Poll::Pending;
        }
        if pin!(consume_budget()).poll(cx).is_pending() {
            self.state().socket.serve_busy(cx);
            return Poll::Pending;
        }
        self.state().socket.flush_early(cx);
        // The end of the connection goes before everything that is queued.
        if self.state().is_over(cx) {
            return Poll::Ready(Step::Over);
        }
        let was_timer = mem::take(&mut self.was_timer);
        if !was_timer && let Poll::Ready(step) = self.poll_timers(cx) {
            return Poll::Ready(step);
        }
        if let Poll::Ready(step) = self.poll_sources(cx) {
            return Poll::Ready(step);
        }
        if was_timer && let Poll::Ready(step) = self.poll_timers(cx) {
            return Poll::Ready(step);
        }
        // Nothing is ready: write everything that the steps so far have queued, at once.
        self.state().socket.flush(cx);
        // The flush may have found that the client has left, or a close that another task queued.
        if self.state().socket.has_ended() {
            return Poll::Ready(Step::Over);
        }
        Poll::Pending
    }

    fn poll_sources(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Step> {
        if let Some(left) = self.state().run.checked_sub(1) {
            self.state().run = left;
            return self.poll_source(self.last_source, cx);
        }
        let first = self.last_source.other();
        if let Poll::Ready(step) = self.poll_source(first, cx) {
            self.last_source = first;
            return Poll::Ready(step);
        }
        let step = ready!(self.poll_source(self.last_source, cx));
        self.state().run = RUN - 1;
        Poll::Ready(step)
    }

    fn poll_source(&mut self, source: Source, cx: &mut std::task::Context<'_>) -> Poll<Step> {
        match source {
            Source::Client => {
                let message = ready!(self.state().socket.poll_message(cx));
                Poll::Ready(message.map_or(Step::Over, Step::Message))
            }
            Source::Mailbox => {
                let received = ready!(self.state().mailbox.poll_event(cx));
                Poll::Ready(received.map_or_else(Step::Missed, Step::Event))
            }
        }
    }

    fn poll_timers(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Step> {
        let Some(timers) = &mut self.timers else {
            return Poll::Pending;
        };
        let timer = ready!(timers.poll(cx));
        self.was_timer = true;
        Poll::Ready(Step::Timer(timer))
    }
}

impl AcceptedConnection {
    pub(super) fn new(
        channels: Channels,
        socket: Socket,
        mailbox: Mailbox,
        watch: Option<Box<ConditionWatch>>,
    ) -> Self {
        Self {
            channels,
            state: ConnectionState {
                socket,
                mailbox,
                watch,
                is_revoked: false,
                run: 0,
                grace: None,
            },
        }
    }
}

impl GroupMember for AcceptedConnection {
    type Rest = Socket;

    fn leave(self) -> (Departure, Socket) {
        let ConnectionState {
            socket, mailbox, ..
        } = self.state;
        let departure = self.channels.departure(mailbox.name());
        drop(mailbox);
        (departure, socket)
    }
}

impl ConnectionState {
    /// Runs one hook. Meanwhile the socket responds to pings, writes what the hook sends, and
    /// notices the end of the connection. From then on the hook has a grace period, after which its
    /// future is dropped at an await.
    async fn run_hook<F>(&mut self, handler: impl FnOnce() -> F) -> Handled
    where
        F: Future<Output = crate::Result<()>> + Send,
    {
        let mut handler = pin!(catch_panic(handler));
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = handler.as_mut().poll(cx) {
                return Poll::Ready(match outcome {
                    Ok(Ok(())) => Handled::Done,
                    Ok(Err(error)) => Handled::Failed(error.into()),
                    Err(panic) => Handled::Panicked(panic),
                });
            }
            self.run = 0;
            let is_revoked = self.poll_revoked(cx);
            if self.socket.poll_ahead(cx).is_pending() && !is_revoked {
                return Poll::Pending;
            }
            let limit = self.socket.config().grace;
            let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(limit)));
            ready!(grace.as_mut().poll(cx));
            Poll::Ready(Handled::GraceExpired)
        })
        .await
    }

    /// Returns whether an error means that this connection is closed, and not another one to which
    /// the consumer sends.
    fn is_closed_by(&self, error: &Error) -> bool {
        error.is_closed() && self.socket.refuses_sends()
    }

    /// Returns whether the connection ends: nothing more is to be received.
    fn is_over(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.run > 0 && !self.mailbox.has_signal() {
            return self.socket.has_ended();
        }
        self.socket.is_ending(cx) || self.poll_revoked(cx)
    }

    /// Returns whether the connection was closed from outside: by a lost condition, or by a
    /// disconnect envelope in the mailbox. The close frame to the client is then queued.
    fn poll_revoked(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.is_revoked {
            return true;
        }
        let watch = self.watch.as_deref_mut();
        let Poll::Ready(close) = poll_end(&self.mailbox, watch, cx) else {
            return false;
        };
        // A connection that is already closing needs no second close frame.
        _ = self.socket.sender().close(close);
        self.is_revoked = true;
        true
    }
}
