//! The application of a blocking consumer: an async consumer that runs its hooks on a pool.

use super::{BlockingConsumer, BlockingContext, hooks::Driver};
use crate::{
    application::Application,
    blocking::BlockingPool,
    channels::{Channels, Missed, Shared},
    consumer::{
        ConsumerApplication, Context, FromMessage, Handshake, WebSocketConsumer,
        disconnect_guard::{DisconnectGuard, DisconnectHook},
    },
    error::{Error, ErrorKind, Result},
    message::{Close, Message},
    protocol::{Upgrade, WebSocket},
    rejection::Rejection,
    scope::Scope,
};
use std::{fmt, time::Duration};

/// The application of a blocking consumer, made by [`BlockingConsumer::application`].
pub struct BlockingApplication<C: BlockingConsumer> {
    inner: ConsumerApplication<Deputy<C>>,
    pool: Option<BlockingPool>,
}

impl<C: BlockingConsumer> BlockingApplication<C> {
    pub(super) fn new(channels: &Channels) -> Self {
        Self {
            inner: Deputy::application(channels),
            pool: None,
        }
    }

    /// Sets the pool that runs the hooks; several consumers may share one.
    ///
    /// Default: the [shared](BlockingPool::shared) pool.
    #[must_use]
    pub fn pool(mut self, pool: &BlockingPool) -> Self {
        self.pool = Some(pool.clone());
        self
    }
}

impl<C: BlockingConsumer> Application<WebSocket> for BlockingApplication<C> {
    async fn call(&self, mut scope: Scope<WebSocket>, upgrade: Upgrade) -> Result<()> {
        let pool = self.pool.clone().unwrap_or_else(BlockingPool::shared);
        let driver = Driver::<C>::new(pool);
        let start =
            |driver: Driver<C>, close| -> DisconnectHook { Box::pin(driver.disconnect(close)) };
        let mut guard = DisconnectGuard::new(driver.clone(), start, upgrade.host().cloned());
        scope.insert(driver);
        let outcome = self.inner.call(scope, upgrade).await;
        // A hook may still run after the connection has ended; until it returns, this client counts
        // towards the server's `max_connections`.
        guard.disconnect(Close::ABNORMAL).await;
        outcome
    }
}

/// The async consumer that stands for a blocking one, and runs its hooks through the driver.
struct Deputy<C: BlockingConsumer>(Driver<C>);

impl<C: BlockingConsumer> WebSocketConsumer for Deputy<C> {
    /// The consumer's own input is decoded on the pool: large JSON takes processor time.
    type Input = Message;
    type Event = C::Event;

    const TICKS: &'static [Duration] = C::TICKS;

    async fn connect(handshake: &mut Handshake<C::Event>) -> Result<Self, Rejection> {
        let driver = handshake.scope_mut().extensions.remove::<Driver<C>>();
        let driver = driver.ok_or_else(|| {
            let missing = "the scope has no driver of this blocking consumer";
            Error::new(ErrorKind::Missing, missing)
        })?;
        driver.connect(handshake).await?;
        Ok(Self(driver))
    }

    async fn opened(&mut self, ctx: &mut Context<C::Event>) -> Result<()> {
        self.0.open(BlockingContext(ctx.lend()));
        self.0.attend(C::opened).await
    }

    async fn receive(&mut self, _: &mut Context<C::Event>, message: Message) -> Result<()> {
        let receive =
            |consumer: &mut C, ctx: &mut BlockingContext<C::Event>| match C::Input::from_message(
                message,
            ) {
                Ok(input) => consumer.receive(ctx, input),
                Err(error) => consumer.malformed(ctx, error),
            };
        self.0.attend(receive).await
    }

    async fn event(&mut self, _: &mut Context<C::Event>, event: Shared<C::Event>) -> Result<()> {
        let hear = |consumer: &mut C, ctx: &mut _| consumer.event(ctx, event);
        self.0.attend(hear).await
    }

    async fn missed(&mut self, _: &mut Context<C::Event>, missed: Missed) -> Result<()> {
        let miss = move |consumer: &mut C, ctx: &mut _| consumer.missed(ctx, missed);
        self.0.attend(miss).await
    }

    async fn failed(&mut self, _: &mut Context<C::Event>, error: Error) -> Result<()> {
        let fail = |consumer: &mut C, ctx: &mut _| consumer.failed(ctx, error);
        self.0.attend(fail).await
    }

    async fn tick(&mut self, _: &mut Context<C::Event>, tick: usize) -> Result<()> {
        let tick = move |consumer: &mut C, ctx: &mut _| consumer.tick(ctx, tick);
        self.0.attend(tick).await
    }

    async fn disconnect(self, close: Close) {
        // The application runs it: it may take longer than an async consumer's.
        self.0.close(close);
    }
}

impl<C: BlockingConsumer> Clone for BlockingApplication<C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            pool: self.pool.clone(),
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
