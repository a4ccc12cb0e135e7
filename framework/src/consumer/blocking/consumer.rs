//! The trait of blocking consumers, whose hooks are plain functions.

use super::{BlockingContext, BlockingHandshake};
use crate::{
    blocking::BlockingPool,
    channels::{Channels, Event, Missed, Shared},
    codec::FromMessage,
    consumer::{
        Timer, Trigger,
        defaults::{close_failed, close_malformed, close_missed, ignore_event},
    },
    error::{Error, Result},
    message::{Close, Message},
    rejection::Rejection,
    required_state::RequiredState,
};
use std::{fmt, marker::PhantomData};

/// A WebSocket consumer whose hooks are plain functions that may block, for a synchronous database
/// driver, files, or CPU-bound work.
///
/// ```
/// use seaway::{BlockingConsumer, BlockingContext, BlockingHandshake, Error, NoEvent, Rejection, Result};
/// use seaway::consumer::Trigger;
/// use std::{fs::File, io::Write};
///
/// /// Appends each message to a file.
/// struct MessageLog(File);
///
/// impl BlockingConsumer for MessageLog {
///     type Input = String;
///     type Event = NoEvent;
///
///     fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
///         Ok(MessageLog(File::options().append(true).create(true).open("messages.log")?))
///     }
///     fn receive(&mut self, ctx: &mut BlockingContext, line: String) -> Result<()> {
///         writeln!(self.0, "{line}")?;
///         Ok(ctx.send("written")?)
///     }
///     // All other hooks have a default. This one keeps the connection open.
///     fn failed(&mut self, ctx: &mut BlockingContext, error: Error, _: Trigger) -> Result<()> {
///         Ok(ctx.send(format!("not written down: {error}"))?)
///     }
/// }
/// ```
///
/// The other hooks with a default:
///
/// ```
/// # use seaway::{BlockingConsumer, BlockingContext, BlockingHandshake, Close, Error, Message, Missed, NoEvent, Rejection, Result, Timer};
/// # use std::time::Duration;
/// # struct Board;
/// impl BlockingConsumer for Board {
/// #   type Input = String;
/// #   type Event = NoEvent;
/// #   fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> { Ok(Board) }
/// #   fn receive(&mut self, _: &mut BlockingContext, _: String) -> Result<()> { Ok(()) }
///     const TIMERS: &'static [Timer] = &[Timer::every("remind", Duration::from_secs(30))];
///
///     fn opened(&mut self, ctx: &mut BlockingContext) -> Result<()> {
///         Ok(ctx.send("welcome")?)
///     }
///     fn malformed(&mut self, ctx: &mut BlockingContext, error: Error, _: Message) -> Result<()> {
///         Ok(ctx.close(Close::new(Close::INVALID, error.to_string()))?)
///     }
///     fn missed(&mut self, ctx: &mut BlockingContext, _: Missed) -> Result<()> {
///         Ok(ctx.send("reload")?)
///     }
///     fn timer(&mut self, ctx: &mut BlockingContext, _: &Timer) -> Result<()> {
///         Ok(ctx.send("still here")?)
///     }
/// }
/// ```
///
/// The hooks have the names and meanings of those of
/// [`WebSocketConsumer`](crate::WebSocketConsumer), and `docs/consumers.md` applies: one at a time,
/// in order, `disconnect` exactly once, errors and panics. They run on a
/// [pool](crate::BlockingPool), for many connections at once, up to its limit; a connection without
/// a running hook holds no thread. `docs/blocking.md` lists the differences.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `BlockingConsumer`",
    label = "write `impl BlockingConsumer for {Self}`"
)]
pub trait BlockingConsumer: Sized + Send + 'static {
    /// The type of the client's messages.
    ///
    /// They are decoded on the pool too.
    type Input: FromMessage;
    /// The type of events from other consumers: your type, or [`NoEvent`](crate::NoEvent).
    type Event: Event;

    /// Accepts or rejects the handshake.
    ///
    /// `Ok` accepts the client; `Err` responds to the handshake with that status and text. If it
    /// returns too late, because the client has left or `connect_timeout` has passed, `disconnect`
    /// runs on its consumer with 1006.
    fn connect(handshake: &mut BlockingHandshake<Self::Event>) -> Result<Self, Rejection>;

    /// Runs once after the handshake is accepted; the first hook that can send.
    fn opened(&mut self, ctx: &mut BlockingContext<Self::Event>) -> crate::Result<()> {
        _ = ctx;
        Ok(())
    }

    /// Handles a message from the client.
    fn receive(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        input: Self::Input,
    ) -> crate::Result<()>;

    /// Handles an event that any consumer, this one included, sent to one of its groups or to its
    /// channel.
    ///
    /// Default: drops the event, and logs a warning that the consumer has no hook for it.
    fn event(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        event: Shared<Self::Event>,
    ) -> crate::Result<()> {
        _ = ctx;
        ignore_event(&event);
        Ok(())
    }

    /// Handles a message that cannot be decoded as `Input`.
    ///
    /// Default: that of [`WebSocketConsumer::malformed`](crate::WebSocketConsumer::malformed).
    fn malformed(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        error: Error,
        message: Message,
    ) -> crate::Result<()> {
        _ = message;
        ctx.log_malformed(&error);
        Ok(ctx.close(close_malformed(&error))?)
    }

    /// Runs when events before the next one may be missing; see
    /// [`WebSocketConsumer::missed`](crate::WebSocketConsumer::missed).
    fn missed(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        missed: Missed,
    ) -> crate::Result<()> {
        match close_missed(missed) {
            Some(close) => Ok(ctx.close(close)?),
            None => Ok(()),
        }
    }

    /// Handles the error that another hook returned; `trigger` is what that hook was handling.
    ///
    /// If it returns `Ok`, the connection remains open; `Err` closes it with 1011.
    ///
    /// Default: that of [`WebSocketConsumer::failed`](crate::WebSocketConsumer::failed).
    fn failed(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        error: Error,
        trigger: Trigger,
    ) -> crate::Result<()> {
        _ = trigger;
        match close_failed(&error, ctx.channels()) {
            Some(close) => Ok(ctx.close(close)?),
            None => Err(error.into()),
        }
    }

    /// The timers that run [`timer`](BlockingConsumer::timer) (default: none).
    const TIMERS: &'static [Timer] = &[];

    /// Runs when one of the [`TIMERS`](BlockingConsumer::TIMERS) is due.
    fn timer(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        timer: &Timer,
    ) -> crate::Result<()> {
        _ = (ctx, timer);
        Ok(())
    }

    /// Runs exactly once when the connection ends, for any reason.
    ///
    /// It runs for every consumer that `connect` returned, after its groups are left, and after a
    /// hook that is still running: a thread cannot be stopped from outside.
    fn disconnect(self, close: Close) {
        _ = close;
    }

    /// Returns the values that this consumer needs in its scope (default: none, so nothing is
    /// checked).
    ///
    /// [`serve`](crate::serve) checks them before it accepts connections, if it serves a
    /// [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter) or
    /// [`PathRouter`](crate::routing::PathRouter); not those of a consumer that it serves without a
    /// router, nor behind a tower layer around the router:
    /// [there](crate::routing::ProtocolTypeRouter::required_state) check them yourself.
    ///
    /// `RequiredState::of::<Database>()` requires a value for `handshake.state::<Database>()`.
    ///
    /// ```
    /// use seaway::RequiredState;
    /// # #[derive(Clone)] struct Database;
    ///
    /// fn required_state() -> RequiredState {
    ///     RequiredState::of::<Database>()
    /// }
    /// # required_state();
    /// ```
    fn required_state() -> RequiredState {
        RequiredState::none()
    }

    /// Returns the application that creates a consumer for each connection: route it, serve it, or
    /// mount it in axum.
    fn application(channels: &Channels) -> BlockingApplication<Self> {
        BlockingApplication::new(channels)
    }
}

