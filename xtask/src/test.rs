//! `cargo xtask test`: everything that must hold before a change is sent.

use std::{fs, process::Command};

use crate::{
    features::features,
    setup::{self, Tools},
    shell::{Failure, Result, cargo, root, run},
};

/// Installs what is missing and runs all checks, also after one has failed.
///
/// # Errors
///
/// The first failure, once all checks have run.
pub(crate) fn run_all() -> Result {
    let tools = setup::run()?;
    let outcomes = steps(&tools)?.into_iter().map(|mut step| run(&mut step));
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
        cargo("clippy -p seaway --no-default-features --all-targets -- -D warnings"),
    ];
    for feature in features(&framework_manifest()?) {
        let alone = format!("--no-default-features --features {feature} --all-targets");
        steps.push(cargo(&format!("clippy -p seaway {alone} -- -D warnings")));
    }
    let mut doc = cargo("doc --workspace --all-features --no-deps");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(doc);
    // The tests start the examples as programs of their own.
    steps.push(cargo("build --workspace --bins --all-features"));
    let mut test = cargo("test --workspace --all-features --no-fail-fast");
    test.env("SEAWAY_PYTHON", &tools.python);
    test.env("SEAWAY_CHROMIUM", &tools.chromium);
    steps.push(test);
    Ok(steps)
}

fn framework_manifest() -> Result<String> {
    let path = root().join("framework/Cargo.toml");
    fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}
