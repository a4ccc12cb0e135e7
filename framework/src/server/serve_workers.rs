//! A program of workers, from start-up to shutdown.

use super::{
    lifespan::{Lifespan, LifespanFn},
    running::Running,
    shutdown_signal::ShutdownSignal,
    workers::{RunningWorkers, Workers},
};
use crate::{channels::Channels, error::Result, routing::ChannelNameRouter};
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

/// Runs the workers of a [`ChannelNameRouter`], without a server.
///
/// Await the returned value. Each job is taken by exactly one worker of one process, and each
/// channel runs one job at a time, unless [`concurrency`](ChannelNameRouter::concurrency) allows
/// more. On Ctrl-C or SIGTERM it takes no more jobs, and returns once those in hand have ended. What
/// still runs after [`drain_timeout`](ServeWorkers::drain_timeout), or at a second Ctrl-C or
/// SIGTERM, is aborted at an await.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{Channels, Event, Result, WorkerContext};
/// use seaway::{routing::ChannelNameRouter, serve_workers, worker_fn};
///
/// #[derive(Event)]
/// enum ImageJob { Shrink { file: String } }
///
/// async fn image(_: WorkerContext, job: ImageJob) -> Result<()> {
///     let ImageJob::Shrink { file } = job;
///     println!("shrinking {file}");
///     Ok(())
/// }
///
/// let channels = Channels::redis("redis://127.0.0.1:6379").await?;
/// let workers = ChannelNameRouter::new().route("images", worker_fn(&channels, image));
/// serve_workers(&channels, workers).await?;
/// # Ok(()) }
/// ```
///
/// Channels in memory have no other process: use [`Serve::workers`](crate::Serve::workers) with
/// them, to run the workers beside the server.
///
/// # Errors
/// The error of a start-up function that fails, and [`ErrorKind::Missing`](crate::ErrorKind::Missing)
/// if an application needs a value that nothing provides
/// ([`RequiredState`](crate::RequiredState)). Errors of jobs and of the channel layer are logged,
/// and do not end the workers.
///
/// # Cancel safety
/// Not cancel safe: if the future is dropped, jobs in hand are aborted, and one that was just taken
/// may be lost.
pub fn serve_workers(channels: &Channels, router: ChannelNameRouter) -> ServeWorkers {
    ServeWorkers {
        workers: Workers {
            channels: channels.clone(),
            router,
        },
        drain_timeout: Duration::from_secs(30),
        stop: None,
        lifespan: Lifespan::new(),
    }
}

/// Workers that run when this is awaited, with their settings; see [`serve_workers`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> seaway::Result<()> {
/// use seaway::{Channels, Lifespan, routing::ChannelNameRouter, serve_workers};
/// use std::time::Duration;
///
/// # let finished = async {};
/// # let (channels, workers) = (Channels::in_memory(), ChannelNameRouter::new());
/// serve_workers(&channels, workers)
///     .on_startup(async || Ok("a database".to_owned()))
///     .on_shutdown(async |database: String| println!("closing {database}"))
///     .lifespan(Lifespan::new())
///     .drain_timeout(Duration::from_secs(10))
///     .stop_on(finished)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "workers do nothing until they are awaited"]
pub struct ServeWorkers {
    workers: Workers,
    drain_timeout: Duration,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    lifespan: Lifespan,
}

impl ServeWorkers {
    /// Sets how long jobs in hand may take when the workers stop (default: 30 s).
    ///
    /// What still runs then is aborted at an await.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// Adds a function that runs before jobs are taken.
    ///
    /// The value that it returns is inserted into the scope of each job
    /// ([`WorkerContext::state`](crate::WorkerContext::state)). See [`Lifespan::on_startup`].
    pub fn on_startup<Args, T>(
        mut self,
        start: impl LifespanFn<Args, Output = crate::Result<T>>,
    ) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        self.lifespan = self.lifespan.on_startup(start);
        self
    }

    /// Adds a function that runs once after the last job; see [`Lifespan::on_shutdown`].
    pub fn on_shutdown<Args>(mut self, stop: impl LifespanFn<Args, Output = ()>) -> Self {
        self.lifespan = self.lifespan.on_shutdown(stop);
        self
    }

    /// Adds the functions of a part of the application, after those that were added before.
    pub fn lifespan(mut self, part: Lifespan) -> Self {
        self.lifespan = self.lifespan.and(part);
        self
    }

    /// Stops the workers when this future completes, instead of on Ctrl-C or SIGTERM.
    ///
    /// The application then handles those signals itself, also a second one.
    pub fn stop_on(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Some(Box::pin(stop));
        self
    }

    async fn run(self) -> Result<()> {
        let mut signal = ShutdownSignal::of(self.stop);
        let mut running = Running::new(self.lifespan.limit);
        let starting = async {
            running.begin(self.lifespan).await?;
            running.check(self.workers.required_state())
        };
        let started = tokio::select! {
            started = starting => Some(started),
            () = signal.stop() => None,
        };
        let outcome = match started {
            Some(Ok(())) => {
                let mut workers = RunningWorkers::default();
                workers.start(self.workers, &running.provide());
                signal.stop().await;
                workers.stop(self.drain_timeout, &mut signal).await;
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        running.stop_unless(&mut signal).await;
        outcome
    }
}

impl IntoFuture for ServeWorkers {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for ServeWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeWorkers")
            .field("router", &self.workers.router)
            .finish_non_exhaustive()
    }
}
