//! The application of a blocking consumer, whose hooks run on the pool.

use super::{BlockingApplication, BlockingConsumer, BlockingContext, BlockingHandshake};
use crate::{
    application::Application,
    blocking::{BlockingPool, runtime_ended},
    channels::{Missed, Shared},
    codec::FromMessage,
    consumer::{
        Context, Handshake, Trigger, connect::serve, disconnect_guard::DisconnectHook, hooks::Hooks,
    },
    error::{Error, Result},
    log_limit::log_limited,
    message::{Close, Message},
    protocol::{Upgrade, WebSocket},
    rejection::Rejection,
    required_state::RequiredState,
    scope::Scope,
};
use std::{
    any::type_name,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

impl<C: BlockingConsumer> Application<WebSocket> for BlockingApplication<C> {
    fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: Upgrade,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        scope.record("consumer", type_name::<C>());
        let pool = self.pool.clone().unwrap_or_else(BlockingPool::shared);
        let hooks = BlockingHooks::<C>::new(pool);
        serve(hooks, self.channels.clone(), scope, upgrade)
    }

    fn required_state(&self) -> RequiredState {
        C::required_state().by(type_name::<C>())
    }
}

/// A consumer and its context between hooks. A hook takes them to its thread and returns them, so
/// nothing is locked while it runs. A hook that is no longer awaited runs to its end, and
/// `disconnect` after it.
pub(super) struct BlockingHooks<C: BlockingConsumer> {
    pool: BlockingPool,
    /// `None` until `connect` has returned it, and while a hook runs.
    consumer: Option<C>,
    /// `None` until the handshake is accepted, and while a hook runs.
    ctx: Option<BlockingContext<C::Event>>,
    /// The running hook, which returns the consumer.
    running: Option<JoinHandle<Option<C>>>,
}

impl<C: BlockingConsumer> BlockingHooks<C> {
    pub(super) fn new(pool: BlockingPool) -> Self {
        Self {
            pool,
            consumer: None,
            ctx: None,
            running: None,
        }
    }

    /// Runs a hook that needs the context.
    ///
    /// # Cancel safety
    /// As [`run`](BlockingHooks::run). The context is then dropped: only `disconnect` follows.
    async fn run_hook(
        &mut self,
        hook: impl FnOnce(&mut C, &mut BlockingContext<C::Event>) -> crate::Result<()> + Send + 'static,
    ) -> crate::Result<()> {
        let mut ctx = self.ctx.take().ok_or_else(runtime_ended)?;
        let call = move |consumer: &mut Option<C>| {
            let consumer = consumer.as_mut().expect("`connect` comes first");
            let outcome = hook(consumer, &mut ctx);
            (ctx, outcome)
        };
        let (ctx, outcome) = self.run(call).await?;
        self.ctx = Some(ctx);
        outcome
    }

    /// Runs a call with the consumer on the pool. The caller catches its panic, as for async
    /// consumers.
    ///
    /// # Cancel safety
    /// A call that still waits for the pool never runs; one that has started runs to its end.
    async fn run<T: Send + 'static>(
        &mut self,
        call: impl FnOnce(&mut Option<C>) -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.pool.permit().await?;
        let mut consumer = self.consumer.take();
        let (sender, mut receiver) = oneshot::channel();
        self.running = Some(permit.spawn(move || {
            let output = catch_unwind(AssertUnwindSafe(|| call(&mut consumer)));
            // If the call is no longer awaited, this drops its output, before `disconnect`.
            _ = sender.send(output);
            consumer
        }));
        self.wait_for_call().await;
        let output = receiver.try_recv().map_err(|_| runtime_ended())?;
        Ok(output.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Waits for the running call, if there is one, and takes the consumer back.
    ///
    /// # Cancel safety
    /// Safe: the consumer is not lost.
    async fn wait_for_call(&mut self) {
        if let Some(running) = &mut self.running {
            // `Err`: the runtime ended before the call started, and has dropped the consumer.
            self.consumer = running.await.unwrap_or(None);
            self.running = None;
        }
    }
}

impl<C: BlockingConsumer> Hooks for BlockingHooks<C> {
    type Event = C::Event;

    const TICKS: &'static [Duration] = C::TICKS;

    const TICK_NAMES: &'static [&'static str] = C::TICK_NAMES;

    async fn connect(
        &mut self,
        handshake: Handshake<C::Event>,
    ) -> Result<Handshake<C::Event>, Rejection> {
        let mut handshake = BlockingHandshake(handshake);
        let connect = move |consumer: &mut Option<C>| {
            *consumer = Some(C::connect(&mut handshake)?);
            Ok(handshake.0)
        };
        self.run(connect).await?
    }

    fn set_context(&mut self, ctx: Context<C::Event>) {
        self.ctx = Some(BlockingContext(ctx));
    }

    async fn opened(&mut self) -> crate::Result<()> {
        self.run_hook(C::opened).await
    }

    async fn receive(&mut self, message: Message) -> crate::Result<()> {
        // Decoded on the pool: large JSON takes processor time.
        let receive = |consumer: &mut C, ctx: &mut _| match C::Input::decode(message) {
            Ok(input) => consumer.receive(ctx, input),
            Err((error, message)) => consumer.malformed(ctx, error.into(), message),
        };
        self.run_hook(receive).await
    }

    async fn event(&mut self, event: Shared<C::Event>) -> crate::Result<()> {
        let hook = |consumer: &mut C, ctx: &mut _| consumer.event(ctx, event);
        self.run_hook(hook).await
    }

    async fn missed(&mut self, missed: Missed) -> crate::Result<()> {
        let hook = move |consumer: &mut C, ctx: &mut _| consumer.missed(ctx, missed);
        self.run_hook(hook).await
    }

    async fn failed(&mut self, error: Error, trigger: Trigger) -> crate::Result<()> {
        let hook = move |consumer: &mut C, ctx: &mut _| consumer.failed(ctx, error, trigger);
        self.run_hook(hook).await
    }

    async fn tick(&mut self, tick: usize) -> crate::Result<()> {
        let hook = move |consumer: &mut C, ctx: &mut _| consumer.tick(ctx, tick);
        self.run_hook(hook).await
    }

    /// Waits for a hook that still runs, and then runs the consumer's `disconnect`, without a limit
    /// for either.
    fn disconnect(mut self, close: Close) -> DisconnectHook {
        self.ctx = None;
        Box::pin(async move {
            self.wait_for_call().await;
            let Some(consumer) = self.consumer else {
                return;
            };
            match self.pool.run(move || consumer.disconnect(close)).await {
                Err(error) if !error.is_closed() => {
                    log_limited!(error, error = %format_args!("{error:#}"), "a consumer's disconnect panicked");
                }
                _ => {}
            }
        })
    }
}
