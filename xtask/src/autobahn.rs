//! The command `cargo xtask autobahn`: the Autobahn|Testsuite against the arena.
//!
//! The suite runs on Python 2.7 only, which current distributions no longer have. That is why it is
//! not a part of `cargo xtask test`, whose tests state the same rules.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::shell::{Failure, Result, cargo, find, programs, root, run, succeeds, target};

/// The newest release; it pins all its dependencies.
const SUITE: &str = "autobahntestsuite==25.10.1";

/// The last virtualenv that creates environments of Python 2.7.
const VIRTUALENV: &str = "virtualenv<20.16";

/// The cases of permessage-deflate, most of the suite's time.
const COMPRESSION: &str = r#""12.*", "13.*""#;

/// The number of cases of that release, and of those without compression.
const ALL_CASES: usize = 517;
const CORE_CASES: usize = 301;

const HELP: &str = "\
usage: cargo xtask autobahn [core]

Runs all 517 cases of the Autobahn|Testsuite against `arena --deflate` (20 minutes), or with `core`
the 301 cases without compression against `arena` (one minute). PYTHON27 names a Python 2.7.";

/// Runs the suite; fails unless every case ran and passed.
pub(crate) fn run_suite(arguments: &[String]) -> Result {
    let is_core = match arguments {
        [] => false,
        [only] if only == "core" => true,
        _ => return Err(Failure::new(HELP)),
    };
    let wstest = prepare()?;
    run(&mut cargo("build --release -p arena"))?;
    let report = target()?.join("autobahn/report");
    fs::create_dir_all(&report).map_err(|error| failed("create", &report, error))?;

    let mut arena = Arena::start(is_core)?;
    let specification = report.join("specification.json");
    let written = specify(&report, arena.port()?, is_core);
    fs::write(&specification, written).map_err(|error| failed("write", &specification, error))?;
    let mut suite = Command::new(wstest);
    suite
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&specification);
    run(suite.stdout(Stdio::null()).current_dir(&report))?;
    drop(arena);
    let cases = if is_core { CORE_CASES } else { ALL_CASES };
    summarize(&report.join("index.json"), cases)
}

/// Installs the suite in an environment of its own; returns its program.
fn prepare() -> Result<PathBuf> {
    let home = target()?.join("autobahn");
    let environment = home.join("environment");
    let wstest = environment.join("bin/wstest");
    if wstest.exists() {
        return Ok(wstest);
    }
    let python = python()?;
    let tool = home.join("virtualenv");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "-q", "--target"]);
    run(install.arg(&tool).arg(VIRTUALENV))?;
    let mut create = Command::new(&python);
    create
        .env("PYTHONPATH", &tool)
        .args(["-m", "virtualenv", "-q"]);
    run(create.arg(&environment))?;
    run(Command::new(environment.join("bin/pip")).args(["install", "-q", SUITE]))?;
    Ok(wstest)
}

fn python() -> Result<PathBuf> {
    let named = env::var_os("PYTHON27").map(PathBuf::from);
    named
        .or_else(|| find(&["python2.7"]))
        .filter(|python| succeeds(Command::new(python).arg("--version")))
        .ok_or_else(|| {
            Failure::new(
                "the Autobahn|Testsuite needs Python 2.7 with pip; install one, as with \
                 `pyenv install 2.7.18`, and set PYTHON27 to its path",
            )
        })
}

/// A running arena, which is ended when it is dropped.
struct Arena(Child);

impl Arena {
    fn start(is_core: bool) -> Result<Self> {
        let mut command = Command::new(programs("release")?.join("arena"));
        // Cases of section 9 send messages of 16 MiB.
        command.args(["--port", "0", "--max-message-size", "16777216"]);
        if !is_core {
            command.arg("--deflate");
        }
        command.current_dir(root()).env_remove("REDIS_URL");
        let started = command.stdout(Stdio::piped()).spawn();
        started
            .map(Self)
            .map_err(|error| Failure::new(format!("cannot start the arena: {error}")))
    }

