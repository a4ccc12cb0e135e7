//! A bounded pool for calls that block their thread.

use crate::{
    catch_panic::caught,
    error::{Error, ErrorKind, Result},
};
use std::{
    fmt,
    future::Future,
    sync::{Arc, OnceLock},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

/// How many calls run at once in the shared pool: enough to wait for a database, and few enough
/// that their stacks cost little. The right number depends on what the calls wait for.
const SHARED_LIMIT: usize = 64;

/// Runs a call that blocks its thread in the shared [`BlockingPool`].
///
/// ```
/// use seaway::{Context, Error, Result, blocking};
///
/// async fn receive(ctx: &mut Context, path: String) -> Result<()> {
///     // The first `?` is for a panic, the second for an error of the call itself.
///     let text = blocking(move || std::fs::read_to_string(path)).await??;
///     Ok(ctx.send(text).await?)
/// }
/// ```
///
/// The process has one [shared](BlockingPool::share) pool. It runs 64 calls at once by default;
/// further calls wait in FIFO order.
///
/// # Errors
/// [`ErrorKind::User`] if the call panics. [`ErrorKind::Closed`] if the runtime ends before the
/// call has started.
///
/// # Panics
/// Outside a tokio runtime.
///
/// # Cancel safety
/// A call that is still waiting never runs. One that has started runs to its end, and its result is
/// discarded: a thread cannot be stopped.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    BlockingPool::shared().run(call).await
}

/// Blocks the thread until a future completes, in a hook of a
/// [`BlockingConsumer`](crate::BlockingConsumer) or inside [`blocking`].
///
/// ```
/// use seaway::{Group, Result, blocking, block_on};
/// # #[derive(seaway::Event)]
/// # enum ImportEvent { Done }
///
/// async fn work(room: Group<ImportEvent>) -> Result<()> {
///     Ok(blocking(move || {
///         // … what takes long …
///         block_on(room.send(&ImportEvent::Done))
///     })
///     .await??)
/// }
/// ```
///
/// # Panics
/// In async code, where `.await` is right; and outside a tokio runtime.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    Handle::current().block_on(future)
}

/// A limit on how many calls may block a thread at once.
///
/// Clones share one pool. The threads are tokio's, which has at most 512 of them unless the
/// runtime's builder sets another number; they are started on demand, and end when they are idle. A
/// pool is a semaphore with a FIFO queue.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// use seaway::BlockingPool;
///
/// // For a database that handles at most four queries at once.
/// let queries = BlockingPool::new(4);
/// let product = queries.run(|| 6 * 7).await?;
/// # assert_eq!(product, 42);
/// # Ok::<(), seaway::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct BlockingPool(Arc<PoolInner>);

struct PoolInner {
    limit: usize,
    semaphore: Arc<Semaphore>,
}

static SHARED: OnceLock<BlockingPool> = OnceLock::new();

impl BlockingPool {
    /// Creates a pool that runs this many calls at once, at least 1.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(PoolInner {
            limit,
            semaphore: Arc::new(Semaphore::new(limit)),
        }))
    }

    /// Returns the pool of [`blocking`], and of every [`BlockingConsumer`](crate::BlockingConsumer)
    /// that has none of its own.
    ///
    /// ```
    /// use seaway::BlockingPool;
    ///
    /// let pool = BlockingPool::shared();
    /// println!("{} of {} threads are free", pool.free(), pool.limit());
    /// ```
    pub fn shared() -> Self {
        SHARED.get_or_init(|| Self::new(SHARED_LIMIT)).clone()
    }

    /// Makes this the pool that all consumers without one of their own [share](BlockingPool::shared).
    ///
    /// Call it at the start of `main`: `BlockingPool::new(200).share()?`.
    ///
    /// # Errors
    /// [`ErrorKind::User`] if a shared pool is already set or in use.
    pub fn share(self) -> Result<()> {
        SHARED.set(self).map_err(|_| {
            Error::new(
                ErrorKind::User,
                "the shared pool is already in use; call `share` at the start of `main`",
            )
        })
    }

    /// Runs a call in this pool, as [`blocking`] does in the shared one.
    ///
    /// # Errors
    /// As [`blocking`].
    ///
    /// # Cancel safety
    /// As [`blocking`].
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let permit = self.permit().await?;
        // Without a free thread of the runtime it still waits, and then never runs if this future is
        // dropped.
        let running = AbortOnDropHandle::new(permit.spawn(move || caught(call)));
        running.await.map_err(|_| runtime_ended())?
    }

    /// Returns how many calls the pool runs at once.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Returns how many more calls could start at once, for monitoring.
    pub fn free(&self) -> usize {
        self.0.semaphore.available_permits()
    }

    /// Waits for a permit. Tokio's semaphore is fair, so no caller waits forever.
    pub(crate) async fn permit(&self) -> Result<Permit> {
        let permit = self.0.semaphore.clone().acquire_owned().await;
        Ok(Permit(permit.map_err(|_| runtime_ended())?))
    }
}

/// A permit to block one thread.
pub(crate) struct Permit(OwnedSemaphorePermit);

impl Permit {
    /// Starts a call that does not panic. The permit is released when the call returns, awaited or
    /// not. The handle returns an error only if the runtime ends before the call starts.
    pub(crate) fn spawn<T: Send + 'static>(
        self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let span = Span::current();
        spawn_blocking(move || {
            let _permit = self.0;
            span.in_scope(call)
        })
    }
}

/// Returns the error for a call that never starts because the runtime has ended.
pub(crate) fn runtime_ended() -> Error {
    Error::new(ErrorKind::Closed, "the runtime has ended")
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool")
            .field("limit", &self.limit())
            .field("free", &self.free())
            .finish()
    }
}
