//! A child process that is killed with the test, and whose stderr is printed when the test fails.

use std::{
    fs::{self, File},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{
    temp_dir::Scratch,
    wait::{DEADLINE, until},
};

/// A run of a program, with its stderr.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    scratch: Scratch,
}

impl Process {
    /// Starts a program. stdout is left as `command` sets it, or discarded with stdin.
    ///
    /// # Panics
    /// If the program cannot be started; the message includes `remedy`.
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

    /// Returns its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Returns its stderr so far.
    #[must_use]
    pub fn errors(&self) -> String {
        fs::read_to_string(self.scratch.path().join("stderr")).unwrap_or_default()
    }

    /// Returns its exit status, if it has exited.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child of ours")
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        // It may have exited by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it (SIGKILL) while it waits for something to do: with nothing written to only some of
    /// those that it is for. Where the system does not say what it does, it is killed at once.
    ///
    /// # Panics
    /// If it is busy until the deadline.
    pub fn kill_at_rest(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.signal("STOP");
            match self.is_at_rest() {
                Some(false) => self.signal("CONT"),
                Some(true) | None => break,
            }
            assert!(Instant::now() < deadline, "{} is never at rest", self.name);
        }
        self.kill();
    }

    /// Returns whether it waits for events (epoll), once it is suspended; `None` where there is no
    /// `/proc` that tells.
    fn is_at_rest(&self) -> Option<bool> {
        /// The numbers of epoll_wait and epoll_pwait.
        const WAITS: &[&str] = match cfg!(target_arch = "x86_64") {
            true => &["232", "281"],
            false => &["22"],
        };
        let folder = format!("/proc/{}", self.child.id());
        loop {
            let state = fs::read_to_string(format!("{folder}/stat")).ok()?;
            let (_, state) = state.rsplit_once(')')?;
            match state.trim_start().chars().next()? {
                'T' => break,
                'Z' | 'X' => return None,
                _ => std::thread::yield_now(),
            }
        }
        let call = fs::read_to_string(format!("{folder}/syscall")).ok()?;
        let number = call.split(' ').next()?;
        Some(WAITS.contains(&number))
    }

    /// Asks it to stop, as a service manager would (SIGTERM).
    ///
    /// # Panics
    /// If the signal cannot be sent.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal, named without its `SIG`.
    ///
    /// # Panics
    /// If the signal cannot be sent.
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

    /// Waits until it has exited.
    ///
    /// # Panics
    /// If it still runs after `limit`.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        until(&what, limit, async || self.status()).await
    }

    /// Waits until `is_up` returns true.
    ///
    /// # Panics
    /// If the program exits first, or is not up in time; the message includes its stderr.
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
