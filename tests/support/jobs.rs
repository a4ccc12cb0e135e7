//! Processes of `count-jobs`, and their account of the jobs.

use std::{
    io::{BufRead, BufReader},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use seaway::Event;

use super::{
    child::Process,
    redis::Redis,
    server::program,
    wait::{DEADLINE, until},
};

/// The channel of the jobs.
pub const JOBS: &str = "exam.jobs";

/// The group whose event ends a job that waits.
pub const RELEASE: &str = "exam.release";

/// The jobs of `count-jobs`.
#[derive(Debug, Event)]
#[event(prefix = "jobs")]
pub enum CountJob {
    /// Prints its lines.
    Count {
        /// The number in its lines.
        number: u32,
    },
    /// Waits for an event of the group [`RELEASE`] between its lines.
    Wait {
        /// The number in its lines.
        number: u32,
    },
}

/// The event of the group [`RELEASE`].
#[derive(Debug, Event)]
#[event(prefix = "release")]
pub enum ReleaseEvent {
    /// A job that waits may end.
    Now,
}

/// A worker process on a Redis.
#[derive(Debug)]
pub struct WorkerProcess {
    process: Process,
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    is_ready: bool,
    begun: Vec<u32>,
    done: Vec<u32>,
    has_ended: bool,
}

impl WorkerProcess {
    /// Starts a worker, and waits until it takes jobs.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(redis: &Redis) -> Self {
        let mut command = program("count-jobs");
        command.arg(redis.url());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let remedy = "`cargo build --workspace --bins --tests --all-features` builds it";
        let mut process = Process::start("count-jobs", &mut command, remedy);
        let output = process.child().stdout.take().expect("stdout is piped");
        let lines: Arc<Mutex<Lines>> = Arc::default();
        let reading = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                reading.lock().expect("no panic").add(&line);
            }
            reading.lock().expect("no panic").has_ended = true;
        });
        let mut worker = Self { process, lines };
        let lines = worker.lines.clone();
        let is_ready = async || lines.lock().expect("no panic").is_ready;
        worker.process.up(is_ready).await;
        worker
    }

    /// Returns the numbers of the jobs that it has begun.
    #[must_use]
    pub fn begun(&self) -> Vec<u32> {
        self.lines.lock().expect("no panic").begun.clone()
    }

    /// Returns the numbers of the jobs that it has done.
    #[must_use]
    pub fn done(&self) -> Vec<u32> {
        self.lines.lock().expect("no panic").done.clone()
    }

    /// Waits until it has begun this many jobs.
    pub async fn has_begun(&self, jobs: usize) {
        let what = format!("{jobs} begun jobs");
        let has_begun = async || (self.begun().len() >= jobs).then_some(());
        until(&what, DEADLINE, has_begun).await;
    }

    /// Kills it (SIGKILL), and waits until all that it printed is read.
    pub async fn kill(&mut self) {
        self.process.kill();
        self.is_read().await;
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.process.terminate();
    }

    /// Returns whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.status().is_none()
    }

    /// Waits until it has exited, and all that it printed is read.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let status = self.process.ended(limit).await;
        self.is_read().await;
        status
    }

    async fn is_read(&self) {
        let is_read = async || self.lines.lock().expect("no panic").has_ended.then_some(());
        until("the end of its lines", DEADLINE, is_read).await;
    }
}

impl Lines {
    fn add(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("begun", number)) => self.begun.push(number.parse().expect("a number")),
            Some(("done", number)) => self.done.push(number.parse().expect("a number")),
            _ => self.is_ready = true,
        }
    }
}
