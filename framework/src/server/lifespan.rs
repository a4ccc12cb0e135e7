//! What is done before the first client comes, and after the last has gone.

use super::running::{Running, Step};
use crate::error::{Error, ErrorKind, Result};
use http::Extensions;
use std::{any::type_name, fmt, future::Future, time::Duration};

/// How long one function of [`Lifespan::on_shutdown`] may take: enough to flush and to say goodbye.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(10);

/// What an application does before its first client and after its last.
///
/// [`serve`](crate::serve) has the same methods, and calls what they are given. Where something else serves the
/// application, it calls them here:
///
/// ```
/// # #[derive(Clone)] struct Database;
/// # impl Database {
/// #     async fn open() -> seaway::Result<Self> { Ok(Self) }
/// #     async fn close(self) {}
/// # }
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use seaway::Lifespan;
///
/// let lifespan = Lifespan::new()
///     .on_startup(Database::open)
///     .on_shutdown(Database::close);
///
/// let running = lifespan.start().await?;
/// let app = axum::Router::new().layer(running.provide());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// # let asked_to_stop = async {};
/// axum::serve(listener, app).with_graceful_shutdown(asked_to_stop).await?;
/// running.stop().await;
/// # Ok(()) }
/// ```
///
/// Its functions take nothing, or one value that a start-up function before them has made. They run in the order in which
/// they are given; those of `on_shutdown` in reverse.
#[must_use = "a lifespan does nothing until it is started"]
pub struct Lifespan {
    steps: Vec<Step>,
    pub(super) limit: Duration,
}

impl Lifespan {
    /// One in which nothing happens yet.
    pub fn new() -> Self {
        Self {
            steps: Vec::new(),
            limit: SHUTDOWN_LIMIT,
        }
    }

    /// Runs before anything is accepted. What it makes is handed to every scope: `handshake.state::<Database>()`, axum's
    /// `Extension<Database>`.
    ///
    /// It may take as long as it needs. If it fails, nothing is served, and the error is what
    /// [`serve`](crate::serve) or [`start`](Lifespan::start) returns. A second value of one type replaces the first.
    pub fn on_startup<Args, T>(mut self, start: impl LifespanFn<Args, Output = Result<T>>) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        self.steps.push(Step::start(start));
        self
    }

    /// Runs once when all is over, if everything before it has started: also where a start-up function after it fails.
    ///
    /// The last one given runs first. Each may take [`shutdown_timeout`](Lifespan::shutdown_timeout); then it is dropped
    /// at an await, which is logged as a panic in it is, and the next one runs.
    pub fn on_shutdown<Args>(mut self, stop: impl LifespanFn<Args, Output = ()>) -> Self {
        self.steps.push(Step::stop(stop));
        self
    }

    /// How long each function of [`on_shutdown`](Lifespan::on_shutdown) may take. Default 10 s.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// All that the other one does, after what this one does: for a part of an application that brings its own.
    pub fn and(mut self, other: Lifespan) -> Self {
        self.steps.extend(other.steps);
        self
    }

    /// Runs the start-up functions.
    ///
    /// # Errors
    /// That of the first one that fails or panics, after what had started has been stopped again.
    /// [`ErrorKind::Missing`] if a function takes what none before it has made.
    ///
    /// # Cancel safety
    /// None: if it is dropped, what had started is not stopped.
    pub async fn start(self) -> Result<Running> {
        let mut running = Running::new(self.limit);
        match running.begin(self).await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

/// A function of a [`Lifespan`]: async, of nothing, or of one value that a start-up function before it has made.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no function that a lifespan can call",
    label = "needs an async function of nothing, or of one value that an `on_startup` before has made",
    note = "a closure says the type that it takes, `async |database: Database| …`; what is made is `Clone + Send + Sync`; \
            a function of `on_startup` returns `seaway::Result<T>`, one of `on_shutdown` nothing"
)]
pub trait LifespanFn<Args>: Send + 'static {
    /// What it answers.
    type Output;
    /// It, under way.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Calls it with what has been made.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if what it takes is not there.
    fn call(self, made: &Extensions) -> Result<Self::Future>;
}

impl<F, Fut> LifespanFn<()> for F
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(self, _: &Extensions) -> Result<Fut> {
        Ok(self())
    }
}

impl<F, Fut, T> LifespanFn<(T,)> for F
where
    F: FnOnce(T) -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn call(self, made: &Extensions) -> Result<Fut> {
        let value = made.get::<T>().cloned().ok_or_else(|| {
            let name = type_name::<T>();
            let missing = format!("no on_startup before this function has made a {name}");
            Error::new(ErrorKind::Missing, missing)
        })?;
        Ok(self(value))
    }
}

impl Default for Lifespan {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Lifespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifespan")
            .field("functions", &self.steps.len())
            .finish()
    }
}