    /// Returns the port, which the first line of output names.
    fn port(&mut self) -> Result<u16> {
        let output = self.0.stdout.take().expect("its output is piped");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.map_err(|error| Failure::new(format!("cannot read the arena's output: {error}")))?;
        let port = line.split_whitespace().find_map(|word| {
            let (_, port) = word.strip_prefix("http://")?.rsplit_once(':')?;
            port.parse().ok()
        });
        port.ok_or_else(|| Failure::new(format!("the arena printed no address: {line:?}")))
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // A process that has ended by itself needs no signal.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn specify(report: &Path, port: u16, is_core: bool) -> String {
    let excluded = if is_core { COMPRESSION } else { "" };
    format!(
        r#"{{"outdir": {report:?}, "cases": ["*"], "exclude-cases": [{excluded}], "exclude-agent-cases": {{}},
 "servers": [{{"agent": "seaway", "url": "ws://127.0.0.1:{port}/ws/echo"}}]}}"#
    )
}

/// Prints how many cases had which outcome; fails if one is not `OK` or `INFORMATIONAL`, or if
/// another number of cases ran.
fn summarize(index: &Path, cases: usize) -> Result {
    let text = fs::read_to_string(index).map_err(|error| failed("read", index, error))?;
    let outcomes = outcomes(&text);
    println!("outcomes of each case and of its close: {outcomes:?}");
    println!("report: {}", index.with_extension("html").display());
    judge(&outcomes, cases).map_err(Failure::new)
}

/// How many cases had which outcome, and the same of their closes.
type Outcomes<'a> = [BTreeMap<&'a str, usize>; 2];

fn outcomes(index: &str) -> Outcomes<'_> {
    [r#""behavior": ""#, r#""behaviorClose": ""#].map(|key| {
        let mut outcomes = BTreeMap::new();
        for after in index.split(key).skip(1) {
            let outcome = after.split('"').next().unwrap_or_default();
            *outcomes.entry(outcome).or_default() += 1;
        }
        outcomes
    })
}

fn judge(outcomes: &Outcomes<'_>, cases: usize) -> std::result::Result<(), String> {
    let is_passed = |outcome: &&&str| matches!(**outcome, "OK" | "INFORMATIONAL");
    for outcomes in outcomes {
        if let Some(outcome) = outcomes.keys().find(|outcome| !is_passed(outcome)) {
            return Err(format!("a case ended with {outcome}"));
        }
        let run: usize = outcomes.values().sum();
        if run != cases {
            return Err(format!("the suite ran {run} of {cases} cases"));
        }
    }
    Ok(())
}

fn failed(operation: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::new(format!("cannot {operation} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cases in the format of the suite, with the outcomes of the second one.
    fn index(behavior: &str, close: &str) -> String {
        format!(
            r#"{{"seaway": {{
                "1.1.1": {{"behavior": "OK", "behaviorClose": "OK", "duration": 3}},
                "7.1.6": {{"behavior": "{behavior}", "behaviorClose": "{close}", "duration": 4}}
            }}}}"#
        )
    }

    #[test]
    fn the_suite_passes_only_if_every_case_ran_and_passed() {
        for (behavior, close, cases, expected) in [
            ("OK", "OK", 2, Ok(())),
            ("INFORMATIONAL", "INFORMATIONAL", 2, Ok(())),
            ("OK", "OK", 3, Err("the suite ran 2 of 3 cases")),
            ("OK", "OK", 1, Err("the suite ran 2 of 1 cases")),
            ("NON-STRICT", "OK", 2, Err("a case ended with NON-STRICT")),
            ("OK", "UNCLEAN", 2, Err("a case ended with UNCLEAN")),
            (
                "UNIMPLEMENTED",
                "OK",
                2,
                Err("a case ended with UNIMPLEMENTED"),
            ),
        ] {
            let text = index(behavior, close);
            let judged = judge(&outcomes(&text), cases);
            assert_eq!(
                judged,
                expected.map_err(str::to_owned),
                "{behavior} {close}"
            );
        }
        assert!(judge(&outcomes("{}"), CORE_CASES).is_err());
    }
}
