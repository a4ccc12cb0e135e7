//! A started lifespan, with its shutdown functions.

use super::shutdown_signal::ShutdownSignal;
use crate::{
    catch_panic::catch_panic, error::Result, middleware::ProvideAll, required_state::RequiredState,
};
use http::Extensions;
use std::{fmt, future::Future, pin::Pin, time::Duration};

/// A started lifespan: the values that its startup functions returned, and its shutdown functions.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> seaway::Result<()> {
/// use seaway::Lifespan;
///
/// let lifespan = Lifespan::new().on_startup(async || Ok("a database".to_owned()));
///
/// let running = lifespan.start().await?;
/// assert_eq!(running.get::<String>().unwrap(), "a database");
/// running.stop().await;
/// # Ok(()) }
/// ```
#[must_use = "the shutdown functions run only in `running.stop().await`"]
pub struct Running {
    made: Extensions,
    /// Each with its timeout.
    shutdown: Vec<(ShutdownFuture, Duration)>,
}

/// The future of a shutdown function.
pub(super) type ShutdownFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Running {
    pub(super) fn new() -> Self {
        Self {
            made: Extensions::new(),
            shutdown: Vec::new(),
        }
    }

    /// Returns the values so far, for the startup functions that follow.
    pub(super) fn values(&self) -> &Extensions {
        &self.made
    }

    /// Returns the values, to add to.
    pub(super) fn values_mut(&mut self) -> &mut Extensions {
        &mut self.made
    }

    /// Adds a shutdown function with its timeout, which runs before those added earlier.
    pub(super) fn add_shutdown(&mut self, function: ShutdownFuture, limit: Duration) {
        self.shutdown.push((function, limit));
    }

    /// Returns middleware that inserts the startup values into every scope, and into the
    /// extensions of every request.
    ///
    /// It wraps an application, a [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter), or an
    /// axum router.
    pub fn provide(&self) -> ProvideAll {
        ProvideAll::new(&self.made)
    }

    /// Checks that the startup functions have returned everything that an application needs.
    ///
    /// ```
    /// use seaway::{Lifespan, RequiredState};
    ///
    /// # async fn example() -> seaway::Result<()> {
    /// let running = Lifespan::new().on_startup(async || Ok(7_u8)).start().await?;
    /// running.check(RequiredState::of::<u8>())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing), with everything that is missing and who
    /// needs it.
    pub fn check(&self, required: RequiredState) -> Result<()> {
        required.without_all(&self.made).check()
    }

    /// Returns the startup value of this type, if there is one.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<&T> {
        self.made.get()
    }

    /// Runs the shutdown functions as [`stop`](Running::stop) does, until another stop signal.
    pub(super) async fn stop_unless(self, signal: &mut ShutdownSignal) {
        tokio::select! {
            () = self.stop() => {}
            () = signal.again() => tracing::warn!("received another stop signal: dropping the shutdown functions"),
        }
    }

    /// Runs the shutdown functions in reverse order, each within its timeout.
    ///
    /// # Cancel safety
    /// Not safe: if the future is dropped, the functions that have not run yet never run.
    pub async fn stop(mut self) {
        while let Some((function, limit)) = self.shutdown.pop() {
            match tokio::time::timeout(limit, catch_panic(|| function)).await {
                Ok(Ok(())) => {}
                Ok(Err(panic)) => tracing::error!(error = %panic, "a shutdown function panicked"),
                Err(_) => {
                    tracing::error!("a shutdown function took too long and was dropped");
                }
            }
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("made", &self.made.len())
            .field("shutdown", &self.shutdown.len())
            .finish()
    }
}
