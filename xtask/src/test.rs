//! `cargo xtask test`: everything that must hold before a change is sent.

use std::{fs, process::Command, time::Instant};

use crate::{
    features::features,
    setup::{self, Tools},
    shell::{Failure, Result, cargo, programs, root, run},
};

/// Installs what is missing and runs all checks, also after one has failed.
///
/// # Errors
///
/// The first failure, once all checks have run.
pub(crate) fn run_all() -> Result {
    let tools = setup::run()?;
    let outcomes = steps(&tools)?.into_iter().map(|mut step| {
        let start = Instant::now();
        let outcome = run(&mut step);
        eprintln!("({} s)", start.elapsed().as_secs());
        outcome
    });
    let mut failures = outcomes
        .filter_map(Result::err)
        .collect::<Vec<_>>()
        .into_iter();
    let Some(first) = failures.next() else {
        return Ok(());
    };
    for later in failures {
        eprintln!("xtask: also: {later}");
    }
    Err(first)
}

/// What is run; the tests come last, so that the output ends with their results.
fn steps(tools: &Tools) -> Result<Vec<Command>> {
    let mut steps = vec![
        cargo("fmt --all --check"),
        cargo("clippy --workspace --all-targets --all-features -- -D warnings"),
        cargo("clippy -p seaway --no-default-features -- -D warnings"),
    ];
    // The library alone, as a user's project builds it: the tests' dependencies would lend it their features.
    for feature in features(&framework_manifest()?) {
        steps.push(cargo(&format!(
            "clippy -p seaway --no-default-features --features {feature} -- -D warnings"
        )));
    }
    let mut doc = cargo("doc --workspace --all-features --no-deps");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(doc);
    // The tests and the programs that they start, in one build: without the tests, cargo would choose other features for
    // the dependencies, and build all of them twice.
    steps.push(cargo("build --workspace --bins --tests --all-features"));
    let mut test = cargo("test --workspace --all-features --no-fail-fast");
    test.env("SEAWAY_PYTHON", &tools.python);
    test.env("SEAWAY_CHROMIUM", &tools.chromium);
    test.env("SEAWAY_EXAMPLES", programs("debug")?);
    steps.push(test);
    for step in &mut steps {
        // It would fill half of the target folder, and a run like this one rarely builds again.
        step.env("CARGO_INCREMENTAL", "0");
    }
    Ok(steps)
}

fn framework_manifest() -> Result<String> {
    let path = root().join("framework/Cargo.toml");
    fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}
