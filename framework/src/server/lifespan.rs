//! The startup and shutdown functions of an application.

use super::running::{Running, ShutdownFuture};
use crate::{
    catch_panic::{catch_panic, caught},
    error::{Error, ErrorKind, Result},
};
use http::Extensions;
use std::{any::type_name, fmt, future::Future, pin::Pin, time::Duration};

/// How long one function of [`Lifespan::on_shutdown`] may take, unless
/// [`Lifespan::shutdown_timeout`] is set: enough to flush and to close connections.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// The startup and shutdown functions of an application.
///
/// [`serve`](crate::serve) has the same methods, and runs their functions. Where another server
/// serves the application, it runs them like this:
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
/// A function has no parameter, or one value that an earlier startup function returned. Functions
/// run in the order in which they were added; those of `on_shutdown` in reverse order.
#[must_use = "a lifespan does nothing until it is started"]
pub struct Lifespan {
    steps: Vec<StartStep>,
    shutdown_timeout: Option<Duration>,
}

impl Lifespan {
    /// Creates a lifespan without functions.
    pub fn new() -> Self {
        Self {
            steps: Vec::new(),
            shutdown_timeout: None,
        }
    }

    /// Adds a function that runs before connections are accepted.
    ///
    /// The value that it returns is inserted into every scope: `handshake.state::<Database>()`,
    /// axum's `Extension<Database>`.
    ///
    /// It may take as long as it needs. If it fails, nothing is served, and [`serve`](crate::serve)
    /// or [`start`](Lifespan::start) returns its error. A second value of one type replaces the
    /// first.
    pub fn on_startup<Args, T>(
        mut self,
        start: impl LifespanFn<Args, Output = crate::Result<T>>,
    ) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        self.steps.push(StartStep::start(start));
        self
    }

    /// Adds a function that runs once at the end, if everything added before it has started: also
    /// if a startup function added after it fails.
    ///
    /// The function added last runs first. Each may take
    /// [`shutdown_timeout`](Lifespan::shutdown_timeout); then it is dropped at an await, which is
    /// logged as a panic in it is, and the next one runs.
    pub fn on_shutdown<Args>(mut self, stop: impl LifespanFn<Args, Output = ()>) -> Self {
        self.steps.push(StartStep::stop(stop));
        self
    }

    /// Sets how long each function of [`on_shutdown`](Lifespan::on_shutdown) may take
    /// (default: 10 s).
    ///
    /// It applies to all functions of this lifespan, also to those added later; a part added by
    /// [`and`](Lifespan::and) keeps its own timeout, if it sets one.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.shutdown_timeout = Some(limit);
        self
    }

    /// Adds all functions of another lifespan after those of this one, for a part of an application
    /// that has its own.
    ///
    /// ```
    /// use seaway::Lifespan;
    /// use std::time::Duration;
    ///
    /// fn mail() -> Lifespan {
    ///     Lifespan::new().on_shutdown(async || println!("all mail is sent"))
    /// }
    ///
    /// let lifespan = Lifespan::new().shutdown_timeout(Duration::from_secs(5)).and(mail());
    /// ```
    pub fn and(mut self, mut other: Lifespan) -> Self {
        for step in &mut other.steps {
            step.shutdown_timeout = step.shutdown_timeout.or(other.shutdown_timeout);
        }
        self.steps.extend(other.steps);
        self
    }

    /// Runs the startup functions.
    ///
    /// # Errors
    /// The error of the first function that fails or panics, after the shutdown functions of what
    /// had started have run. [`ErrorKind::Missing`] if no earlier startup function returned the
    /// parameter of a function.
    ///
    /// # Cancel safety
    /// Not safe: if the future is dropped, what had started is not stopped.
    pub async fn start(self) -> Result<Running> {
        let mut running = Running::new();
        match running.begin(self).await {
            Ok(()) => Ok(running),
            Err(error) => {
                running.stop().await;
                Err(error)
            }
        }
    }
}

