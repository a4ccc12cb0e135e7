//! The Rust toolchain components that a minimal installation lacks.

use std::process::Command;

use crate::shell::{Failure, Result, cargo, find, run, succeeds};

/// Adds rustfmt and clippy if they are missing.
pub(crate) fn complete() -> Result {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if succeeds(&mut cargo(&format!("{subcommand} --version"))) {
            continue;
        }
        if find(&["rustup"]).is_none() {
            return Err(Failure::new(format!(
                "cargo has no `{subcommand}`; install {component} and run this again"
            )));
        }
        eprintln!("xtask: installing {component}, which the checks need");
        run(Command::new("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}
