//! A server under measurement: fresh processes and the Redis between them, killed on drop.

use std::{
    env,
    io::{Error, Result},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use crate::{http::Requests, process::Process, redis::Redis};

/// The folder of the Channels server.
const CHANNELS_APP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/channels");

/// A server that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contestant {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// The loads that it can take.
    pub(crate) loads: Loads,
    program: Program,
}

/// The loads that a server can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loads {
    All,
    /// It has no routes of rooms.
    WithoutRooms,
    /// It compresses messages, and is measured with those that are worth it.
    Compressible,
}

/// The servers in memory; Seaway is first, and is compared with the others.
pub(crate) const IN_MEMORY: [Contestant; 5] = [
    Contestant {
        name: "arena",
        loads: Loads::All,
        program: Program::Built("arena"),
    },
    Contestant {
        name: "bare",
        loads: Loads::All,
        program: Program::Built("peer-bare"),
    },
    Contestant {
        name: "axum",
        loads: Loads::All,
        program: Program::Built("peer-axum"),
    },
    Contestant {
        name: "fastws",
        loads: Loads::WithoutRooms,
        program: Program::Built("peer-fastwebsockets"),
    },
    Contestant {
        name: "deflate",
        loads: Loads::Compressible,
        program: Program::Arena(&["--deflate"], RedisForm::One),
    },
];

/// The servers over Redis: Seaway with both wire formats, and with a Cluster in place of one Redis,
/// and Django Channels with both layers of channels_redis.
pub(crate) const OVER_REDIS: [Contestant; 7] = [
    Contestant {
        name: "arena",
        loads: Loads::All,
        program: Program::Built("arena"),
    },
    Contestant {
        name: "queue",
        loads: Loads::All,
        program: Program::Arena(&["--layer", "queue"], RedisForm::One),
    },
    Contestant {
        name: "cluster",
        loads: Loads::All,
        program: Program::Arena(&[], RedisForm::Cluster),
    },
    Contestant {
        name: "queue-cluster",
        loads: Loads::All,
        program: Program::Arena(&["--layer", "queue"], RedisForm::Cluster),
    },
    Contestant {
        name: "axum",
        loads: Loads::All,
        program: Program::Built("peer-axum"),
    },
    Contestant {
        name: "pubsub",
        loads: Loads::All,
        program: Program::Channels("channels_redis.pubsub.RedisPubSubChannelLayer"),
    },
    Contestant {
        name: "core",
        loads: Loads::All,
        program: Program::Channels("channels_redis.core.RedisChannelLayer"),
    },
];

/// The program of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// A program in the same folder as this one.
    Built(&'static str),
    /// The arena with these options, in this form of Redis.
    Arena(&'static [&'static str], RedisForm),
    /// Django Channels with this channel layer.
    Channels(&'static str),
}

/// The form of the Redis between the processes of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RedisForm {
    One,
    /// Three primaries.
    Cluster,
}

/// The setting in which a server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// One process, with its rooms in memory.
    InMemory,
    /// Two processes and a Redis of their own.
    OverRedis,
}

impl Contestant {
    /// Returns the factor by which it is observed longer than the others, so that a slow server has
    /// enough samples.
    pub(crate) fn patience(self) -> u32 {
        match self.program {
            Program::Built(_) | Program::Arena(..) => 1,
            // It delivers about a hundredth of the messages of the others.
            Program::Channels(_) => 4,
        }
    }
}

impl Program {
    fn command(self, redis: Option<&Redis>) -> Result<Command> {
        match self {
            Self::Built(name) => {
                let mut command = Command::new(built(name)?);
                command.env_remove("REDIS_URL");
                if let Some(redis) = redis {
                    command.args(["--redis", &redis.url()]);
                }
                Ok(command)
            }
            Self::Arena(options, _) => {
                let mut command = Self::Built("arena").command(redis)?;
                command.args(options);
                Ok(command)
            }
            Self::Channels(layer) => {
                let python = env::var_os("SEAWAY_BENCH_PYTHON").ok_or_else(|| {
                    Error::other("SEAWAY_BENCH_PYTHON is unset; `cargo xtask bench` sets it")
                })?;
                let mut command = Command::new(python);
                command
                    .args(["-m", "uvicorn", "rooms:application", "--app-dir"])
                    .args([CHANNELS_APP, "--log-level", "warning"])
                    .env("CHANNEL_LAYER", layer);
                if let Some(redis) = redis {
                    command.env("REDIS_URL", redis.url());
                }
                Ok(command)
            }
        }
    }
}

/// Returns the path of a program in the same folder as this one.
fn built(name: &str) -> Result<PathBuf> {
    let program = env::current_exe()?.with_file_name(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::other(format!(
        "{} is not built; `cargo xtask bench` builds all servers",
        program.display()
    )))
}

/// A running server.
pub(crate) struct Server {
    processes: Vec<Process>,
    redis: Option<Redis>,
    /// Whether its clients offer permessage-deflate.
    pub(crate) compresses: bool,
}

impl Server {
    /// Starts fresh processes and waits until they respond.
    pub(crate) async fn start(contestant: Contestant, setting: Setting) -> Result<Self> {
        let (count, redis) = match setting {
            Setting::InMemory => (1, None),
            Setting::OverRedis => {
                let redis = match contestant.program {
                    Program::Arena(_, RedisForm::Cluster) => Redis::start_cluster().await?,
                    _ => Redis::start().await?,
                };
                (2, Some(redis))
            }
        };
        let mut processes = Vec::new();
        let compresses = contestant.loads == Loads::Compressible;
        for _ in 0..count {
            let mut command = contestant.program.command(redis.as_ref())?;
            let mut process = match contestant.program {
                Program::Built(_) | Program::Arena(..) => Process::start_with_socket(&mut command)?,
                Program::Channels(_) => Process::start(&mut command)?,
            };
            process
                .answers(async |port| Requests::open(port, "/healthz").await?.exchange().await)
                .await?;
            processes.push(process);
        }
        Ok(Self {
            processes,
            redis,
            compresses,
        })
    }

    /// Returns the number of its processes.
    pub(crate) fn processes(&self) -> u32 {
        self.processes.len() as u32
    }

    /// Returns the port for this client: clients are distributed round-robin.
    pub(crate) fn port(&self, client: u32) -> u16 {
        self.processes[client as usize % self.processes.len()].port
    }

    /// Returns the Redis between its processes.
    pub(crate) fn redis(&self) -> Option<&Redis> {
        self.redis.as_ref()
    }

    /// Returns the CPU time of its processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let processes = self.processes.iter();
        processes.map(|process| process.gauge().cpu()).sum()
    }

    /// Returns the resident memory of its processes, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let processes = self.processes.iter();
        processes
            .map(|process| process.gauge().resident_kib())
            .sum()
    }
}
