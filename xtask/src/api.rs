//! The command `cargo xtask api`, which lists the public API of `seaway`.

use crate::shell::{Result, cargo, run};

/// Writes the listing that a test of the crate compares with the sources.
///
/// # Errors
/// If the tests do not build, or a source cannot be parsed.
pub(crate) fn list() -> Result {
    // The test itself writes the file, so that both have the same rules.
    let mut test = cargo("test --workspace --all-features --test it -- public_api::the_public_api");
    run(test.env("SEAWAY_LIST_API", "1"))
}
