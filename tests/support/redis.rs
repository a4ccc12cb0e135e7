//! A private Redis server that can be stopped and restarted.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{child::Process, clock::Clock, port::free_port, temp_dir::Scratch, wait};

/// The timeout of a command.
const ANSWER: Duration = Duration::from_secs(5);

/// A redis-server on its own loopback port, which stores nothing on disk by default.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    scratch: Scratch,
    options: Vec<String>,
    /// The password, if one is required.
    password: Option<String>,
    /// The settings of a Sentinel, if it is one.
    sentinel: Option<String>,
    /// A clock of its own.
    clock: Option<Clock>,
    process: Option<Process>,
}

impl Redis {
    /// Starts a server on a free port.
    pub async fn new() -> Self {
        let mut redis = Self::stopped();
        redis.start().await;
        redis
    }

    /// Starts a server with more command-line options, which it keeps over restarts.
    pub async fn with(options: &[&str]) -> Self {
        let mut redis = Self::stopped();
        redis.options = options.iter().map(ToString::to_string).collect();
        redis.start().await;
        redis
    }

    /// Starts a server that requires a password.
    pub async fn with_password(password: &str) -> Self {
        let mut redis = Self::stopped();
        redis.options = vec!["--requirepass".to_owned(), password.to_owned()];
        redis.password = Some(password.to_owned());
        redis.start().await;
        redis
    }

    /// Starts a server whose clock is ahead by this many seconds.
    pub async fn with_clock(ahead: i64) -> Self {
        let mut redis = Self::stopped();
        redis.clock = Some(Clock::new(ahead));
        redis.start().await;
        redis
    }

    /// Sets the clock: how many seconds it is ahead.
    ///
    /// # Panics
    /// If it has no clock of its own.
    pub fn set_clock(&self, ahead: i64) {
        let clock = self.clock.as_ref();
        clock.expect("Redis has a clock of its own").set(ahead);
    }

    /// Starts a Sentinel with these settings.
    pub async fn sentinel(settings: &str) -> Self {
        let mut redis = Self::stopped();
        redis.sentinel = Some(settings.to_owned());
        redis.start().await;
        redis
    }

    /// Returns a server that does not run yet; its port is already known.
    #[must_use]
    pub fn stopped() -> Self {
        Self {
            port: free_port(),
            scratch: Scratch::new("redis-data"),
            options: Vec::new(),
            password: None,
            sentinel: None,
            clock: None,
            process: None,
        }
    }

