//! One client's conversation: the trait that users write.

use super::{
    Context, FromMessage, Handshake,
    address::Address,
    disconnect_guard::{DisconnectGuard, disconnected},
    driver,
    handshake::too_slow,
    reply_headers::complete,
    watch::Watch,
};
use crate::{
    application::Application,
    catch_panic::catch_panic,
    channels::{Channels, Event, Missed, Shared},
    error::{Error, ErrorKind, Result},
    message::Close,
    protocol::{Upgrade, WebSocket},
    refusal_log::Rule,
    rejection::Rejection,
    revocation::Revocations,
    scope::Scope,
};
use http::HeaderMap;
use std::{fmt, future::Future, marker::PhantomData, time::Duration};

/// One client's conversation: one value per socket, made by [`connect`](WebSocketConsumer::connect).
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
///         ctx.send(text).await
///     }
/// }
/// ```
///
/// One handler runs at a time, in order: the client's messages and the groups' events take turns. An error returned by a
/// handler ends the conversation with 1011, unless [`failed`](WebSocketConsumer::failed) says otherwise, and is logged with
/// its sources; a panic ends it too, and touches no other connection. See [the guide](mod@crate::consumer) for the whole life of a consumer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no consumer yet",
    label = "put #[consumer] on its `impl` block, or write `impl WebSocketConsumer for {Self}`"
)]
pub trait WebSocketConsumer: Sized + Send + 'static {
    /// What the client says: [`Message`](crate::Message), [`String`], `Bytes`, [`Json<T>`](crate::Json), a type of yours.
    type Input: FromMessage;
    /// What other consumers say: a type of yours, or [`NoEvent`](crate::NoEvent).
    type Event: Event;

    /// Decides at the door. `Ok` accepts the client; `Err` answers the handshake with that status and text.
    fn connect(
        handshake: &mut Handshake<Self::Event>,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// The door is open: the first chance to send.
    fn opened(
        &mut self,
        ctx: &mut Context<Self::Event>,
    ) -> impl Future<Output = Result<()>> + Send {
        _ = ctx;
        async { Ok(()) }
    }

    /// The client said something.
    fn receive(
        &mut self,
        ctx: &mut Context<Self::Event>,
        input: Self::Input,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Another consumer, or this one, said something to a group or to this channel.
    ///
    /// The event is decoded once per process; `ctx.send(Json(event))` sends a message that is made once per process.
    fn event(
        &mut self,
        ctx: &mut Context<Self::Event>,
        event: Shared<Self::Event>,
    ) -> impl Future<Output = Result<()>> + Send {
        _ = (ctx, event);
        async { Ok(()) }
    }

    /// The client said something that is no `Input`. Unless you say otherwise the conversation ends with 1007 and the
    /// reason.
    fn malformed(
        &mut self,
        ctx: &mut Context<Self::Event>,
        error: Error,
    ) -> impl Future<Output = Result<()>> + Send {
        let close = Close::new(Close::INVALID, error.chain());
        ctx.note_malformed();
        async move { ctx.close(close).await }
    }

    /// Runs when events before the next one may be missing, in its place among the events received.
    ///
    /// Default: when this consumer was too slow and its mailbox overflowed, the connection is closed with 1013 (try again
    /// later), so that the client reconnects and reads its state anew. When the channel layer was interrupted the connection
    /// stays open. Both are counted ([`Channels::missed`]); the layer logs its interruptions. A consumer that can read what
    /// it missed from a database does so here.
    fn missed(
        &mut self,
        ctx: &mut Context<Self::Event>,
        missed: Missed,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            match missed {
                Missed::Overflowed { .. } => ctx.close(try_again(missed)).await,
                Missed::Interrupted { .. } => Ok(()),
            }
        }
    }

    /// Runs when a hook has returned an error: `Err` closes the connection with 1011, `Ok` keeps it open.
    ///
    /// Default: an event that was not sent, or may not have been ([`ErrorKind::Layer`], [`ErrorKind::Unconfirmed`]), is
    /// counted ([`Channels::unsent`]) and logged, and closes the connection with 1013 (try again later): the client
    /// learns that what it sent is lost. A session that has ended closes it with 4401, any other error with 1011.
    /// A client that has left and a panic do not come here.
    ///
    /// ```
    /// # use seaway::{Context, Error, ErrorKind, Result};
    /// /// Tells the client when the channel layer is down, and keeps the connection.
    /// async fn failed(ctx: &mut Context, error: Error) -> Result<()> {
    ///     match error.kind() {
    ///         ErrorKind::Layer | ErrorKind::Unconfirmed => ctx.send(format!("not sent: {error}")).await,
    ///         _ => Err(error),
    ///     }
    /// }
    /// ```
    fn failed(
        &mut self,
        ctx: &mut Context<Self::Event>,
        error: Error,
    ) -> impl Future<Output = Result<()>> + Send {
        async move {
            match error.kind() {
                ErrorKind::Layer | ErrorKind::Unconfirmed => {
                    ctx.channels().note_unsent(&error);
                    ctx.close(try_again("an event was not sent")).await
                }
                ErrorKind::Missed => ctx.close(try_again(error)).await,
                ErrorKind::SessionGone => {
                    ctx.close(Close::new(Close::UNAUTHORIZED, error.to_string()))
                        .await
                }
                _ => Err(error),
            }
        }
    }

    /// How often [`tick`](WebSocketConsumer::tick) runs, for each of its timers. None unless you say otherwise.
    const TICKS: &'static [Duration] = &[];

    /// A timer is due: `tick` is its place in [`TICKS`](WebSocketConsumer::TICKS). The first time comes one period after
    /// the door opened; a timer that came due while other handlers ran has its turn once.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use seaway::{Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer};
    ///
    /// struct Clock;
    ///
    /// impl WebSocketConsumer for Clock {
    /// #   type Input = String;
    /// #   type Event = NoEvent;
    /// #   async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Clock) }
    /// #   async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> { Ok(()) }
    ///     const TICKS: &'static [Duration] = &[Duration::from_secs(1)];
    ///
    ///     async fn tick(&mut self, ctx: &mut Context, _: usize) -> Result<()> {
    ///         ctx.send("tick").await
    ///     }
    /// }
    /// ```
    fn tick(
        &mut self,
        ctx: &mut Context<Self::Event>,
        tick: usize,
    ) -> impl Future<Output = Result<()>> + Send {
        _ = (ctx, tick);
        async { Ok(()) }
    }

    /// It is over, whoever ended it. Runs exactly once for every consumer that connected, after its groups are left,
    /// and may take [`DISCONNECT_LIMIT`](mod@crate::consumer#how-it-ends) at most.
    fn disconnect(self, close: Close) -> impl Future<Output = ()> + Send {
        _ = close;
        async {}
    }

    /// The application that holds one conversation after the other: route it, serve it, or mount it in axum.
    ///
    /// # Panics
    /// If one of [`TICKS`](WebSocketConsumer::TICKS) is zero.
    #[track_caller]
    fn application(channels: &Channels) -> ConsumerApplication<Self> {
        assert!(
            Self::TICKS.iter().all(|period| !period.is_zero()),
            "a timer of zero would never rest"
        );
        ConsumerApplication {
            channels: channels.clone(),
            consumer: PhantomData,
        }
    }
}

