//! A server under measurement: a child process on a free port, gone when dropped.

use std::{
    env,
    io::{Error, Result},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{gauge::Gauge, http::Requests};

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Who can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contestant {
    /// What the report calls it.
    pub(crate) name: &'static str,
    /// Its program, next to this one.
    program: &'static str,
}

/// Seaway first: the others are what it is compared with.
pub(crate) const CONTESTANTS: [Contestant; 3] = [
    Contestant {
        name: "arena",
        program: "arena",
    },
    Contestant {
        name: "bare",
        program: "peer-bare",
    },
    Contestant {
        name: "axum",
        program: "peer-axum",
    },
];

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

impl Server {
    /// Starts a fresh process and waits until it answers.
    pub(crate) async fn start(contestant: Contestant) -> Result<Self> {
        let program = program(contestant)?;
        let port = free_port()?;
        let child = Command::new(&program)
            .args(["--port", &port.to_string()])
            // One process in memory is what all three can do.
            .env_remove("REDIS_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                Error::new(
                    error.kind(),
                    format!("cannot start {}: {error}", program.display()),
                )
            })?;
        let mut server = Self { child, port };
        server.answers().await?;
        Ok(server)
    }

    /// The gauge of its process.
    pub(crate) fn gauge(&self) -> Gauge {
        Gauge::of(self.child.id())
    }

    async fn answers(&mut self) -> Result<()> {
        let limit = Instant::now() + START_LIMIT;
        loop {
            let answer = async {
                Requests::open(self.port, "/healthz")
                    .await?
                    .exchange()
                    .await
            };
            let Err(error) = answer.await else {
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
}

impl Drop for Server {
    fn drop(&mut self) {
        // It fails only for a child that is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(contestant: Contestant) -> Result<PathBuf> {
    let program = env::current_exe()?.with_file_name(contestant.program);
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::other(format!(
        "{} is not built; `cargo xtask bench` builds all three",
        program.display()
    )))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
