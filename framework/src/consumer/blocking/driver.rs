//! One conversation's hooks: one at a time, on the pool, whether anybody waits for them or not.

use super::{BlockingConsumer, BlockingContext, BlockingHandshake};
use crate::{
    blocking::BlockingPool, consumer::Handshake, error::Result, log_limit::log_limited,
    message::Close, rejection::Rejection,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};
use tokio_util::task::TaskTracker;

/// Where a consumer and its context are while no hook runs. A hook takes them to its thread and brings them back, so
/// nothing is locked while it runs; and whoever waits for it may go, which the hook cannot.
pub(super) struct Driver<C: BlockingConsumer>(Arc<Inner<C>>);

struct Inner<C: BlockingConsumer> {
    pool: BlockingPool,
    resting: Mutex<Resting<C>>,
    /// The hook that runs, if one does.
    running: TaskTracker,
}

struct Resting<C: BlockingConsumer> {
    consumer: Option<C>,
    ctx: Option<BlockingContext<C::Event>>,
    /// How it ended, once it has.
    close: Option<Close>,
}

impl<C: BlockingConsumer> Driver<C> {
    pub(super) fn new(pool: BlockingPool) -> Self {
        Self(Arc::new(Inner {
            pool,
            resting: Mutex::new(Resting {
                consumer: None,
                ctx: None,
                close: None,
            }),
            running: TaskTracker::new(),
        }))
    }

    /// Runs `connect`; the consumer that it makes rests here, even if nobody waits for it any more.
    pub(super) async fn connect(
        &self,
        handshake: &mut Handshake<C::Event>,
    ) -> Result<(), Rejection> {
        let place = self.0.pool.place().await?;
        let (driver, token) = (self.clone(), self.0.running.token());
        let mut lent = BlockingHandshake(handshake.lend());
        let connecting = place.occupy(move || {
            let _running = token;
            let connected = catch_unwind(AssertUnwindSafe(|| C::connect(&mut lent)));
            let connected = connected.map(|connected| {
                connected.map(|consumer| {
                    driver.resting().consumer = Some(consumer);
                })
            });
            (connected, lent.0)
        });
        let (connected, lent) = connecting.await?;
        *handshake = lent;
        // A panic goes on to whoever guards against those of async consumers.
        connected.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// The door is open: what hooks are given from now on.
    pub(super) fn open(&self, ctx: BlockingContext<C::Event>) {
        self.resting().ctx = Some(ctx);
    }

    /// Runs a hook.
    ///
    /// # Cancel safety
    /// A hook that waits for its place never runs; one that runs goes on to its end.
    pub(super) async fn attend(
        &self,
        hook: impl FnOnce(&mut C, &mut BlockingContext<C::Event>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let place = self.0.pool.place().await?;
        let (driver, token) = (self.clone(), self.0.running.token());
        let handled = place.occupy(move || {
            let _running = token;
            driver.run(hook)
        });
        handled.await?.unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn run(
        &self,
        hook: impl FnOnce(&mut C, &mut BlockingContext<C::Event>) -> Result<()>,
    ) -> thread::Result<Result<()>> {
        let (consumer, ctx) = {
            let mut resting = self.resting();
            (resting.consumer.take(), resting.ctx.take())
        };
        let mut consumer = consumer.expect("one hook runs at a time, after `connect`");
        let mut ctx = ctx.expect("one hook runs at a time, after the door was opened");
        let handled = catch_unwind(AssertUnwindSafe(|| hook(&mut consumer, &mut ctx)));
        let mut resting = self.resting();
        resting.consumer = Some(consumer);
        resting.ctx = Some(ctx);
        handled
    }

    /// Notes how it ended.
    pub(super) fn close(&self, close: Close) {
        self.resting().close = Some(close);
    }

    /// Lets the consumer go, if there is one, once its hook has ended. It takes as long as they take. `close` says how it
    /// ended if nothing else does: nobody waited for `connect` any more.
    pub(super) async fn disconnect(self, close: Close) {
        self.0.running.close();
        self.0.running.wait().await;
        let (consumer, noted) = {
            let mut resting = self.resting();
            // A hook that nobody awaited has brought back its context after the conversation's own was dropped.
            resting.ctx = None;
            (resting.consumer.take(), resting.close.take())
        };
        let Some(consumer) = consumer else {
            return;
        };
        let close = noted.unwrap_or(close);
        match self.0.pool.run(move || consumer.disconnect(close)).await {
            Err(error) if !error.is_closed() => {
                log_limited!(error, %error, "a consumer's disconnect panicked");
            }
            _ => {}
        }
    }

    fn resting(&self) -> MutexGuard<'_, Resting<C>> {
        let lock = self.0.resting.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl<C: BlockingConsumer> Clone for Driver<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
