//! A child process that does not outlive the test, and whose words are shown when the test fails.

use std::{
    fs::{self, File},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use super::{
    scratch::Scratch,
    wait::{DEADLINE, until},
};

/// One run of a program; what it writes to stderr is kept.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    scratch: Scratch,
}

impl Process {
    /// Starts it. Standard output is left as `command` has it, or discarded with stdin.
    ///
    /// # Panics
    /// When the program cannot be started; the message says `remedy`.
    #[must_use]
    pub fn start(name: &str, command: &mut Command, remedy: &str) -> Self {
        let scratch = Scratch::new(name);
        let errors =
            File::create(scratch.path().join("stderr")).expect("a file for what the program says");
        let child = command
            .stderr(Stdio::from(errors))
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "cannot start {name} ({:?}): {error}; {remedy}",
                    command.get_program()
                )
            });
        Self {
            name: name.to_owned(),
            child,
            scratch,
        }
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it has written to stderr so far.
    #[must_use]
    pub fn errors(&self) -> String {
        fs::read_to_string(self.scratch.path().join("stderr")).unwrap_or_default()
    }

    /// Its exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child of ours")
    }

    /// Ends it at once, without asking (SIGKILL).
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, as a service manager would (SIGTERM).
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal, named without its `SIG`.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIG{name} to {}",
            self.name
        );
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until(&what, limit, async || self.status()).await
    }

    /// Waits until `is_up` says so.
    ///
    /// # Panics
    /// When the program ends first, or is not up in time; with what it said.
    pub async fn up(&mut self, mut is_up: impl AsyncFnMut() -> bool) {
        let what = format!("{} to answer", self.name);
        until(&what, DEADLINE, async || {
            if let Some(status) = self.status() {
                panic!("{} ended with {status}: {}", self.name, self.errors());
            }
            is_up().await.then_some(())
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}---", self.name, self.errors());
        }
    }
}
