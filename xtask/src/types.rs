//! The command `cargo xtask types`, which writes the types of the examples' messages.

use crate::shell::{Result, cargo, run};

/// Writes the files in TypeScript that tests of the examples compare with their sources.
///
/// # Errors
/// If the tests do not build, or a file cannot be written.
pub(crate) fn write() -> Result {
    // The tests themselves write the files, so that both have the same rules.
    let mut test = cargo("test --workspace --all-features --bin auction -- types_for_the_browser");
    run(test.env("SEAWAY_TYPES", "write"))
}