/// The application of a blocking consumer, made by [`BlockingConsumer::application`].
///
/// ```
/// use seaway::{BlockingConsumer, BlockingPool, Channels, consumer::BlockingApplication};
///
/// /// Runs the hooks of this consumer on four threads at most.
/// fn application<C: BlockingConsumer>(channels: &Channels) -> BlockingApplication<C> {
///     C::application(channels).pool(&BlockingPool::new(4))
/// }
/// ```
#[must_use = "an application does nothing until it is routed or served"]
pub struct BlockingApplication<C: BlockingConsumer> {
    pub(super) channels: Channels,
    pub(super) pool: Option<BlockingPool>,
    consumer: PhantomData<fn() -> C>,
}

impl<C: BlockingConsumer> BlockingApplication<C> {
    fn new(channels: &Channels) -> Self {
        Self {
            channels: channels.clone(),
            pool: None,
            consumer: PhantomData,
        }
    }

    /// Sets the pool that runs the hooks; several consumers may share one.
    ///
    /// Default: the [shared](BlockingPool::shared) pool.
    pub fn pool(mut self, pool: &BlockingPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }
}

impl<C: BlockingConsumer> Clone for BlockingApplication<C> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            pool: self.pool.clone(),
            consumer: PhantomData,
        }
    }
}

impl<C: BlockingConsumer> fmt::Debug for BlockingApplication<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingApplication")
            .field(&std::any::type_name::<C>())
            .finish()
    }
}
