//! The command `cargo xtask test`, which runs all checks of a change.

use std::{fs, process::Command, time::Instant};

use crate::{
    features::features,
    setup::{self, Tools},
    shell::{Failure, Result, cargo, programs, root, run},
};

/// Installs missing tools and runs all checks, also after one has failed.
///
/// # Errors
///
/// The first failure, once all checks have run.
pub(crate) fn run_all() -> Result {
    let tools = setup::run()?;
    let start = Instant::now();
    let steps = steps(&tools)?;
    let count = steps.len();
    let outcomes = (1..).zip(steps).map(|(number, mut step)| {
        let start = Instant::now();
        eprint!("\n[{number}/{count}]");
        let outcome = run(&mut step);
        eprintln!("({} s)", start.elapsed().as_secs());
        outcome
    });
    let mut failures = outcomes
        .filter_map(Result::err)
        .collect::<Vec<_>>()
        .into_iter();
    let Some(first) = failures.next() else {
        let minutes = start.elapsed().as_secs().div_ceil(60);
        eprintln!("xtask: all {count} steps passed in {minutes} min");
        return Ok(());
    };
    for later in failures {
        eprintln!("xtask: also: {later}");
    }
    Err(first)
}

/// Returns the checks; the tests are last, so that the output ends with their results.
fn steps(tools: &Tools) -> Result<Vec<Command>> {
    let mut steps = vec![
        cargo("fmt --all --check"),
        cargo("clippy --workspace --all-targets --all-features -- -D warnings"),
        cargo("clippy -p seaway --no-default-features -- -D warnings"),
    ];
    // The library alone, as in a user's build: with the tests' dependencies it would have their
    // features.
    for feature in features(&framework_manifest()?) {
        steps.push(cargo(&format!(
            "clippy -p seaway --no-default-features --features {feature} -- -D warnings"
        )));
    }
    // As the README starts it: beside the other packages it would have their features.
    steps.push(cargo("check -p chat"));
    // Alone, too: with the other packages, it would have the feature `server`.
    steps.push(cargo("test -p without-server"));
    let mut doc = cargo("doc --workspace --all-features --no-deps");
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(doc);
    // The tests and the programs that they start, in one build: without the tests, cargo would
    // choose other features for the dependencies, and build all of them twice.
    steps.push(cargo("build --workspace --bins --tests --all-features"));
    let client = root().join("clients/js");
    // No script of a dependency runs.
    let mut install = Command::new("npm");
    install
        .args(["ci", "--ignore-scripts"])
        .current_dir(&client);
    steps.push(install);
    let mut client_test = Command::new("npm");
    client_test.arg("test").current_dir(&client);
    client_test.env("SEAWAY_CHROMIUM", &tools.chromium);
    client_test.env("SEAWAY_EXAMPLES", programs("debug")?);
    steps.push(client_test);
    let mut test = cargo("test --workspace --all-features --no-fail-fast");
    test.env("SEAWAY_PYTHON", &tools.python);
    test.env("SEAWAY_CHROMIUM", &tools.chromium);
    test.env("SEAWAY_EXAMPLES", programs("debug")?);
    steps.push(test);
    for step in &mut steps {
        // Incremental data would fill half of the target folder, and such a run is rarely repeated.
        step.env("CARGO_INCREMENTAL", "0");
    }
    Ok(steps)
}

fn framework_manifest() -> Result<String> {
    let path = root().join("framework/Cargo.toml");
    fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}
