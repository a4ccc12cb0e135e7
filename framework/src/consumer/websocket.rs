//! The trait of WebSocket consumers.

use super::{
    Context, Handshake, Timer, Trigger,
    defaults::{close_failed, close_malformed, close_missed, ignore_event},
};
use crate::{
    channels::{Channels, Event, Missed, Shared},
    codec::FromMessage,
    error::{Error, Result},
    message::{Close, Message},
    rejection::Rejection,
    required_state::RequiredState,
};
use std::{fmt, future::Future, marker::PhantomData};

/// A WebSocket consumer: one value per connection, created by
/// [`connect`](WebSocketConsumer::connect).
///
/// ```
/// use seaway::{Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer};
///
/// struct Echo;
///
/// impl WebSocketConsumer for Echo {
///     type Input = String;
///     type Event = NoEvent;
///
///     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
///         Ok(Echo)
///     }
///     async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
///         Ok(ctx.send(text).await?)
///     }
/// }
/// ```
///
/// One hook runs at a time, in order; the client's messages and the groups' events alternate. An
/// error returned by a hook goes to [`failed`](WebSocketConsumer::failed), which by default closes
/// the connection: with 1013 after an error of the channel layer, with 4401 if the session has
/// ended, otherwise with 1011, and logs the error with its sources. A panic closes the connection
/// with 1011, and affects no other connection. See [the guide](mod@crate::consumer) for all hooks,
/// close codes and limits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `WebSocketConsumer`",
    label = "put #[consumer] on its `impl` block, or write `impl WebSocketConsumer for {Self}`"
)]
pub trait WebSocketConsumer: Sized + Send + 'static {
    /// The type of the client's messages: [`Message`](crate::Message), [`String`], `Bytes`,
    /// [`Json<T>`](crate::Json), or your own type.
    type Input: FromMessage;
    /// The type of events from other consumers: your type, or [`NoEvent`](crate::NoEvent).
    type Event: Event;

    /// Accepts or rejects the handshake.
    ///
    /// `Ok` accepts the client; `Err` responds to the handshake with that status and text.
    fn connect(
        handshake: &mut Handshake<Self::Event>,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Runs once after the handshake is accepted; the first hook that can send.
    fn opened(
        &mut self,
        ctx: &mut Context<Self::Event>,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        _ = ctx;
        async { Ok(()) }
    }

    /// Handles a message from the client.
    fn receive(
        &mut self,
        ctx: &mut Context<Self::Event>,
        input: Self::Input,
    ) -> impl Future<Output = crate::Result<()>> + Send;

    /// Handles an event that any consumer, this one included, sent to one of its groups or to its
    /// channel.
    ///
    /// The event is decoded once per process; `ctx.send(Json(event))` sends a message that is
    /// encoded once per process. Default: drops the event, and logs a warning that the consumer has
    /// no hook for it.
    fn event(
        &mut self,
        ctx: &mut Context<Self::Event>,
        event: Shared<Self::Event>,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        _ = ctx;
        ignore_event(&event);
        async { Ok(()) }
    }

    /// Handles a message that cannot be decoded as `Input`.
    ///
    /// `{error:#}` has serde's own reason: "unexpected JSON: missing field `text` at line 1 column
    /// 14". `message` is what the client sent. Default: closes the connection with 1007, and as the
    /// reason the message of an [`ErrorKind::Codec`](crate::ErrorKind::Codec), with serde's own. If
    /// your [`FromMessage`](crate::FromMessage) fails with another error, such as that of a query,
    /// the reason does not contain it, and the log does. A hook of yours that sends `{error:#}` to
    /// the client sends the whole error.
    ///
    /// ```
    /// # use seaway::{Context, Error, Json, Message, Result};
    /// # use serde_json::{Value, json};
    /// # struct Room;
    /// # impl Room {
    /// /// Replies under the id of the request, if it has one.
    /// async fn malformed(&mut self, ctx: &mut Context, error: Error, message: Message) -> Result<()> {
    ///     let request: Value = serde_json::from_slice(message.payload())?;
    ///     let reason = format!("{error:#}");
    ///     Ok(ctx.send(Json(json!({"id": request["id"], "error": reason}))).await?)
    /// }
    /// # }
    /// ```
    fn malformed(
        &mut self,
        ctx: &mut Context<Self::Event>,
        error: Error,
        message: Message,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        _ = message;
        let close = close_malformed(&error);
        ctx.log_malformed(&error);
        async move { Ok(ctx.close(close)?) }
    }

    /// Runs when events may be missing between the last one and the next one received.
    ///
    /// Default: if this consumer was too slow and its mailbox overflowed, closes the connection
    /// with 1013 (try again later), so that the client reconnects and reloads its state. If the
    /// channel layer was interrupted, the connection remains open. Both are counted
    /// ([`Channels::missed`]); the layer logs its interruptions. A consumer that can read missed
    /// events from a database does so here.
    ///
    /// ```
    /// # use seaway::{Context, Handshake, Missed, NoEvent, Rejection, Result, WebSocketConsumer};
    /// # struct Board;
    /// impl WebSocketConsumer for Board {
    /// #   type Input = String;
    /// #   type Event = NoEvent;
    /// #   async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Board) }
    /// #   async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> { Ok(()) }
    ///     async fn missed(&mut self, ctx: &mut Context, _: Missed) -> Result<()> {
    ///         Ok(ctx.send("reload").await?)
    ///     }
    /// #   // …
    /// }
    /// ```
    fn missed(
        &mut self,
        ctx: &mut Context<Self::Event>,
        missed: Missed,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        async move {
            match close_missed(missed) {
                Some(close) => Ok(ctx.close(close)?),
                None => Ok(()),
            }
        }
    }

    /// Handles the error that another hook returned; `trigger` is what that hook was handling.
    ///
    /// If it returns `Ok`, the connection remains open; `Err` closes it with 1011.
    ///
    /// Default: an event that was not sent, or may not have been ([`Layer`], [`ChannelFull`],
    /// [`Unconfirmed`]), is counted ([`Channels::unsent`]) and logged, and closes the connection
    /// with 1013 (try again later), so that the client learns of the loss. [`Missed`][missed] also
    /// closes it with 1013, a session that has ended with 4401, any other error with 1011. The hook
    /// does not run if this client has left ([`Closed`]), nor after a panic; it does if a send to
    /// another client fails because that one has left.
    ///
    /// [`Layer`]: crate::ErrorKind::Layer
    /// [`ChannelFull`]: crate::ErrorKind::ChannelFull
    /// [`Unconfirmed`]: crate::ErrorKind::Unconfirmed
    /// [`Closed`]: crate::ErrorKind::Closed
    /// [missed]: crate::ErrorKind::Missed
    ///
    /// ```
    /// # use seaway::{Context, Error, ErrorKind, Result, consumer::Trigger};
    /// # struct Room;
    /// # impl Room {
    /// /// Reports to the client that the channel layer is down, and keeps the connection open.
    /// async fn failed(&mut self, ctx: &mut Context, error: Error, _: Trigger) -> Result<()> {
    ///     match error.kind() {
    ///         ErrorKind::Layer => ctx.send("not sent; try again").await?,
    ///         ErrorKind::Unconfirmed => ctx.send("perhaps not sent; reload to see").await?,
    ///         _ => return Err(error.into()),
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    fn failed(
        &mut self,
        ctx: &mut Context<Self::Event>,
        error: Error,
        trigger: Trigger,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        _ = trigger;
        async move {
            match close_failed(&error, ctx.channels()) {
                Some(close) => Ok(ctx.close(close)?),
                None => Err(error.into()),
            }
        }
    }

    /// The timers that run [`timer`](WebSocketConsumer::timer) (default: none).
    const TIMERS: &'static [Timer] = &[];

    /// Runs when one of the [`TIMERS`](WebSocketConsumer::TIMERS) is due; with several, match on its
    /// name.
    ///
    /// Each is due for the first time one period after the connection opened. A timer that came due
    /// while other hooks ran runs once afterwards, however many periods were missed.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use seaway::{Context, Handshake, NoEvent, Rejection, Result, Timer, WebSocketConsumer};
    ///
    /// struct Clock;
    ///
    /// impl WebSocketConsumer for Clock {
    /// #   type Input = String;
    /// #   type Event = NoEvent;
    /// #   async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Clock) }
    /// #   async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> { Ok(()) }
    ///     const TIMERS: &'static [Timer] = &[Timer::every("tick", Duration::from_secs(1))];
    ///
    ///     async fn timer(&mut self, ctx: &mut Context, timer: &Timer) -> Result<()> {
    ///         Ok(ctx.send(timer.name()).await?)
    ///     }
    /// }
    /// ```
    fn timer(
        &mut self,
        ctx: &mut Context<Self::Event>,
        timer: &Timer,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        _ = (ctx, timer);
        async { Ok(()) }
    }

    /// Runs exactly once when the connection ends, for any reason.
    ///
    /// It runs for every consumer that `connect` returned, after its groups are left, for 30 s at
    /// most (fixed); see [how a connection ends](mod@crate::consumer#how-it-ends).
    fn disconnect(self, close: Close) -> impl Future<Output = ()> + Send {
        _ = close;
        async {}
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
    /// `#[consumer]` returns what the fields of `#[derive(WebSocketConsumer)]` need. By hand:
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
    fn application(channels: &Channels) -> ConsumerApplication<Self> {
        ConsumerApplication::new(channels)
    }
}

/// The application of a WebSocket consumer, made by [`WebSocketConsumer::application`].
#[must_use = "an application does nothing until it is routed or served"]
pub struct ConsumerApplication<C> {
    pub(super) channels: Channels,
    consumer: PhantomData<fn() -> C>,
}

impl<C: WebSocketConsumer> ConsumerApplication<C> {
    fn new(channels: &Channels) -> Self {
        Self {
            channels: channels.clone(),
            consumer: PhantomData,
        }
    }
}

impl<C> Clone for ConsumerApplication<C> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            consumer: PhantomData,
        }
    }
}

impl<C> fmt::Debug for ConsumerApplication<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConsumerApplication")
            .field(&std::any::type_name::<C>())
            .finish()
    }
}
