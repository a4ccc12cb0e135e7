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

/// A redis-server on a loopback port of its own, which keeps nothing on disk.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    scratch: Scratch,
    process: Option<Process>,
}

impl Redis {
    /// Starts one on a free port.
    pub async fn new() -> Self {
        let mut redis = Self::stopped();
        redis.start().await;
        redis
    }

    /// One that does not run yet; its port is already known.
    #[must_use]
    pub fn stopped() -> Self {
        Self {
            port: free_port(),
            scratch: Scratch::new("redis-data"),
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

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
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

    /// One command and the raw answer, if Redis can be reached.
    pub async fn ask(&self, words: &[&str]) -> Option<String> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        socket.write_all(encode(words).as_bytes()).await.ok()?;
        let mut answer = [0; 1024];
        let length = timeout(Duration::from_secs(1), socket.read(&mut answer))
            .await
            .ok()?
            .ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }
}

/// A command as Redis wants it: the count, then each word with its length.
fn encode(words: &[&str]) -> String {
    let bulk = words
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), bulk.collect::<String>())
}
