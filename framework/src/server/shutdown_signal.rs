//! The signal to stop the server, and to stop it at once.

use std::{
    future::{Future, pending},
    pin::Pin,
};

/// The source of the shutdown signal.
pub(super) enum ShutdownSignal {
    /// Signals of the operating system, any number of times.
    Signals(Signals),
    /// A future of the application; `None` once it is complete.
    Own(Option<Pin<Box<dyn Future<Output = ()> + Send>>>),
}

impl ShutdownSignal {
    /// Returns the future of the application, or without one the signals of the operating system.
    pub(super) fn of(stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) -> Self {
        match stop {
            Some(stop) => Self::Own(Some(stop)),
            None => Self::Signals(Signals::listen()),
        }
    }

    /// Waits for the signal to stop; for a future that is complete, it returns at once.
    ///
    /// # Cancel safety
    /// Safe: no signal is lost.
    pub(super) async fn stop(&mut self) {
        match self {
            Self::Signals(signals) => signals.next().await,
            Self::Own(Some(stop)) => {
                stop.await;
                *self = Self::Own(None);
            }
            Self::Own(None) => {}
        }
    }

    /// Waits for another signal to stop; with a future there is none.
    ///
    /// # Cancel safety
    /// As [`stop`](ShutdownSignal::stop).
    pub(super) async fn again(&mut self) {
        match self {
            Self::Signals(signals) => signals.next().await,
            Self::Own(_) => pending().await,
        }
    }
}

/// Ctrl-C, and SIGTERM on Unix. Once a process listens for them, the default action of the
/// operating system, which ends the process, is disabled for good.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |name, kind| {
            signal(kind)
                .inspect_err(|error| log_unavailable(name, error))
                .ok()
        };
        Self {
            interrupt: listen("SIGINT", SignalKind::interrupt()),
            terminate: listen("SIGTERM", SignalKind::terminate()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = received(&mut self.interrupt) => {}
            () = received(&mut self.terminate) => {}
        }
    }
}

#[cfg(unix)]
async fn received(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => pending().await,
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            log_unavailable("Ctrl-C", &error);
            pending::<()>().await;
        }
    }
}

fn log_unavailable(signal: &'static str, error: &std::io::Error) {
    tracing::error!(signal, %error, "cannot listen for a signal; it will not stop the server");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_future_of_the_application_may_be_awaited_again() {
        let mut signal = ShutdownSignal::of(Some(Box::pin(async {})));

        signal.stop().await;
        signal.stop().await;
    }
}
