//! The life of a process that serves: its startup, its work until a signal, its shutdown.

use super::{lifespan::Lifespan, running::Running, shutdown_signal::ShutdownSignal};
use crate::{error::Result, middleware::ProvideAll};
use http::Extensions;
use std::{future::Future, pin::Pin};

/// What [`Serve`](crate::Serve) and [`ServeWorkers`](crate::ServeWorkers) have in common: a
/// lifespan, and what stops them.
#[derive(Default)]
pub(super) struct Lifecycle {
    lifespan: Lifespan,
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Lifecycle {
    /// Changes the lifespan.
    pub(super) fn add(&mut self, change: impl FnOnce(Lifespan) -> Lifespan) {
        self.lifespan = change(std::mem::take(&mut self.lifespan));
    }

    /// Stops when this future completes, instead of at a signal of the operating system.
    pub(super) fn stop_on(&mut self, stop: impl Future<Output = ()> + Send + 'static) {
        self.stop = Some(Box::pin(stop));
    }

    /// Runs the startup functions and `prepare`, then `serve`, and then the shutdown functions of
    /// all that has started. A signal to stop ends the start; afterwards, `serve` gets it.
    pub(super) async fn run<T>(
        self,
        prepare: impl AsyncFnOnce(&Extensions) -> Result<T>,
        serve: impl AsyncFnOnce(T, ProvideAll, &mut ShutdownSignal) -> Result<()>,
    ) -> Result<()> {
        let mut signal = ShutdownSignal::of(self.stop);
        let mut running = Running::new();
        let starting = async {
            running.begin(self.lifespan).await?;
            prepare(running.values()).await
        };
        let started = tokio::select! {
            // Nothing starts after the signal.
            biased;
            () = signal.stop() => None,
            started = starting => Some(started),
        };
        let outcome = match started {
            Some(Ok(ready)) => serve(ready, running.provide(), &mut signal).await,
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        running.stop_unless(&mut signal).await;
        outcome
    }
}
