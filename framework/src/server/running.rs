//! A started lifespan, with its shutdown functions.

use super::lifespan::{Lifespan, LifespanFn};
use crate::{
    catch_panic::{catch_panic, caught},
    error::Result,
    middleware::ProvideAll,
};
use http::Extensions;
use std::{fmt, future::Future, pin::Pin, time::Duration};

/// A started lifespan: the values that its start-up functions returned, and its shutdown functions.
///
/// See [`Lifespan`] for an example.
#[must_use = "the shutdown functions run only in `running.stop().await`"]
pub struct Running {
    made: Extensions,
    endings: Vec<Ending>,
    limit: Duration,
}

/// The future of a shutdown function.
type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A step of the start: it runs a start-up function, or keeps a shutdown function. It gets the
/// values that earlier ones returned.
pub(super) struct Step(Box<Begin>);

type Begin = dyn FnOnce(&Extensions) -> Result<Doing> + Send;

type Doing = Pin<Box<dyn Future<Output = Result<Done>> + Send>>;

/// The result of a step, which adds a value or a shutdown function to `Running`.
type Done = Box<dyn FnOnce(&mut Running) + Send>;

impl Running {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            made: Extensions::new(),
            endings: Vec::new(),
            limit,
        }
    }

    /// Runs the steps, one after the other. If one fails, `self` has what has started, and can stop
    /// it.
    pub(super) async fn begin(&mut self, lifespan: Lifespan) -> Result<()> {
        for step in lifespan.into_steps() {
            let made = &self.made;
            let doing = caught(|| (step.0)(made))??;
            let done = catch_panic(|| doing).await??;
            done(self);
        }
        Ok(())
    }

    /// Returns middleware that inserts the start-up values into every scope, and into the
    /// extensions of every request. It wraps an application, a
    /// [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter), or an axum router.
    pub fn provide(&self) -> ProvideAll {
        ProvideAll::new(&self.made)
    }

    /// Returns the start-up value of this type, if there is one.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.made.get()
    }

    /// Runs the shutdown functions in reverse order, each within its timeout.
    ///
    /// # Cancel safety
    /// Not cancel safe: if the future is dropped, the functions that have not run yet never run.
    pub async fn stop(mut self) {
        while let Some(ending) = self.endings.pop() {
            match tokio::time::timeout(self.limit, catch_panic(|| ending)).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => tracing::error!(error = %panic, "a shutdown function panicked"),
                Err(_) => {
                    tracing::error!("a shutdown function took too long and was dropped");
                }
            }
        }
    }
}

impl Step {
    pub(super) fn start<Args, T>(start: impl LifespanFn<Args, Output = Result<T>>) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        Self(Box::new(move |made| {
            let starting = start.call(made)?;
            Ok(Box::pin(async move {
                let value = starting.await?;
                let keep = move |running: &mut Running| _ = running.made.insert(value);
                Ok(Box::new(keep) as Done)
            }))
        }))
    }

    pub(super) fn stop<Args>(stop: impl LifespanFn<Args, Output = ()>) -> Self {
        Self(Box::new(move |made| {
            // The parameter is looked up now: a missing value fails the start, not the shutdown.
            let stopping: Ending = Box::pin(stop.call(made)?);
            let keep = move |running: &mut Running| running.endings.push(stopping);
            Ok(Box::pin(std::future::ready(Ok(Box::new(keep) as Done))))
        }))
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("made", &self.made.len())
            .field("endings", &self.endings.len())
            .finish()
    }
}