/// The close frame after which a client is to reconnect and read its state anew.
pub(super) fn try_again(reason: impl fmt::Display) -> Close {
    Close::new(Close::TRY_AGAIN, reason.to_string())
}

/// What [`WebSocketConsumer::application`] returns.
pub struct ConsumerApplication<C> {
    channels: Channels,
    consumer: PhantomData<fn() -> C>,
}

impl<C: WebSocketConsumer> Application<WebSocket> for ConsumerApplication<C> {
    fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: Upgrade,
    ) -> impl Future<Output = Result<()>> + Send {
        // Boxed, so that the memory of a handshake is not kept by the conversation.
        let greeting = Box::pin(greet::<C>(self.channels.clone(), scope, upgrade));
        async move {
            match greeting.await? {
                Some(driver) => driver.run().await,
                None => Ok(()),
            }
        }
    }
}

/// From the client's question to the open door; `None` if it was turned away.
async fn greet<C: WebSocketConsumer>(
    channels: Channels,
    scope: Scope<WebSocket>,
    mut upgrade: Upgrade,
) -> Result<Option<Box<driver::Driver<C>>>> {
    if !upgrade.is_origin_allowed() {
        upgrade.refuse_origin().await?;
        return Ok(None);
    }
    let address = Address::new(channels);
    if let Err(error) = address.open().await {
        upgrade.refuse(error).await?;
        return Ok(None);
    }
    let mut handshake = Handshake {
        scope,
        address,
        headers: HeaderMap::new(),
        event: PhantomData,
    };
    let limit = upgrade.config().connect_timeout;
    let connecting = tokio::time::timeout(limit, catch_panic(|| C::connect(&mut handshake)));
    let connected = tokio::select! {
        biased;
        connected = connecting => connected,
        () = upgrade.abandoned() => return Ok(None),
    };
    let consumer = match connected {
        Ok(Ok(Ok(consumer))) => consumer,
        Ok(Ok(Err(reject))) => {
            upgrade.refuse(reject).await?;
            return Ok(None);
        }
        Ok(Err(panic)) => {
            upgrade.refuse(panic).await?;
            return Ok(None);
        }
        Err(_) => {
            let reject = Rejection::from(too_slow()).by(Rule::ConnectTimeout);
            upgrade.refuse(reject).await?;
            return Ok(None);
        }
    };
    let goodbye = |consumer: C, close| disconnected(move || consumer.disconnect(close));
    let mut consumer = DisconnectGuard::new(consumer, goodbye, upgrade.host().cloned());
    // From here on: what is named later is dropped earlier.
    let Handshake {
        scope,
        address,
        mut headers,
        ..
    } = handshake;
    complete(&mut headers, upgrade.headers_mut());
    *upgrade.headers_mut() = headers;
    let socket = match upgrade.accept().await {
        Ok(socket) => socket,
        Err(error) => {
            drop(address);
            consumer.disconnect(Close::ABNORMAL).await;
            return if error.is_closed() {
                Ok(None)
            } else {
                Err(error)
            };
        }
    };
    let (channels, mailbox) = address.into_parts();
    let mailbox = mailbox.expect("it was opened first");
    let ctx = Context {
        scope,
        sender: socket.sender(),
        channels,
        channel: mailbox.name().clone(),
        event: PhantomData,
    };
    let watching = async {
        match ctx.scope.get::<Revocations>() {
            Ok(ties) => Watch::over(ties, &ctx.channels, &ctx.channel)
                .await
                .map(Some),
            Err(_) => Ok(None),
        }
    };
    let watching = tokio::time::timeout(limit, watching).await;
    let watch = match watching.unwrap_or(Err(Close::from(Close::TRY_AGAIN))) {
        Ok(watch) => watch,
        Err(close) => {
            drop((mailbox, ctx));
            let close = socket.close(close).await;
            consumer.disconnect(close).await;
            return Ok(None);
        }
    };
    let driver = driver::Driver::new(consumer, ctx, socket, mailbox, watch);
    Ok(Some(Box::new(driver)))
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
