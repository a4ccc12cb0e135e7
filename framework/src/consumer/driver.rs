//! The driver: one handler at a time, messages and events taking turns, and a goodbye that waits for nobody.

use super::{
    Context, FromMessage, WebSocketConsumer, disconnect_guard::DisconnectGuard, ticks::Ticks,
    watch::Watch,
};
use crate::{
    catch_panic::catch_panic,
    channels::{Envelope, Mailbox, Missed, Signal},
    error::{Error, Result},
    log_limit::log_limited,
    message::{Close, Message},
    protocol::Socket,
};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Poll, ready},
};
use tokio::time::{Sleep, sleep};

/// One consumer and all it needs while the door is open.
pub(super) struct Driver<C: WebSocketConsumer> {
    ctx: Context<C::Event>,
    connection: Connection,
    /// Who was heard last: the other goes first.
    last_source: Source,
    /// How many more turns the last_source has before the other, which had nothing a moment ago, is asked again.
    run: u8,
    ticks: Option<Box<Ticks>>,
    /// Whether the last turn was a tick's: a timer faster than its handler leaves every second turn to the others.
    ticked: bool,
    /// The last, so that it is dropped after the groups are left.
    consumer: DisconnectGuard<C>,
}

/// All that is attended to while a handler runs, and may end the conversation.
struct Connection {
    socket: Socket,
    mailbox: Mailbox,
    watch: Option<Box<Watch>>,
    /// Whether the conversation was ended from elsewhere: there is nothing more to wait for.
    is_cut: bool,
    /// Runs once the client has left, the server stops or the connection is cut; all handlers that still have their turn share
    /// it.
    grace: Option<Pin<Box<Sleep>>>,
}

/// Who may speak to a consumer.
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

/// Where only one of the two speaks it is served in runs of this many turns: asking a silent one in between would cost
/// as much as the turns. Where both speak they alternate.
const RUN: u8 = 16;

/// What comes next.
enum Turn {
    Message(Message),
    Event(Envelope),
    Missed(Missed),
    Tick(usize),
    /// The client has left, this side has closed, or the server stops.
    Over,
}

/// How a handler ended.
enum Handled {
    Done,
    Failed(Error),
    Panicked(Error),
    /// The client has left, and the handler's time after that is up.
    GraceExpired,
}

impl<C: WebSocketConsumer> Driver<C> {
    pub(super) fn new(
        consumer: DisconnectGuard<C>,
        ctx: Context<C::Event>,
        socket: Socket,
        mailbox: Mailbox,
        watch: Option<Box<Watch>>,
    ) -> Self {
        Self {
            ctx,
            connection: Connection {
                socket,
                mailbox,
                watch,
                is_cut: false,
                grace: None,
            },
            last_source: Source::Mailbox,
            run: 0,
            ticks: Ticks::new(C::TICKS),
            ticked: false,
            consumer,
        }
    }

    /// Serves the client to the end. An error is what a handler failed with.
    pub(super) async fn run(mut self: Box<Self>) -> Result<()> {
        let outcome = self.take_turns().await;
        let Self {
            mut consumer,
            ctx,
            connection: Connection {
                socket, mailbox, ..
            },
            ..
        } = *self;
        // Off every list before anyone is told: a goodbye sent by `disconnect` reaches those who stay.
        drop((mailbox, ctx));
        let code = match outcome {
            Ok(()) => Close::NORMAL,
            Err(_) => Close::ERROR,
        };
        let close = socket.close(code).await;
        consumer.disconnect(close).await;
        outcome
    }

    async fn take_turns(&mut self) -> Result<()> {
        let Self {
            consumer,
            ctx,
            connection,
            ..
        } = self;
        let mut handled = connection.run_hook(|| consumer.opened(ctx)).await;
        loop {
            if let Handled::Failed(error) = handled {
                handled = self.handle_error(error).await;
            }
            match handled {
                Handled::Done => {}
                Handled::Failed(error) | Handled::Panicked(error) => return Err(error),
                Handled::GraceExpired => {
                    log_limited!(
                        warn,
                        channel = %self.ctx.channel(),
                        "a handler ran on after its conversation had ended, and was dropped"
                    );
                    return Ok(());
                }
            }
            // A client that never pauses shall not starve the other connections of its thread.
            tokio::task::coop::consume_budget().await;
            let turn = poll_fn(|cx| self.poll_turn(cx)).await;
            let Self {
                consumer,
                ctx,
                connection,
                ..
            } = self;
            // Reading a message or an event is the user's code too: it runs as part of the handler.
            handled = match turn {
                Turn::Over => return Ok(()),
                Turn::Message(message) => {
                    let handler = || async {
                        match C::Input::from_message(message) {
                            Ok(input) => consumer.receive(ctx, input).await,
                            Err(error) => consumer.malformed(ctx, error).await,
                        }
                    };
                    connection.run_hook(handler).await
                }
                Turn::Tick(tick) => connection.run_hook(|| consumer.tick(ctx, tick)).await,
                Turn::Event(envelope) => {
                    let handler = || async {
                        match ctx.channels().decode(envelope) {
                            Some(event) => consumer.event(ctx, event).await,
                            None => Ok(()),
                        }
                    };
                    connection.run_hook(handler).await
                }
                Turn::Missed(missed) => {
                    ctx.channels().note_missed(missed);
                    connection.run_hook(|| consumer.missed(ctx, missed)).await
                }
            };
        }
    }

