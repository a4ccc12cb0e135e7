//! Node.js and npm, for the tests of the browser client.

use std::process::Command;

use crate::shell::{Failure, Result, find, output};

/// The oldest version with the test runner that the tests use.
const OLDEST: u32 = 20;

/// Returns whether there is an npm.
pub(super) fn exists() -> bool {
    find(&["npm"]).is_some()
}

/// Checks the version of Node.js.
///
/// # Errors
/// If there is none, or it is too old.
pub(super) fn check() -> Result {
    let version = output(Command::new("node").arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next();
    let major: Option<u32> = major.and_then(|major| major.parse().ok());
    if major.is_some_and(|major| major >= OLDEST) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the tests of clients/js need Node.js {OLDEST} or later, and this is {}: install a newer one, with npm",
        version.trim()
    )))
}
