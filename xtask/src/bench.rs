//! The commands `cargo xtask bench`, `scale`, `django` and `soak`, which build and run servers and
//! load generators for release.
//!
//! The first two use one build, and run its programs directly: if only some of them were built,
//! cargo would choose other features for the dependencies, and build them again.

use std::process::Command;

use crate::{
    setup,
    shell::{Result, cargo, programs, root, run},
};

/// Runs the benchmark with the flags of the load generator, whose help needs no build.
pub(crate) fn run_bench(flags: &[String]) -> Result {
    if flags.iter().any(|flag| flag == "--help" || flag == "-h") {
        print!("{}", include_str!("../../benches/help.txt"));
        return Ok(());
    }
    build()?;
    let mut bench = Command::new(programs("release")?.join("bench"));
    if flags.iter().any(|flag| flag == "--over-redis") {
        bench.env("SEAWAY_BENCH_PYTHON", setup::run_for_bench_over_redis()?);
    }
    run(bench.args(flags).current_dir(root()))
}

/// Runs 1,000 and 10,000 clients on two processes, or 150,000 on eight.
pub(crate) fn run_scale(arguments: &[String]) -> Result {
    build()?;
    let programs = programs("release")?;
    let mut scale = Command::new(programs.join("scale"));
    scale.env("SEAWAY_EXAMPLES", programs).args(arguments);
    run(scale.current_dir(root()))
}

/// Runs 10,000 clients who are logged in on a Django site, and pages through the proxy.
pub(crate) fn run_django(arguments: &[String]) -> Result {
    let tools = setup::run()?;
    run(&mut cargo(
        "build --release -p beside-django -p seaway-tests --bins",
    ))?;
    let programs = programs("release")?;
    let mut django = Command::new(programs.join("django"));
    django.env("SEAWAY_PYTHON", tools.python);
    django.env("SEAWAY_EXAMPLES", programs).args(arguments);
    run(django.current_dir(root()))
}

/// Runs the tests that take minutes, or load a machine for a measurement, one after the other.
pub(crate) fn run_soak() -> Result {
    setup::install_redis()?;
    build()?;
    let mut soak = cargo("test --release -p seaway-tests --test chaos");
    soak.args(["--", "--ignored", "--nocapture", "--test-threads", "1"]);
    run(soak.env("SEAWAY_EXAMPLES", programs("release")?))
}

fn build() -> Result {
    run(&mut cargo(
        "build --release -p arena -p seaway-benches -p seaway-tests --bins",
    ))
}
