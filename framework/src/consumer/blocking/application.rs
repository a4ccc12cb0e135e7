//! The application of a blocking consumer, whose hooks run on a pool.

use super::{BlockingConsumer, hooks::BlockingHooks};
use crate::{
    application::Application,
    blocking::BlockingPool,
    channels::Channels,
    consumer::opening::serve,
    error::Result,
    protocol::{Upgrade, WebSocket},
    scope::Scope,
};
use std::{fmt, future::Future, marker::PhantomData};

/// The application of a blocking consumer, made by [`BlockingConsumer::application`].
pub struct BlockingApplication<C: BlockingConsumer> {
    channels: Channels,
    pool: Option<BlockingPool>,
    consumer: PhantomData<fn() -> C>,
}

impl<C: BlockingConsumer> BlockingApplication<C> {
    pub(super) fn new(channels: &Channels) -> Self {
        Self {
            channels: channels.clone(),
            pool: None,
            consumer: PhantomData,
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
    fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: Upgrade,
    ) -> impl Future<Output = Result<()>> + Send {
        let pool = self.pool.clone().unwrap_or_else(BlockingPool::shared);
        let hooks = BlockingHooks::<C>::new(pool);
        serve(hooks, self.channels.clone(), scope, upgrade)
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
