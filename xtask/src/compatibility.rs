//! The commands `cargo xtask msrv` and `cargo xtask minimal`, which check that the published crates
//! build with the oldest compiler and the oldest dependencies that their manifests allow.

use std::{fs, io, path::Path, process::Command};

use crate::shell::{Failure, Result, cargo, find, output, root, run, target};

/// The features of the checks: all, and none.
const FEATURES: [&str; 2] = ["--all-features", "--no-default-features"];

/// Checks the crates with the minimal Rust version, and installs it if rustup can.
///
/// # Errors
/// If rustup is missing, or the crates do not build.
pub(crate) fn check_rust_version() -> Result {
    let version = env!("CARGO_PKG_RUST_VERSION");
    // The manifest names a release; its first patch is the oldest.
    let version = match version.matches('.').count() {
        1 => format!("{version}.0"),
        _ => version.to_owned(),
    };
    if find(&["rustup"]).is_none() {
        return Err(Failure::new(format!(
            "rustup is not installed; install Rust {version} and run `cargo check --locked -p \
             seaway --all-features` with it"
        )));
    }
    let installed = output(Command::new("rustup").args(["toolchain", "list"]))?;
    if !installed
        .lines()
        .any(|line| line.starts_with(&format!("{version}-")))
    {
        eprintln!("xtask: installing Rust {version}");
        let mut install = Command::new("rustup");
        install.args(["toolchain", "install", "--profile", "minimal", &version]);
        run(&mut install)?;
    }
    for features in FEATURES {
        let mut check = Command::new("rustup");
        check.args([
            "run", &version, "cargo", "check", "--locked", "-p", "seaway", features,
        ]);
        check.env("CARGO_TARGET_DIR", target()?.join("msrv"));
        run(check.current_dir(root()))?;
    }
    Ok(())
}

/// Checks the crates with the lowest version of each direct dependency.
///
/// # Errors
/// If the versions contradict each other, or the crates do not build.
pub(crate) fn check_dependency_versions() -> Result {
    // A copy, because cargo would write the versions into the project's own lock file.
    let folder = target()?.join("minimal");
    let copy = folder.join("workspace");
    copy_workspace(&copy).map_err(|error| {
        Failure::new(format!(
            "cannot copy the crates to {}: {error}",
            copy.display()
        ))
    })?;
    let mut resolve = cargo("generate-lockfile -Z direct-minimal-versions");
    // Only a nightly cargo has this flag otherwise; nothing is compiled with the variable.
    resolve.env("RUSTC_BOOTSTRAP", "1").current_dir(&copy);
    run(&mut resolve)?;
    for features in FEATURES {
        let mut check = cargo("check --locked -p seaway");
        check.arg(features).env("CARGO_TARGET_DIR", &folder);
        run(check.current_dir(&copy))?;
    }
    Ok(())
}

/// Copies the two published crates into a workspace of their own.
fn copy_workspace(to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    for crate_folder in ["framework", "macros"] {
        copy_folder(&root().join(crate_folder), &to.join(crate_folder))?;
    }
    let manifest = fs::read_to_string(root().join("Cargo.toml"))?;
    let lines = manifest
        .lines()
        .filter_map(|line| match line.split(' ').next() {
            Some("members") => Some("members = [\"framework\", \"macros\"]"),
            Some("default-members") => None,
            _ => Some(line),
        });
    fs::write(to.join("Cargo.toml"), lines.collect::<Vec<_>>().join("\n"))
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        // Follows links: the guides are outside of the crate.
        match path.is_dir() {
            true => copy_folder(&path, &to)?,
            false => drop(fs::copy(&path, &to)?),
        }
    }
    Ok(())
}
