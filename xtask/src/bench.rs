//! `cargo xtask bench` and `cargo xtask scale`: build servers and load generators for release, and run them.

use crate::shell::{Result, cargo, run};

/// Measures; the flags are the load generator's.
pub(crate) fn run_bench(flags: &[String]) -> Result {
    run(&mut cargo("build --release -p arena -p seaway-benches"))?;
    run(cargo("run --quiet --release -p seaway-benches --bin bench --").args(flags))
}

/// Puts 1,000 and 10,000 clients on two processes.
pub(crate) fn run_scale() -> Result {
    run(&mut cargo("build --release -p arena"))?;
    run(&mut cargo(
        "run --quiet --release -p seaway-tests --bin scale",
    ))
}
