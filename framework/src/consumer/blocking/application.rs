//! The application of a blocking consumer, whose hooks run on a pool.

use super::{BlockingApplication, BlockingConsumer, hooks::BlockingHooks};
use crate::{
    application::Application,
    blocking::BlockingPool,
    consumer::connect::serve,
    protocol::{Upgrade, WebSocket},
    required_state::RequiredState,
    scope::Scope,
};
use std::{any::type_name, future::Future};

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
