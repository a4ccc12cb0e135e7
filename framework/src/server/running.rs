//! An application that has started, and is to be stopped.

use super::lifespan::{Lifespan, LifespanFn};
use crate::{
    catch_panic::{catch_panic, caught},
    error::Result,
    middleware::ProvideAll,
};
use http::Extensions;
use std::{fmt, future::Future, pin::Pin, time::Duration};

/// An application that has started: what its start-up has made, and what is still to be done at its end.
///
/// See [`Lifespan`] for an example.
#[must_use = "what has started is to be stopped: `running.stop().await`"]
pub struct Running {
    made: Extensions,
    endings: Vec<Ending>,
    limit: Duration,
}

/// A function to run at the end.
type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A function to run at the start, with what the earlier ones have made.
pub(super) struct Step(Box<Begin>);

type Begin = dyn FnOnce(&Extensions) -> Result<Doing> + Send;

type Doing = Pin<Box<dyn Future<Output = Result<Done>> + Send>>;

/// What a step leaves: a value, or an ending.
type Done = Box<dyn FnOnce(&mut Running) + Send>;

impl Running {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            made: Extensions::new(),
            endings: Vec::new(),
            limit,
        }
    }

    /// Takes the steps, one after the other. Where that ends early, what has started is known here and can be stopped.
    pub(super) async fn begin(&mut self, lifespan: Lifespan) -> Result<()> {
        for step in lifespan.into_steps() {
            let made = &self.made;
            let doing = caught(|| (step.0)(made))??;
            let done = catch_panic(|| doing).await??;
            done(self);
        }
        Ok(())
    }

    /// Puts what was made into every scope, and into the extensions of every request: around an application, a
    /// [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter), or an axum router.
    pub fn provide(&self) -> ProvideAll {
        ProvideAll::new(&self.made)
    }

    /// What was made, if there is one of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.made.get()
    }

    /// Runs the shutdown functions, in reverse order, each for as long as it may take.
    ///
    /// # Cancel safety
    /// None: if it is dropped, those that have not run yet never do.
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
            // What it takes is looked up now: a mistake shows at the start, not at the end.
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
