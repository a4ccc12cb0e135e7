//! Calls that block their thread, on threads that may be blocked: a bounded pool of them.

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
    task::spawn_blocking,
};

/// How many calls run at once in the pool that all share. Enough to wait for a database with, and few enough that their
/// stacks are no burden; what it is to be depends on what they wait for.
const SHARED_LIMIT: usize = 64;

/// Runs a call that blocks its thread, on a thread that may be blocked.
///
/// ```
/// use seaway::{Context, Error, Result, blocking};
///
/// async fn receive(ctx: &mut Context, path: String) -> Result<()> {
///     // The first `?` is for a panic, the second for an error of the call itself.
///     let text = blocking(move || std::fs::read_to_string(path)).await??;
///     ctx.send(text).await
/// }
/// ```
///
/// It runs in the pool that the whole process [shares](BlockingPool::share): 64 calls at once, unless you say otherwise;
/// further ones wait for their turn, first come, first served. Outside a tokio runtime it panics.
///
/// # Errors
/// [`ErrorKind::User`] if the call panics. [`ErrorKind::Closed`] if the runtime ends before the call has begun.
///
/// # Cancel safety
/// A call that still waits for its turn never runs. One that has begun runs on to its end, whose result nobody sees: a
/// thread cannot be stopped.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    BlockingPool::shared().run(call).await
}

/// Waits for a future, in code that may block: a [`BlockingConsumer`](crate::BlockingConsumer)'s hook, or inside
/// [`blocking`].
///
/// ```
/// use seaway::{Group, Result, blocking, block_on};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # #[serde(tag = "type")]
/// # enum Said { Done }
///
/// async fn work(room: Group<Said>) -> Result<()> {
///     blocking(move || {
///         // … what takes long …
///         block_on(room.send(&Said::Done))
///     })
///     .await?
/// }
/// ```
///
/// # Panics
/// In async code, where `.await` is the word; and outside a tokio runtime.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    Handle::current().block_on(future)
}

/// How many calls may block a thread at once. Clones are the same pool.
///
/// The threads are tokio's, which keeps at most 512 of them unless the runtime's builder says otherwise; they are made
/// when they are needed, and end when they are not. A pool is a number of places, and a queue before them.
///
/// ```
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// use seaway::BlockingPool;
///
/// // The old machine in the cellar bears four questions at once.
/// let cellar = BlockingPool::new(4);
/// let answer = cellar.run(|| 6 * 7).await?;
/// # assert_eq!(answer, 42);
/// # Ok::<(), seaway::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct BlockingPool(Arc<Places>);

struct Places {
    limit: usize,
    free: Arc<Semaphore>,
}

static SHARED: OnceLock<BlockingPool> = OnceLock::new();

impl BlockingPool {
    /// A pool for this many calls at once, one at least.
    pub fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self(Arc::new(Places {
            limit,
            free: Arc::new(Semaphore::new(limit)),
        }))
    }

    /// The pool of [`blocking`], and of every [`BlockingConsumer`](crate::BlockingConsumer) that has none of its own.
    pub fn shared() -> Self {
        SHARED.get_or_init(|| Self::new(SHARED_LIMIT)).clone()
    }

    /// Makes this the [shared](BlockingPool::shared) pool: `BlockingPool::new(200).share()?`, first thing in `main`.
    ///
    /// # Errors
    /// [`ErrorKind::User`] if there is one already, set or in use.
    pub fn share(self) -> Result<()> {
        SHARED.set(self).map_err(|_| {
            Error::new(
                ErrorKind::User,
                "the shared pool is in use already; share yours first thing in main",
            )
        })
    }

    /// As [`blocking`], in this pool.
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
        let place = self.place().await?;
        place.occupy(move || caught(call)).await?
    }

    /// How many calls it runs at once.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many more could begin at once, for a page that your monitoring reads.
    pub fn free(&self) -> usize {
        self.0.free.available_permits()
    }

    /// Waits for a place. Tokio's semaphore is fair, so nobody waits forever.
    pub(crate) async fn place(&self) -> Result<Place> {
        let permit = self.0.free.clone().acquire_owned().await;
        Ok(Place(permit.map_err(|_| ended())?))
    }
}

/// The right to block one thread.
pub(crate) struct Place(OwnedSemaphorePermit);

impl Place {
    /// Runs a call that does not panic; the place is free again when it has ended, whether anybody waits for it or not.
    pub(crate) async fn occupy<T: Send + 'static>(
        self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let running = spawn_blocking(move || {
            let _place = self.0;
            call()
        });
        running.await.map_err(|_| ended())
    }
}

fn ended() -> Error {
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
