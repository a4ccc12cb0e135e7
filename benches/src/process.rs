//! A child process on a free loopback port, killed on drop.

use std::{
    io::{Error, Result},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::gauge::Gauge;

/// The timeout until a process responds.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running process.
pub(crate) struct Process {
    child: Child,
    /// The port on which it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Process {
    /// Runs the command with `--port` and a free port.
    ///
    /// # Errors
    ///
    /// If the program cannot be run.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let port = free_port()?;
        command.args(["--port", &port.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| {
            let program = command.get_program().display();
            Error::new(error.kind(), format!("cannot start {program}: {error}"))
        })?;
        Ok(Self { child, port })
    }

    /// Waits until `ask` succeeds against the process.
    ///
    /// # Errors
    ///
    /// If it exits, or does not respond in time.
    pub(crate) async fn answers(&mut self, ask: impl AsyncFn(u16) -> Result<()>) -> Result<()> {
        let limit = Instant::now() + START_LIMIT;
        loop {
            let Err(error) = ask(self.port).await else {
                return Ok(());
            };
            if let Some(status) = self.child.try_wait()? {
                return Err(Error::other(format!("the server ended at once: {status}")));
            }
            if Instant::now() > limit {
                return Err(Error::new(
                    error.kind(),
                    format!("the server does not answer: {error}"),
                ));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Returns the gauge of this process.
    pub(crate) fn gauge(&self) -> Gauge {
        Gauge::of(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This fails only if the child has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a port on which nothing listens.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
