//! A benchmark of the arena against peers with the same routes, which prints one table.
//!
//! There are two benchmarks, in memory and over Redis (see `benchmark.rs`). In each round every
//! load runs on each server in turn, with fresh processes on free ports of this machine; the
//! figures are the medians over the rounds, so that a disturbance of the machine affects one round
//! of one load. All servers run with their defaults. Servers and load generator share the machine's
//! cores, so CPU time per message (see `gauge.rs`) is the most reliable figure.

mod benchmark;
mod course;
mod figures;
mod frame;
mod gauge;
mod http;
mod inflated;
mod label;
mod load;
mod options;
mod process;
mod redis;
mod report;
mod server;
mod socket;
mod stream;
mod topics;

use std::{
    env, fs,
    io::{Error, Result},
    process::ExitCode,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::time::timeout;

use crate::{
    figures::{Sample, Samples, plural},
    load::Shape,
    options::{HELP, Options},
    server::{Contestant, Server},
};

/// The timeout of one load on one server.
const SAMPLE_LIMIT: Duration = Duration::from_secs(60);

/// The number of open files that the largest load needs, on either side.
const OPEN_FILES: u64 = 6000;

// One thread: a load generator on both cores would starve the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::read(env::args_os().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("bench: {problem}; see --help");
            return ExitCode::from(2);
        }
    };
    let outcome = match options.is_of_topics {
        true => topics::measure(&options).await.map(|()| Vec::new()),
        false => measure(&options).await,
    };
    match outcome {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            println!("\nFAILED");
            for failure in failures {
                println!("  {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all rounds and prints the report; returns the failures.
async fn measure(options: &Options) -> Result<Vec<String>> {
    allow_open_files()?;
    let Outcome {
        samples,
        failures,
        of_peers,
    } = rounds(options).await;

    let (shapes, contestants) = (&options.shapes, &options.contestants);
    let client_share = samples.client_share() * 100.0;
    println!("{}", report::table(&samples, shapes, contestants));
    println!("The load generator used up to {client_share:.0} % of a core.");
    for target in report::targets(&samples, options.benchmark.targets) {
        println!("{target}");
    }
    for failure in of_peers {
        println!("PEER    {failure}");
    }
    if let Some(file) = &options.json {
        let json = report::json(&samples, options, &failures);
        fs::write(file, format!("{json:#}\n"))?;
    }
    Ok(failures)
}

/// The outcome of all rounds.
#[derive(Default)]
struct Outcome {
    samples: Samples,
    failures: Vec<String>,
    /// The losses and failures of peers.
    of_peers: Vec<String>,
}

/// Runs every load on every server in turn, round by round.
async fn rounds(options: &Options) -> Outcome {
    let mut outcome = Outcome::default();
    for round in 1..=options.effort.rounds {
        for shape in &options.shapes {
            for contestant in &options.contestants {
                if !shape.suits(contestant.loads) {
                    continue;
                }
                let place = format!("round {round}, {}, {}", shape.key, contestant.name);
                let failures = match options.benchmark.forgives(*contestant) {
                    true => &mut outcome.of_peers,
                    false => &mut outcome.failures,
                };
                match sample(*contestant, shape, options).await {
                    Ok(sample) => {
                        eprintln!("{place}: {}", sample.brief(shape.unit));
                        if sample.lost > 0 {
                            let what = plural(shape.unit);
                            failures.push(format!("{place}: {} {what} lost", sample.lost));
                        }
                        outcome.samples.add(*contestant, shape, sample);
                    }
                    Err(error) => {
                        eprintln!("{place}: FAILED: {error}");
                        failures.push(format!("{place}: {error}"));
                    }
                }
            }
        }
    }
    outcome
}

async fn sample(contestant: Contestant, shape: &Shape, options: &Options) -> Result<Sample> {
    let server = Server::start(contestant, options.benchmark.setting).await?;
    let pace = options.effort.pace.times(contestant.patience());
    let sample = timeout(SAMPLE_LIMIT, shape.run(&server, pace)).await;
    sample.map_err(|_| Error::other(format!("not done within {} s", SAMPLE_LIMIT.as_secs())))?
}

/// Raises the limit of open files, which the servers inherit.
fn allow_open_files() -> Result<()> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if now >= OPEN_FILES {
        return Ok(());
    }
    if most < OPEN_FILES {
        return Err(Error::other(format!(
            "the idle load needs {OPEN_FILES} open files, this machine allows {most}"
        )));
    }
    Ok(setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, most)?)
}
