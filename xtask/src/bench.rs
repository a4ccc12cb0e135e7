//! The commands `cargo xtask bench` and `cargo xtask scale`, which build and run servers and load
//! generators for release.
//!
//! Both use one build, and run its programs directly: if only some of them were built, cargo would
//! choose other features for the dependencies, and build them again.

use std::process::Command;

use crate::{
    setup,
    shell::{Result, cargo, programs, root, run},
};

/// Runs the benchmark with the flags of the load generator.
pub(crate) fn run_bench(flags: &[String]) -> Result {
    build()?;
    let mut bench = Command::new(programs("release")?.join("bench"));
    if flags.iter().any(|flag| flag == "--over-redis") {
        bench.env("SEAWAY_BENCH_PYTHON", setup::run_for_bench_over_redis()?);
    }
    run(bench.args(flags).current_dir(root()))
}

/// Runs 1,000 and 10,000 clients on two processes.
pub(crate) fn run_scale() -> Result {
    build()?;
    let programs = programs("release")?;
    let mut scale = Command::new(programs.join("scale"));
    run(scale.env("SEAWAY_EXAMPLES", programs).current_dir(root()))
}

fn build() -> Result {
    run(&mut cargo(
        "build --release -p arena -p seaway-benches -p seaway-tests --bins",
    ))
}