    /// Starts it on the same port as before, and waits until it responds.
    ///
    /// # Panics
    /// If redis-server is missing or does not respond.
    pub async fn start(&mut self) {
        let mut command = Command::new("redis-server");
        let (port, folder) = (self.port, self.scratch.path());
        match &self.sentinel {
            Some(settings) => {
                let file = folder.join("sentinel.conf");
                let place = format!("bind 127.0.0.1\nport {port}\ndir {}\n", folder.display());
                // A Sentinel writes what it knows to this file.
                if !file.exists() {
                    fs::write(&file, place + settings).expect("a file for the settings");
                }
                command.arg(file).arg("--sentinel");
            }
            None => {
                command
                    .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                    .args(["--save", "", "--appendonly", "no", "--dir"])
                    .arg(folder)
                    .args(&self.options);
            }
        }
        if let Some(clock) = &self.clock {
            clock.give(&mut command);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start(
            "redis-server",
            &mut command,
            "`cargo xtask setup` installs it",
        );

        process
            .up(async || {
                self.ask(&["PING"])
                    .await
                    .is_some_and(|answer| answer.starts_with("+PONG"))
            })
            .await;
        self.process = Some(process);
    }

    /// Kills it: connections are closed and new ones refused. What it has acknowledged it has sent
    /// to all subscribers before.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill_at_rest();
        }
    }

    /// Suspends it (SIGSTOP): connections remain open and get no responses.
    ///
    /// # Panics
    /// If it does not run.
    pub fn freeze(&self) {
        self.process().signal("STOP");
    }

    /// Resumes it (SIGCONT).
    ///
    /// # Panics
    /// If it was not started.
    pub fn thaw(&self) {
        self.process().signal("CONT");
    }

    /// Requires another password from now on; existing connections remain open.
    pub async fn change_password(&mut self, password: &str) {
        self.does(&["CONFIG", "SET", "requirepass", password]).await;
        self.password = Some(password.to_owned());
    }

    /// Returns the memory that it uses, in bytes.
    ///
    /// # Panics
    /// If it does not report it.
    pub async fn memory(&self) -> u64 {
        let info = self.does(&["INFO", "memory"]).await;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        let bytes = line.and_then(|bytes| bytes.parse().ok());
        bytes.expect("a line about used memory")
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// Returns its URL through a proxy on another port.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        let password = self.password.as_ref();
        let login = password.map_or(String::new(), |password| format!(":{password}@"));
        format!("redis://{login}127.0.0.1:{port}")
    }

    /// Waits until a client waits for a job.
    pub async fn until_waited_for(&self) {
        wait::until(
            "a client that waits for a job",
            wait::DEADLINE,
            async || {
                let clients = self.ask(&["INFO", "clients"]).await?;
                let is_waiting = !clients.contains("blocked_clients:0\r");
                is_waiting.then_some(())
            },
        )
        .await;
    }

    /// Waits until this many connections subscribe to a Redis channel.
    pub async fn until_subscribed(&self, channel: &str, connections: usize) {
        let what = format!("{connections} subscriptions to {channel}");
        wait::until(&what, wait::DEADLINE, async || {
            let answer = self.ask(&["PUBSUB", "NUMSUB", channel]).await?;
            answer
                .ends_with(&format!("\r\n:{connections}\r\n"))
                .then_some(())
        })
        .await;
    }

    /// Waits until a connection subscribes to a Redis channel of this pattern.
    pub async fn until_any_subscribed(&self, pattern: &str) {
        wait::until(pattern, wait::DEADLINE, async || {
            let answer = self.ask(&["PUBSUB", "CHANNELS", pattern]).await?;
            (answer != "*0\r\n").then_some(())
        })
        .await;
    }

    /// Waits until it refuses commands because a script runs.
    ///
    /// # Panics
    /// If it does not within [`wait::DEADLINE`].
    pub async fn until_busy(&self) {
        wait::until("a busy Redis", wait::DEADLINE, async || {
            let reply = self.ask(&["PING"]).await?;
            reply.starts_with("-BUSY").then_some(())
        })
        .await;
    }

    /// Runs a command that must succeed; returns the raw reply.
    ///
    /// # Panics
    /// If there is no reply, or an error.
    pub async fn does(&self, words: &[&str]) -> String {
        let answer = self.ask(words).await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {words:?}"));
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    /// Runs a command; returns the raw reply, if Redis is reachable.
    pub async fn ask(&self, words: &[&str]) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        if let Some(password) = &self.password {
            one(&mut socket, &["AUTH", password]).await?;
        }
        one(&mut socket, words).await
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("Redis was started")
    }
}

/// Sends a command; returns the raw reply, as far as one read returns it.
async fn one(socket: &mut TcpStream, words: &[&str]) -> Option<String> {
    socket.write_all(encode(words).as_bytes()).await.ok()?;
    let mut answer = String::new();
    loop {
        let mut part = [0; 4096];
        let length = timeout(ANSWER, socket.read(&mut part)).await.ok()?.ok()?;
        answer.push_str(&String::from_utf8_lossy(&part[..length]));
        if length == 0 || !is_begun(&answer) {
            return Some(answer);
        }
    }
}

/// Returns whether the rest of a string is missing; other replies arrive in one piece.
fn is_begun(answer: &str) -> bool {
    let Some((length, rest)) = answer
        .strip_prefix('$')
        .and_then(|it| it.split_once("\r\n"))
    else {
        return false;
    };
    length
        .parse()
        .is_ok_and(|length: usize| rest.len() < length + 2)
}

/// Encodes a command for Redis: the count, then each argument with its length.
fn encode(words: &[&str]) -> String {
    let bulk = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), bulk.collect::<String>())
}
