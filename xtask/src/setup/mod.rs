//! `cargo xtask setup`: what the tests need beside Rust, installed once; and what one benchmark needs.
//!
//! Redis carries the channel layer, Chromium is the browser of the end-to-end tests, and a Python
//! with Channels is the neighbour on the same Redis, or the peer in the benchmark. Nothing is
//! installed that is there already.

mod packages;
mod python;
mod toolchain;

use std::{env, path::PathBuf};

use crate::shell::{Failure, Result, find};

/// Where the tests find what they need.
pub(crate) struct Tools {
    /// A Python that has Channels.
    pub(crate) python: PathBuf,
    /// A Chromium.
    pub(crate) chromium: PathBuf,
}

/// By what name a Chromium may be known.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
const REDIS: &[&str] = &["redis-server"];

/// Installs what is missing, and says so.
pub(crate) fn run() -> Result<Tools> {
    toolchain::complete()?;

    let mut missing = Vec::new();
    if find(REDIS).is_none() {
        missing.push("redis-server");
    }
    if chromium().is_none() {
        missing.push("chromium");
    }
    packages::install(&missing)?;

    let python = python::prepare(&python::TESTS)?;
    let chromium =
        chromium().ok_or_else(|| Failure::new("chromium was installed, but is not on the PATH"))?;
    Ok(Tools { python, chromium })
}

/// Installs what the benchmark over Redis needs; the Python of its Channels server.
pub(crate) fn run_for_bench_over_redis() -> Result<PathBuf> {
    if find(REDIS).is_none() {
        packages::install(&["redis-server"])?;
    }
    python::prepare(&python::BENCH)
}

fn chromium() -> Option<PathBuf> {
    env::var_os("SEAWAY_CHROMIUM")
        .map(PathBuf::from)
        .or_else(|| find(CHROMIUM))
}