impl Running {
    /// Runs the steps, one after the other. If one fails, `self` has what has started, and can stop
    /// it.
    pub(super) async fn begin(&mut self, lifespan: Lifespan) -> Result<()> {
        for step in lifespan.steps {
            let values = self.values();
            let doing = caught(|| (step.begin)(values))??;
            match catch_panic(|| doing).await?? {
                Done::Started(add_value) => add_value(self.values_mut()),
                Done::Stopping(function) => {
                    let limit = step.shutdown_timeout.or(lifespan.shutdown_timeout);
                    self.add_shutdown(function, limit.unwrap_or(SHUTDOWN_TIMEOUT));
                }
            }
        }
        Ok(())
    }
}

/// A step of the start: it runs a startup function, or keeps a shutdown function. It gets the
/// values that earlier ones returned.
struct StartStep {
    begin: Box<Begin>,
    /// The timeout of a shutdown function, if the part that it came with has one of its own.
    shutdown_timeout: Option<Duration>,
}

type Begin = dyn FnOnce(&Extensions) -> Result<Doing> + Send;

type Doing = Pin<Box<dyn Future<Output = Result<Done>> + Send>>;

/// The result of a step.
enum Done {
    /// Inserts the value that a startup function returned.
    Started(Box<dyn FnOnce(&mut Extensions) + Send>),
    Stopping(ShutdownFuture),
}

impl StartStep {
    fn start<Args, T>(start: impl LifespanFn<Args, Output = crate::Result<T>>) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        Self::new(move |values| {
            let start = start.bind(values)?;
            Ok(Box::pin(async move {
                let value = start().await?;
                Ok(Done::Started(Box::new(move |values| {
                    values.insert(value);
                })))
            }))
        })
    }

    fn stop<Args>(stop: impl LifespanFn<Args, Output = ()>) -> Self {
        Self::new(move |values| {
            // The parameter is looked up now: a missing value fails the start, not the shutdown.
            let stop = stop.bind(values)?;
            let stopping = Done::Stopping(Box::pin(async move { stop().await }));
            Ok(Box::pin(std::future::ready(Ok(stopping))))
        })
    }

    fn new(begin: impl FnOnce(&Extensions) -> Result<Doing> + Send + 'static) -> Self {
        Self {
            begin: Box::new(begin),
            shutdown_timeout: None,
        }
    }
}

/// An async function of a [`Lifespan`], without parameters or with one value that an earlier
/// startup function returned.
///
/// ```
/// use seaway::{Lifespan, Result};
///
/// #[derive(Clone)]
/// struct Database;
///
/// async fn open() -> Result<Database> {
///     Ok(Database)
/// }
/// async fn close(_: Database) {}
///
/// let lifespan = Lifespan::new().on_startup(open).on_shutdown(close);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a function that a lifespan can call",
    label = "needs an async function without parameters, or with one value that an earlier `on_startup` returned",
    note = "annotate the parameter of a closure, `async |database: Database| …`; its type is `Clone + Send + Sync`; \
            a function of `on_startup` returns `seaway::Result<T>`, one of `on_shutdown` nothing"
)]
pub trait LifespanFn<Args>: Send + 'static {
    /// The output of the function.
    type Output;
    /// The future of the function.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Binds the parameter of the function to a value made so far. The result calls the function.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if that value is missing.
    #[doc(hidden)]
    fn bind(self, made: &Extensions) -> Result<BoundFn<Self::Future>>;
}

/// A function whose parameter is bound.
type BoundFn<F> = Box<dyn FnOnce() -> F + Send>;

impl<F, Fut> LifespanFn<()> for F
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future + Send + 'static,
{
    type Output = Fut::Output;
    type Future = Fut;

    fn bind(self, _: &Extensions) -> Result<BoundFn<Fut>> {
        Ok(Box::new(self))
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

    fn bind(self, made: &Extensions) -> Result<BoundFn<Fut>> {
        let value = made.get::<T>().cloned().ok_or_else(|| {
            let name = type_name::<T>();
            let missing = format!(
                "no earlier on_startup returned a {name}; add one that returns it, before this function"
            );
            Error::new(ErrorKind::Missing, missing)
        })?;
        Ok(Box::new(move || self(value)))
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
