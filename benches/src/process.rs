//! A child process on a free loopback port, killed on drop.

use std::{
    ffi::OsString,
    io::{Error, Result},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use command_fds::{CommandFdExt, FdMapping};
use nix::{
    errno::Errno,
    sys::socket::{setsockopt, sockopt::TcpCongestion},
};
use tokio::time::{Instant, sleep};

use crate::gauge::Gauge;

/// The timeout until a process responds.
const START_LIMIT: Duration = Duration::from_secs(10);

/// The congestion control of the servers' connections: the default of Linux.
///
/// Under BBR, the default of some machines, a third of a server's CPU time for large messages is
/// that of the kernel's pacing timers, and how many of them fire depends on the rhythm of its
/// writes more than on its work.
const CONGESTION_CONTROL: &str = "cubic";

/// The first file descriptor that systemd's protocol passes.
const FIRST_PASSED: i32 = 3;

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
        Self::run(command.args(["--port", &port.to_string()]), port)
    }

    /// Runs the command with a listening socket, which it gets as systemd passes one
    /// (sd_listen_fds(3)).
    ///
    /// # Errors
    ///
    /// If the program cannot be run.
    pub(crate) fn start_with_socket(command: &mut Command) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Its connections inherit the option.
        match setsockopt(
            &listener,
            TcpCongestion,
            &OsString::from(CONGESTION_CONTROL),
        ) {
            // A kernel without it keeps its default.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let port = listener.local_addr()?.port();
        let passed = FdMapping {
            parent_fd: listener.into(),
            child_fd: FIRST_PASSED,
        };
        command.fd_mappings(vec![passed]).map_err(Error::other)?;
        Self::run(
            command.env("LISTEN_FDS", "1").env_remove("LISTEN_PID"),
            port,
        )
    }

    fn run(command: &mut Command, port: u16) -> Result<Self> {
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