    /// What a handler's error means: nothing if the client has simply left (the next turn sees that), and otherwise what
    /// the consumer says.
    async fn handle_error(&mut self, error: Error) -> Handled {
        if error.is_closed() {
            return Handled::Done;
        }
        let Self {
            consumer,
            ctx,
            connection,
            ..
        } = self;
        match connection.run_hook(|| consumer.failed(ctx, error)).await {
            Handled::Failed(error) if error.is_closed() => Handled::Done,
            handled => handled,
        }
    }

    fn poll_turn(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Turn> {
        // The end goes before everything that still waits.
        if self.connection.socket.is_ending(cx) {
            return Poll::Ready(Turn::Over);
        }
        if self.connection.poll_cut(cx) {
            return Poll::Ready(Turn::Over);
        }
        let ticked = std::mem::take(&mut self.ticked);
        if !ticked && let Poll::Ready(turn) = self.poll_ticks(cx) {
            return Poll::Ready(turn);
        }
        let first = match self.run {
            0 => self.last_source.other(),
            _ => self.last_source,
        };
        self.run = self.run.saturating_sub(1);
        if let Poll::Ready(turn) = self.poll_source(first, cx) {
            self.last_source = first;
            return Poll::Ready(turn);
        }
        if let Poll::Ready(turn) = self.poll_source(first.other(), cx) {
            self.last_source = first.other();
            self.run = RUN - 1;
            return Poll::Ready(turn);
        }
        if ticked && let Poll::Ready(turn) = self.poll_ticks(cx) {
            return Poll::Ready(turn);
        }
        // Nothing more to do: all that the turns so far have queued leaves in one write.
        self.run = 0;
        self.connection.socket.flush(cx);
        // Writing may have found the client gone, or a close that another task has queued meanwhile.
        if self.connection.socket.is_ending(cx) {
            return Poll::Ready(Turn::Over);
        }
        Poll::Pending
    }

    fn poll_source(&mut self, source: Source, cx: &mut std::task::Context<'_>) -> Poll<Turn> {
        match source {
            Source::Client => {
                let message = ready!(self.connection.socket.poll_receive(cx));
                Poll::Ready(message.map_or(Turn::Over, Turn::Message))
            }
            Source::Mailbox => {
                let received = ready!(self.connection.mailbox.poll_event(cx));
                Poll::Ready(received.map_or_else(Turn::Missed, Turn::Event))
            }
        }
    }

    fn poll_ticks(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Turn> {
        let Some(ticks) = &mut self.ticks else {
            return Poll::Pending;
        };
        let tick = ready!(ticks.poll(cx));
        self.ticked = true;
        Poll::Ready(Turn::Tick(tick))
    }
}

impl Connection {
    /// Runs one handler. Meanwhile pings are answered, what it sends is written, and an end is noticed, whoever brings it:
    /// from then on the handler has a grace period, after which its future is dropped at an await.
    ///
    /// The handler's future is boxed only while it runs, so that an idle connection does not carry its largest handler.
    async fn run_hook<F>(&mut self, handler: impl FnOnce() -> F) -> Handled
    where
        F: Future<Output = Result<()>> + Send,
    {
        let mut handler = Box::pin(catch_panic(handler));
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = handler.as_mut().poll(cx) {
                return Poll::Ready(match outcome {
                    Ok(Ok(())) => Handled::Done,
                    Ok(Err(error)) => Handled::Failed(error),
                    Err(panic) => Handled::Panicked(panic),
                });
            }
            let is_cut = self.poll_cut(cx);
            if self.socket.poll_ahead(cx).is_pending() && !is_cut {
                return Poll::Pending;
            }
            let limit = self.socket.config().grace;
            let grace = self.grace.get_or_insert_with(|| Box::pin(sleep(limit)));
            ready!(grace.as_mut().poll(cx));
            Poll::Ready(Handled::GraceExpired)
        })
        .await
    }

    /// Whether the conversation has been ended from elsewhere: by its session or user, or by a word in the mailbox. The
    /// client's close is then on its way.
    fn poll_cut(&mut self, cx: &mut std::task::Context<'_>) -> bool {
        if self.is_cut {
            return true;
        }
        let Poll::Ready(close) = self.poll_end(cx) else {
            return false;
        };
        // A conversation that is closing already needs no second word.
        _ = self.socket.sender().close(close);
        self.is_cut = true;
        true
    }

    fn poll_end(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Close> {
        while let Poll::Ready(signal) = self.mailbox.poll_signal(cx) {
            match signal {
                Signal::Disconnect(end) => {
                    return Poll::Ready(end.disconnects().unwrap_or(Close::from(Close::POLICY)));
                }
                Signal::Interrupted => {
                    if let Some(watch) = &self.watch {
                        watch.recheck();
                    }
                }
            }
        }
        match &mut self.watch {
            Some(watch) => watch.poll(cx),
            None => Poll::Pending,
        }
    }
}
