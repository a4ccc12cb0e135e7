//! The command `cargo xtask book`, which renders the guides.

use std::process::Command;

use crate::shell::{Failure, Result, find, root, run};

/// Renders the guides into `target/book`.
///
/// # Errors
/// If mdbook is not installed, or fails.
pub(crate) fn render() -> Result {
    let Some(mdbook) = find(&["mdbook"]) else {
        return Err(Failure::new(
            "mdbook is not installed; install it with `cargo install mdbook`",
        ));
    };
    run(Command::new(mdbook).arg("build").arg(root().join("docs")))
}
