//! A private MariaDB server.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{child::Process, port::free_port, temp_dir::Scratch};

const REMEDY: &str = "`cargo xtask setup` installs MariaDB";

/// A MariaDB server on its own loopback port, whose user `django` needs no password.
#[derive(Debug)]
pub struct MariaDb {
    port: u16,
    databases: AtomicU32,
    _process: Process,
    // Removed after the process has ended.
    _folder: Scratch,
}

impl MariaDb {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// If MariaDB is missing or does not start.
    pub async fn new() -> Self {
        let (folder, port) = (Scratch::new("mariadb"), free_port());
        let home = folder.path();
        let (data, users) = (home.join("data"), home.join("users.sql"));
        let user = "CREATE USER django@localhost;\nGRANT ALL ON *.* TO django@localhost;\n";
        fs::write(&users, user).expect("a file of its own");
        let mut shared = vec![
            // Before all others: no settings of this machine.
            "--no-defaults".to_owned(),
            format!("--datadir={}", data.display()),
            // Without waiting for the disk, and with no more memory than the tests need.
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
            "--innodb-flush-method=nosync".to_owned(),
            "--innodb-log-file-size=16M".to_owned(),
            "--innodb-buffer-pool-size=32M".to_owned(),
        ];
        if home.metadata().is_ok_and(|home| home.uid() == 0) {
            // The server refuses to run as root: its package has a user for it.
            run(Command::new("chown").arg("mysql").arg(home).arg(&users));
            shared.push("--user=mysql".to_owned());
        }
        let mut install = Command::new("mariadb-install-db");
        install.args(&shared).arg("--skip-test-db");
        run(install.arg("--auth-root-authentication-method=normal"));
        let mut command = Command::new(server());
        command.args(&shared).arg("--bind-address=127.0.0.1");
        command.arg(format!("--port={port}"));
        command.arg(format!("--init-file={}", users.display()));
        command.arg(format!("--socket={}", home.join("socket").display()));
        command.arg(format!("--pid-file={}", home.join("pid").display()));
        command.args(["--character-set-server=utf8mb4", "--skip-log-bin"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start("mariadbd", &mut command, REMEDY);
        let is_up = || client(port, "SELECT 1").output();
        process
            .up(async || is_up().is_ok_and(|output| output.status.success()))
            .await;
        Self {
            port,
            databases: AtomicU32::new(0),
            _process: process,
            _folder: folder,
        }
    }

    /// Creates a database, and returns its name.
    ///
    /// # Panics
    /// If the server does not respond.
    pub fn create_database(&self) -> String {
        let name = format!("site{}", self.databases.fetch_add(1, Ordering::Relaxed));
        run(&mut client(self.port, &format!("CREATE DATABASE {name}")));
        name
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Returns the program of the server, which Debian puts where only root's `PATH` leads to.
fn server() -> &'static str {
    let debian = "/usr/sbin/mariadbd";
    if Path::new(debian).is_file() {
        debian
    } else {
        "mariadbd"
    }
}

/// Returns the command of a statement.
fn client(port: u16, statement: &str) -> Command {
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1"]);
    client.arg(format!("--port={port}")).arg("--user=django");
    client.arg(format!("--execute={statement}"));
    client
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}; {REMEDY}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}
