//! Programs from system packages: installed by apt if possible, else with instructions.

use std::process::Command;

use crate::shell::{Failure, Result, find, run};

/// Installs Debian packages.
///
/// # Errors
///
/// Instructions to install them by hand if there is no apt, or no permission to use it.
pub(crate) fn install(packages: &[&str]) -> Result {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find(&["apt-get"]).is_none() || !is_root() {
        return Err(Failure::new(format!(
            "{list} is missing; install it and run this again \
             (on Debian, as root: apt-get install {list})"
        )));
    }
    eprintln!("xtask: installing {list}");
    run(apt().arg("update"))?;
    run(apt()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
