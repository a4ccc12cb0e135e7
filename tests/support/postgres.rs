//! A private PostgreSQL server.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{child::Process, port::free_port, temp_dir::Scratch};

const REMEDY: &str = "`cargo xtask setup` installs PostgreSQL";

/// A PostgreSQL server on its own loopback port, whose user `django` needs no password.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    databases: AtomicU32,
    process: Process,
    // Removed after the process has ended.
    _folder: Scratch,
}

impl Postgres {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If PostgreSQL is missing or does not start.
    pub async fn new() -> Self {
        let (folder, port) = (Scratch::new("postgres"), free_port());
        let data = folder.path().join("data");
        let is_root = folder
            .path()
            .metadata()
            .is_ok_and(|folder| folder.uid() == 0);
        if is_root {
            let mut chown = Command::new("chown");
            run(chown.arg("postgres").arg(folder.path()));
        }
        let mut initdb = as_ordinary_user(is_root, "initdb");
        initdb.arg("--pgdata").arg(&data).arg("--no-sync");
        initdb.args(["--username", "django", "--auth", "trust"]);
        run(initdb.args(["--encoding", "UTF8", "--locale", "C"]));
        let mut command = as_ordinary_user(is_root, "postgres");
        command.arg("-D").arg(&data);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        // Without a Unix socket, and without waiting for the disk.
        command.args(["-k", "", "-c", "fsync=off"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start("postgres", &mut command, REMEDY);
        let mut ready = Command::new(find("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        process
            .up(async || ready.status().is_ok_and(|status| status.success()))
            .await;
        Self {
            port,
            databases: AtomicU32::new(0),
            process,
            _folder: folder,
        }
    }

    /// Creates a database, and returns its name.
    ///
    /// # Panics
    /// If the server does not respond.
    pub fn create_database(&self) -> String {
        let name = format!("site{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut createdb = Command::new(find("createdb"));
        createdb.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        run(createdb.args(["-U", "django", &name]));
        name
    }

    /// Returns the number of its process, which starts one for each connection.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Returns the command of a server program, which refuses to run as root: the package of the server
/// has a user for it.
fn as_ordinary_user(is_root: bool, program: &str) -> Command {
    let program = find(program);
    if !is_root {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres"]);
    command.arg("--clear-groups").arg(program).current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; {REMEDY}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}

/// Returns the path of a program of PostgreSQL: that of Debian's package, which is not on the
/// `PATH`, or the one on the `PATH`.
fn find(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = versions.flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut programs = debian
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program));
    let found = programs.find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing; {REMEDY}"))
}
