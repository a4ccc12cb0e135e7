//! The application of a WebSocket consumer, whose hooks run on the connection's task.

use super::{
    ConsumerApplication, Context, Handshake, Timer, Trigger, WebSocketConsumer,
    connect::serve,
    disconnect_guard::{DisconnectHook, Disconnects, disconnected},
    hooks::{Connect, Connected, Hooks},
};
use crate::{
    application::Application,
    channels::{Missed, Shared},
    codec::FromMessage,
    error::{Error, Result},
    message::{Close, Message},
    protocol::{Upgrade, WebSocket},
    rejection::Rejection,
    required_state::RequiredState,
    scope::Scope,
};
use std::{
    any::type_name,
    future::{Future, ready},
    marker::PhantomData,
};

impl<C: WebSocketConsumer> Application<WebSocket> for ConsumerApplication<C> {
    fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: Upgrade,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        scope.record("consumer", type_name::<C>());
        serve(
            AsyncStart::<C>(PhantomData),
            self.channels.clone(),
            scope,
            upgrade,
        )
    }

    fn required_state(&self) -> RequiredState {
        C::required_state().by(type_name::<C>())
    }
}

/// An async consumer before `connect`.
struct AsyncStart<C>(PhantomData<fn() -> C>);

impl<C: WebSocketConsumer> Connect for AsyncStart<C> {
    type Event = C::Event;
    type Connected = AsyncConnected<C>;

    async fn connect(
        &mut self,
        mut handshake: Handshake<C::Event>,
    ) -> Result<(AsyncConnected<C>, Handshake<C::Event>), Rejection> {
        let consumer = C::connect(&mut handshake).await?;
        Ok((AsyncConnected(consumer), handshake))
    }
}

impl<C: WebSocketConsumer> Disconnects for AsyncStart<C> {
    type End = Close;

    /// Does nothing: a `connect` that is no longer awaited does not continue.
    fn disconnect(self, _: Close) -> DisconnectHook {
        Box::pin(ready(Ok(())))
    }
}

/// An async consumer whose handshake is not accepted yet.
struct AsyncConnected<C>(C);

impl<C: WebSocketConsumer> Connected for AsyncConnected<C> {
    type Event = C::Event;
    type Hooks = AsyncHooks<C>;

    fn open(self, ctx: Context<C::Event>) -> AsyncHooks<C> {
        let Self(consumer) = self;
        AsyncHooks { consumer, ctx }
    }
}

impl<C: WebSocketConsumer> Disconnects for AsyncConnected<C> {
    type End = Close;

    fn disconnect(self, close: Close) -> DisconnectHook {
        disconnected(move || self.0.disconnect(close))
    }
}

/// An async consumer with its open connection.
struct AsyncHooks<C: WebSocketConsumer> {
    consumer: C,
    ctx: Context<C::Event>,
}

impl<C: WebSocketConsumer> Hooks for AsyncHooks<C> {
    type Event = C::Event;

    const TIMERS: &'static [Timer] = C::TIMERS;

    fn opened(&mut self) -> impl Future<Output = crate::Result<()>> + Send {
        let Self { consumer, ctx } = self;
        consumer.opened(ctx)
    }

    async fn receive(&mut self, message: Message) -> crate::Result<()> {
        let Self { consumer, ctx } = self;
        match C::Input::decode(message) {
            Ok(input) => consumer.receive(ctx, input).await,
            Err((error, message)) => consumer.malformed(ctx, error.into(), message).await,
        }
    }

    fn event(&mut self, event: Shared<C::Event>) -> impl Future<Output = crate::Result<()>> + Send {
        let Self { consumer, ctx } = self;
        consumer.event(ctx, event)
    }

    fn missed(&mut self, missed: Missed) -> impl Future<Output = crate::Result<()>> + Send {
        let Self { consumer, ctx } = self;
        consumer.missed(ctx, missed)
    }

    fn failed(
        &mut self,
        error: Error,
        trigger: Trigger,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        let Self { consumer, ctx } = self;
        consumer.failed(ctx, error, trigger)
    }

    fn timer(&mut self, timer: &'static Timer) -> impl Future<Output = crate::Result<()>> + Send {
        let Self { consumer, ctx } = self;
        consumer.timer(ctx, timer)
    }
}

impl<C: WebSocketConsumer> Disconnects for AsyncHooks<C> {
    type End = Close;

    fn disconnect(self, close: Close) -> DisconnectHook {
        let Self { consumer, ctx } = self;
        drop(ctx);
        disconnected(move || consumer.disconnect(close))
    }
}
