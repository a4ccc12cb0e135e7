//! A wall clock of a program that a test sets.

use std::{fs, path::PathBuf, process::Command};

use super::temp_dir::Scratch;

/// The wall clock of a program, ahead of that of the machine.
#[derive(Debug)]
pub struct Clock {
    scratch: Scratch,
}

impl Clock {
    /// Returns a clock that is ahead by this many seconds, or behind if they are negative.
    ///
    /// # Panics
    /// If its library cannot be compiled.
    #[must_use]
    pub fn new(ahead: i64) -> Self {
        let scratch = Scratch::new("clock");
        let clock = Self { scratch };
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(clock.library())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/support/clock.c"))
            .status()
            .expect("the C compiler with which Rust links is there");
        assert!(compiled.success(), "cannot compile the clock");
        clock.set(ahead);
        clock
    }

    /// Sets it.
    ///
    /// # Panics
    /// If its file cannot be written.
    pub fn set(&self, ahead: i64) {
        // In one step: the program may read it at any time.
        let file = self.scratch.path().join("next");
        fs::write(&file, ahead.to_string()).expect("a file for the clock");
        fs::rename(file, self.file()).expect("the file of the clock");
    }

    /// Gives the clock to a program.
    pub fn give(&self, program: &mut Command) {
        program.env("LD_PRELOAD", self.library());
        program.env("CLOCK_AHEAD", self.file());
    }

    fn library(&self) -> PathBuf {
        self.scratch.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.scratch.path().join("ahead")
    }
}
