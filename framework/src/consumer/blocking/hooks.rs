//! The driver of a blocking consumer: one hook at a time, on the pool, awaited or not.

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

/// A consumer and its context between hooks. A hook takes them to its thread and returns them, so
/// nothing is locked while it runs. The task that awaits a hook may be dropped; the hook itself
/// runs to its end.
pub(super) struct Driver<C: BlockingConsumer>(Arc<Inner<C>>);

struct Inner<C: BlockingConsumer> {
    pool: BlockingPool,
    resting: Mutex<Resting<C>>,
    /// The running hook, if there is one.
    running: TaskTracker,
}

struct Resting<C: BlockingConsumer> {
    consumer: Option<C>,
    ctx: Option<BlockingContext<C::Event>>,
    /// How the connection ended, once it has.
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

    /// Runs `connect`, and stores the consumer that it returns, even if it is no longer awaited.
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
        // The caller catches panics, as for async consumers.
        connected.unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Sets the context for the hooks, once the handshake is accepted.
    pub(super) fn open(&self, ctx: BlockingContext<C::Event>) {
        self.resting().ctx = Some(ctx);
    }

    /// Runs a hook.
    ///
    /// # Cancel safety
    /// A hook that still waits for the pool never runs; one that has started runs to its end.
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
        let mut ctx = ctx.expect("one hook runs at a time, after the handshake was accepted");
        let handled = catch_unwind(AssertUnwindSafe(|| hook(&mut consumer, &mut ctx)));
        let mut resting = self.resting();
        resting.consumer = Some(consumer);
        resting.ctx = Some(ctx);
        handled
    }

    /// Stores how the connection ended.
    pub(super) fn close(&self, close: Close) {
        self.resting().close = Some(close);
    }

    /// Runs the consumer's `disconnect`, if there is a consumer, once its running hook has ended.
    /// Takes as long as both of them. `close` applies if none was stored because `connect` was no
    /// longer awaited.
    pub(super) async fn disconnect(self, close: Close) {
        self.0.running.close();
        self.0.running.wait().await;
        let (consumer, noted) = {
            let mut resting = self.resting();
            // A hook that was no longer awaited returned its context after the connection's own was
            // dropped.
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
