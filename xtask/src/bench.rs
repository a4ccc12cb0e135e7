//! `cargo xtask bench`: builds the three servers and the load generator for release, and runs it.

use crate::shell::{Result, cargo, run};

/// Measures; the flags are the load generator's.
pub(crate) fn run_bench(flags: &[String]) -> Result {
    run(&mut cargo("build --release -p arena -p seaway-benches"))?;
    run(cargo("run --quiet --release -p seaway-benches --bin bench --").args(flags))
}
