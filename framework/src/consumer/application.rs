//! The application of a WebSocket consumer, whose hooks run on the connection's task.

use super::{
    ConsumerApplication, Context, Handshake, Trigger, WebSocketConsumer,
    connect::serve,
    disconnect_guard::{DisconnectHook, disconnected},
    hooks::Hooks,
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
    time::Duration,
};

impl<C: WebSocketConsumer> Application<WebSocket> for ConsumerApplication<C> {
    fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: Upgrade,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        scope.record("consumer", type_name::<C>());
        let hooks = AsyncHooks::<C> {
            consumer: None,
            ctx: None,
        };
        serve(hooks, self.channels.clone(), scope, upgrade)
    }

    fn required_state(&self) -> RequiredState {
        C::required_state().by(type_name::<C>())
    }
}

/// The hooks of an async consumer.
struct AsyncHooks<C: WebSocketConsumer> {
    /// `None` until `connect` has returned it.
    consumer: Option<C>,
    /// `None` until the handshake is accepted.
    ctx: Option<Context<C::Event>>,
}

impl<C: WebSocketConsumer> AsyncHooks<C> {
    fn parts(&mut self) -> (&mut C, &mut Context<C::Event>) {
        let consumer = self.consumer.as_mut().expect("`connect` comes first");
        let ctx = self.ctx.as_mut().expect("the handshake is accepted first");
        (consumer, ctx)
    }
}

impl<C: WebSocketConsumer> Hooks for AsyncHooks<C> {
    type Event = C::Event;

    const TICKS: &'static [Duration] = C::TICKS;

    const TICK_NAMES: &'static [&'static str] = C::TICK_NAMES;

    async fn connect(
        &mut self,
        mut handshake: Handshake<C::Event>,
    ) -> Result<Handshake<C::Event>, Rejection> {
        self.consumer = Some(C::connect(&mut handshake).await?);
        Ok(handshake)
    }

    fn set_context(&mut self, ctx: Context<C::Event>) {
        self.ctx = Some(ctx);
    }

    fn opened(&mut self) -> impl Future<Output = crate::Result<()>> + Send {
        let (consumer, ctx) = self.parts();
        consumer.opened(ctx)
    }

    async fn receive(&mut self, message: Message) -> crate::Result<()> {
        let (consumer, ctx) = self.parts();
        match C::Input::decode(message) {
            Ok(input) => consumer.receive(ctx, input).await,
            Err((error, message)) => consumer.malformed(ctx, error.into(), message).await,
        }
    }

    fn event(&mut self, event: Shared<C::Event>) -> impl Future<Output = crate::Result<()>> + Send {
        let (consumer, ctx) = self.parts();
        consumer.event(ctx, event)
    }

    fn missed(&mut self, missed: Missed) -> impl Future<Output = crate::Result<()>> + Send {
        let (consumer, ctx) = self.parts();
        consumer.missed(ctx, missed)
    }

    fn failed(
        &mut self,
        error: Error,
        trigger: Trigger,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        let (consumer, ctx) = self.parts();
        consumer.failed(ctx, error, trigger)
    }

    fn tick(&mut self, tick: usize) -> impl Future<Output = crate::Result<()>> + Send {
        let (consumer, ctx) = self.parts();
        consumer.tick(ctx, tick)
    }

    fn disconnect(self, close: Close) -> DisconnectHook {
        drop(self.ctx);
        match self.consumer {
            Some(consumer) => disconnected(move || consumer.disconnect(close)),
            None => Box::pin(ready(())),
        }
    }
}
