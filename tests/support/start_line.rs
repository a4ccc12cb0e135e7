//! A program that prints its address, on a port of its own choice.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use tokio::{task::spawn_blocking, time::timeout};

use super::{child::Process, temp_dir::Scratch, wait::DEADLINE};

/// A started program, and the first line that it printed.
#[derive(Debug)]
pub struct StartLine {
    line: String,
    _process: Process,
    folder: Scratch,
}

impl StartLine {
    /// Starts a program in an empty folder, and waits for its first line.
    ///
    /// # Panics
    /// If it prints none.
    pub async fn of(name: &str, command: &mut Command) -> Self {
        let folder = Scratch::new("start");
        command.current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = Process::start(name, command, "it is not built");
        let output = process.child().stdout.take().expect("a pipe");
        let read = spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let line = timeout(DEADLINE, read).await;
        let line = line.unwrap_or_else(|_| panic!("{name} prints no line"));
        let line = line.expect("nothing panics there").expect("text");
        assert!(!line.is_empty(), "{name} says: {}", process.errors());
        Self {
            line,
            _process: process,
            folder,
        }
    }

    /// Returns its working directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.line.trim_end()
    }

    /// Returns the port in the line.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port_of("listens on")
    }

    /// Returns the port of the address after these words.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn port_of(&self, words: &str) -> u16 {
        let rest = self.line.split_once(words).map(|(_, rest)| rest);
        let rest = rest.and_then(|rest| rest.split_once("127.0.0.1:"));
        let (_, rest) = rest.unwrap_or_else(|| panic!("no {words} in {:?}", self.line));
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        let port = digits.and_then(|digits| digits.parse().ok());
        port.unwrap_or_else(|| panic!("no port in {:?}", self.line))
    }
}
