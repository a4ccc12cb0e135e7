//! The command `cargo xtask setup`, which installs the tools of the tests and of one benchmark.
//!
//! Redis is the server of the channel layer, Chromium the browser of the end-to-end tests, and a
//! Python with Channels the peer on the same Redis in tests, or in the benchmark. PostgreSQL and
//! MariaDB are databases of the Django site in tests; Node.js runs those of the browser client.
//! Tools that exist already are not installed.

mod node;
mod packages;
mod python;
mod toolchain;

use std::{env, fs, path::PathBuf};

use crate::shell::{Failure, Result, find};

/// The paths of the tools that the tests need.
pub(crate) struct Tools {
    /// A Python with Channels.
    pub(crate) python: PathBuf,
    /// A Chromium.
    pub(crate) chromium: PathBuf,
}

/// The names of a Chromium program.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
const REDIS: &[&str] = &["redis-server"];

/// Installs and prints the missing tools.
pub(crate) fn run() -> Result<Tools> {
    toolchain::complete()?;

    let mut missing = Vec::new();
    if find(REDIS).is_none() {
        missing.push("redis-server");
    }
    if chromium().is_none() {
        missing.push("chromium");
    }
    if !has_postgres() {
        missing.push("postgresql");
    }
    if find(&["mariadbd", "/usr/sbin/mariadbd"]).is_none() {
        missing.push("mariadb-server");
    }
    if !node::exists() {
        missing.extend(["nodejs", "npm"]);
    }
    packages::install(&missing)?;
    node::check()?;

    let python = python::prepare(&python::TESTS)?;
    let chromium =
        chromium().ok_or_else(|| Failure::new("chromium was installed, but is not on the PATH"))?;
    Ok(Tools { python, chromium })
}

/// Installs the tools of the benchmark over Redis; returns the Python of its Channels server.
pub(crate) fn run_for_bench_over_redis() -> Result<PathBuf> {
    install_redis()?;
    python::prepare(&python::BENCH)
}

/// Installs a Redis server, unless there is one.
pub(crate) fn install_redis() -> Result {
    match find(REDIS) {
        Some(_) => Ok(()),
        None => packages::install(&["redis-server"]),
    }
}

/// Returns whether there is a PostgreSQL server, which Debian does not put on the `PATH`.
fn has_postgres() -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let has_server = |folder: PathBuf| folder.join("bin/initdb").is_file();
    find(&["initdb"]).is_some() || versions.flatten().any(|entry| has_server(entry.path()))
}

fn chromium() -> Option<PathBuf> {
    env::var_os("SEAWAY_CHROMIUM")
        .map(PathBuf::from)
        .or_else(|| find(CHROMIUM))
}
