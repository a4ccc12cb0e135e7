//! When the server is to stop, and when at once.

use std::{
    future::{Future, pending},
    pin::Pin,
};

/// Who tells the server to stop.
pub(super) enum ShutdownSignal {
    /// The operating system, as often as somebody insists.
    Signals(Signals),
    /// A future of the user's, once.
    Own(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl ShutdownSignal {
    /// Waits for the order to stop. It is given once.
    ///
    /// # Cancel safety
    /// Safe: no order is lost.
    pub(super) async fn stop(&mut self) {
        match self {
            Self::Signals(signals) => signals.next().await,
            Self::Own(stop) => stop.as_mut().await,
        }
    }

    /// Waits until somebody insists: only with signals can they.
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

/// Ctrl-C, and SIGTERM where there are signals. Who listens once has taken them from the operating system for good, whose
/// answer would be to end the process.
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
        let listen = |name, kind| signal(kind).inspect_err(|error| deaf(name, error)).ok();
        Self {
            interrupt: listen("SIGINT", SignalKind::interrupt()),
            terminate: listen("SIGTERM", SignalKind::terminate()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = heard(&mut self.interrupt) => {}
            () = heard(&mut self.terminate) => {}
        }
    }
}

#[cfg(unix)]
async fn heard(signal: &mut Option<tokio::signal::unix::Signal>) {
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
            deaf("Ctrl-C", &error);
            pending::<()>().await;
        }
    }
}

fn deaf(signal: &'static str, error: &std::io::Error) {
    tracing::error!(signal, %error, "cannot listen to a signal; it does not stop the server");
}
