//! The command `cargo xtask package`, which packages the published crates and builds them and their
//! documentation from the packages alone.

use crate::shell::{Result, cargo, run, target};

/// Packages `seaway-macros` and `seaway`, builds the packages, and documents them as docs.rs does.
///
/// # Errors
/// If a package lacks a file, does not build, or has a fault in its documentation.
pub(crate) fn run_all() -> Result {
    // Not `--workspace`: cargo packages unpublished members too, and rejects those of them that
    // depend on each other.
    let mut package = cargo("package -p seaway-macros -p seaway --all-features");
    run(package.env("CARGO_TARGET_DIR", target()?))?;

    let packages = target()?.join("package");
    let version = env!("CARGO_PKG_VERSION");
    let mut doc = cargo("doc -p seaway -p seaway-macros --all-features --no-deps --config");
    doc.arg(format!(
        "patch.crates-io.seaway-macros.path = \"../seaway-macros-{version}\""
    ));
    doc.current_dir(packages.join(format!("seaway-{version}")));
    // docs.rs has a nightly compiler, which labels items with the features that they need. A
    // folder of its own, because build scripts run again where this variable changes.
    doc.env("RUSTC_BOOTSTRAP", "1");
    doc.env("RUSTDOCFLAGS", "--cfg docsrs -D warnings");
    doc.env("CARGO_TARGET_DIR", packages.join("target"));
    run(&mut doc)
}
