//! A Python process with channels and channels_redis, controlled with lines of JSON.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
};

use serde_json::Value;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::timeout,
};

use super::{child::Process, redis::Redis, wait::DEADLINE};

/// A running script of `tests/python`.
#[derive(Debug)]
pub struct Python {
    process: Process,
    input: ChildStdin,
    lines: UnboundedReceiver<String>,
}

impl Python {
    /// Starts `tests/python/<script>` with the port of a Redis as its first argument.
    ///
    /// # Panics
    /// If Python or its packages are missing.
    #[must_use]
    pub fn start(script: &str, redis: &Redis, arguments: &[&str]) -> Self {
        Self::start_with(script, redis, arguments, None)
    }

    /// Starts a script with another version of a package, in this folder of the environment.
    ///
    /// # Panics
    /// If Python or its packages are missing.
    #[must_use]
    pub fn start_with(
        script: &str,
        redis: &Redis,
        arguments: &[&str],
        package: Option<&str>,
    ) -> Self {
        let interpreter = interpreter();
        let mut command = Command::new(&interpreter);
        if let Some(package) = package {
            let home = interpreter.parent().and_then(Path::parent);
            let folder = home.expect("bin/python in a folder").join(package);
            assert!(
                folder.is_dir(),
                "{} is missing; `cargo xtask setup` installs it",
                folder.display()
            );
            command.env("PYTHONPATH", folder);
        }
        command
            .arg("-uB")
            .arg(
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("python")
                    .join(script),
            )
            .arg(redis.port().to_string())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start("python", &mut command, "`cargo xtask setup` installs it");

        let input = process.child().stdin.take().expect("stdin is piped");
        let output = process.child().stdout.take().expect("stdout is piped");
        let (sender, lines) = unbounded_channel();
        std::thread::spawn(move || {
            // Ends with the process, or with the test.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            process,
            input,
            lines,
        }
    }

    /// Returns the next line that it prints.
    ///
    /// # Panics
    /// If it exits instead (with its stderr), or prints nothing in time.
    pub async fn next(&mut self) -> Value {
        let line = timeout(DEADLINE, self.lines.recv())
            .await
            .expect("a line from Python in time");
        let Some(line) = line else {
            panic!(
                "Python ended; if packages are missing, `cargo xtask setup` installs them\n{}",
                self.process.errors()
            );
        };
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
    }

    /// Writes a line to it.
    ///
    /// # Panics
    /// If it has exited.
    pub fn send(&mut self, value: &Value) {
        self.tell_line(&value.to_string());
    }

    /// Writes a line of JSON whose keys must keep their order.
    ///
    /// # Panics
    /// If it has exited.
    pub fn tell_line(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("Python listens");
    }
}

/// Returns `SEAWAY_PYTHON`, or the environment that `cargo xtask setup` creates.
#[must_use]
pub fn interpreter() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    std::env::var_os("SEAWAY_PYTHON").map_or(ours, PathBuf::from)
}
