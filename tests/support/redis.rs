//! A private Redis server that can be taken away and brought back.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{child::Process, port::free_port, scratch::Scratch, wait};

/// How long it may take to answer a command.
const ANSWER: Duration = Duration::from_secs(5);

/// A redis-server on a loopback port of its own, which keeps nothing on disk unless its options say so.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    scratch: Scratch,
    options: Vec<String>,
    /// What clients must say first, if anything.
    password: Option<String>,
    process: Option<Process>,
}

impl Redis {
    /// Starts one on a free port.
    pub async fn new() -> Self {
        let mut redis = Self::stopped();
        redis.start().await;
        redis
    }

    /// Starts one with more command-line options, which it keeps over restarts.
    pub async fn with(options: &[&str]) -> Self {
        let mut redis = Self::stopped();
        redis.options = options.iter().map(ToString::to_string).collect();
        redis.start().await;
        redis
    }

    /// Starts one that asks for a password.
    pub async fn with_password(password: &str) -> Self {
        let mut redis = Self::stopped();
        redis.options = vec!["--requirepass".to_owned(), password.to_owned()];
        redis.password = Some(password.to_owned());
        redis.start().await;
        redis
    }

    /// One that does not run yet; its port is already known.
    #[must_use]
    pub fn stopped() -> Self {
        Self {
            port: free_port(),
            scratch: Scratch::new("redis-data"),
            options: Vec::new(),
            password: None,
            process: None,
        }
    }

    /// Starts it, on the same port as before, and waits until it answers.
    ///
    /// # Panics
    /// When redis-server is missing or does not answer.
    pub async fn start(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.scratch.path())
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
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

    /// Kills it: connections are cut and new ones refused.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Stops it from running (SIGSTOP): connections stay open and get no answer.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.process().signal("STOP");
    }

    /// Lets it run on.
    ///
    /// # Panics
    /// When it was not started.
    pub fn thaw(&self) {
        self.process().signal("CONT");
    }

    /// Asks for another password from now on; connections that exist stay.
    pub async fn change_password(&mut self, password: &str) {
        self.does(&["CONFIG", "SET", "requirepass", password]).await;
        self.password = Some(password.to_owned());
    }

    /// Bytes of memory that it uses.
    ///
    /// # Panics
    /// When it does not say.
    pub async fn memory(&self) -> u64 {
        let info = self.does(&["INFO", "memory"]).await;
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        let bytes = line.and_then(|bytes| bytes.parse().ok());
        bytes.expect("a line about used memory")
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// Its URL, by way of a proxy on another port.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        let password = self.password.as_ref();
        let login = password.map_or(String::new(), |password| format!(":{password}@"));
        format!("redis://{login}127.0.0.1:{port}")
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

    /// Waits until somebody subscribes to a Redis channel of this pattern.
    pub async fn until_any_subscribed(&self, pattern: &str) {
        wait::until(pattern, wait::DEADLINE, async || {
            let answer = self.ask(&["PUBSUB", "CHANNELS", pattern]).await?;
            (answer != "*0\r\n").then_some(())
        })
        .await;
    }

    /// One command that Redis has to take; its raw answer.
    ///
    /// # Panics
    /// When there is no answer, or an error.
    pub async fn does(&self, words: &[&str]) -> String {
        let answer = self.ask(words).await;
        let answer = answer.unwrap_or_else(|| panic!("no answer to {words:?}"));
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    /// One command and the raw answer, if Redis can be reached.
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

/// One command and the raw answer, as far as it comes in one piece.
async fn one(socket: &mut TcpStream, words: &[&str]) -> Option<String> {
    socket.write_all(encode(words).as_bytes()).await.ok()?;
    let mut answer = [0; 1024];
    let length = timeout(ANSWER, socket.read(&mut answer)).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// A command as Redis wants it: the count, then each word with its length.
fn encode(words: &[&str]) -> String {
    let bulk = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), bulk.collect::<String>())
}
