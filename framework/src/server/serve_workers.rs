//! A program of workers, from startup to shutdown.

use super::{
    lifecycle::Lifecycle,
    lifespan::{Lifespan, LifespanFn},
    shutdown_signal::ShutdownSignal,
    workers::{RunningWorkers, Workers},
};
use crate::{
    channels::Channels, error::Result, middleware::ProvideAll, routing::ChannelNameRouter,
};
use http::Extensions;
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
/// more. On Ctrl-C or SIGTERM it takes no more jobs, and returns once those that run have ended.
/// What still runs after [`drain_timeout`](ServeWorkers::drain_timeout), or at a second Ctrl-C or
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
/// The error of a startup function that fails, and
/// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if the router has no route, or if an
/// application needs a value that nothing provides ([`RequiredState`](crate::RequiredState)).
/// Errors of jobs and of the channel layer are logged, and do not end the workers.
///
/// # Cancel safety
/// Not safe: if the future is dropped, running jobs are aborted, and one that was just taken
/// may be lost.
pub fn serve_workers(channels: &Channels, router: ChannelNameRouter) -> ServeWorkers {
    ServeWorkers {
        workers: Workers {
            channels: channels.clone(),
            router,
        },
        drain_timeout: Duration::from_secs(30),
        lifecycle: Lifecycle::default(),
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
/// # async fn image(_: seaway::WorkerContext, _: seaway::NoEvent) -> seaway::Result<()> { Ok(()) }
/// # let channels = Channels::in_memory();
/// # let workers = ChannelNameRouter::new().route("images", seaway::worker_fn(&channels, image));
/// serve_workers(&channels, workers)
///     .on_startup(async || Ok("a database".to_owned()))
///     .on_shutdown(async |database: String| println!("closing {database}"))
///     .lifespan(Lifespan::new())
///     .drain_timeout(Duration::from_secs(10))
///     .shutdown_timeout(Duration::from_secs(5))
///     .stop_on(finished)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "workers do nothing until they are awaited"]
pub struct ServeWorkers {
    workers: Workers,
    drain_timeout: Duration,
    lifecycle: Lifecycle,
}

impl ServeWorkers {
    /// Sets how long running jobs may take when the workers stop (default: 30 s).
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
        self.lifecycle.add(|lifespan| lifespan.on_startup(start));
        self
    }

    /// Adds a function that runs once after the last job; see [`Lifespan::on_shutdown`].
    pub fn on_shutdown<Args>(mut self, stop: impl LifespanFn<Args, Output = ()>) -> Self {
        self.lifecycle.add(|lifespan| lifespan.on_shutdown(stop));
        self
    }

    /// Sets how long each function of [`on_shutdown`](ServeWorkers::on_shutdown) may take
    /// (default: 10 s).
    ///
    /// At the bound it is dropped at an await, and the next one runs.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.lifecycle
            .add(|lifespan| lifespan.shutdown_timeout(limit));
        self
    }

    /// Adds the functions of a part of the application, after those that were added before.
    pub fn lifespan(mut self, part: Lifespan) -> Self {
        self.lifecycle.add(|lifespan| lifespan.and(part));
        self
    }

    /// Stops the workers when this future completes, instead of on Ctrl-C or SIGTERM.
    ///
    /// The application then handles those signals itself, also a second one.
    pub fn stop_on(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.lifecycle.stop_on(stop);
        self
    }

    async fn run(self) -> Result<()> {
        let Self {
            workers,
            drain_timeout,
            lifecycle,
        } = self;
        workers.check_routes()?;
        let started = async |values: &Extensions| {
            workers.required_state().without_all(values).check()?;
            Ok(workers)
        };
        let serve = async |workers, values: ProvideAll, signal: &mut ShutdownSignal| {
            let mut running = RunningWorkers::default();
            running.start(workers, &values);
            signal.stop().await;
            running.stop(drain_timeout, signal).await;
            Ok(())
        };
        lifecycle.run(started, serve).await
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
