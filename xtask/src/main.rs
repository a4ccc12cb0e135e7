//! The project's commands, which `cargo xtask help` lists.
//!
//! It uses only the standard library, so that it builds quickly in a fresh clone.

mod api;
mod autobahn;
mod bench;
mod book;
mod compatibility;
mod deny;
mod features;
mod package;
mod setup;
mod shell;
mod test;
mod types;

use std::{env, process::ExitCode};

use crate::shell::Failure;

const HELP: &str = "\
usage: cargo xtask COMMAND

  test               install what the tests need, then check and test everything
  setup              only install what the tests need
  bench [FLAGS]      measure the arena side by side with its peers (bench --help: its flags)
  bench --over-redis [FLAGS]
                     the same with two processes and Redis, beside axum and Django Channels
  bench --topics     measure what a publish to a topic costs next to a plain group send
  types              write the types of the examples' messages in TypeScript
  api                write the public API to framework/public-api.txt
  package            package the published crates, and build the packages with their documentation
  deny               check licences, duplicates and advisories of the dependencies
  msrv               check the published crates with the minimal Rust version
  minimal            check them with the minimal versions of their dependencies
  autobahn [core]    run the Autobahn|Testsuite against the arena; needs a Python 2.7
  book               render the guides with mdbook into target/book
  scale [idle]       put 10,000 clients on two processes, and print times and memory; with `idle`
                     150,000 on eight
  django [proxy|rechecks]
                     measure the proxy beside nginx, and the checks of 10,000 users of a Django site
  soak               let 2,000 clients come and go while servers fail, let 5,000 come back at once,
                     restart the processes of 2,000 one after the other, end 100,000 connections
                     in every way, and measure a presence of 10,000 people
  help               this text";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<_> = arguments.collect();

    let outcome = match (command.as_str(), rest.as_slice()) {
        ("api", []) => api::list(),
        ("types", []) => types::write(),
        ("bench", flags) => bench::run_bench(flags),
        ("autobahn", arguments) => autobahn::run_suite(arguments),
        ("book", []) => book::render(),
        ("deny", []) => deny::check(),
        ("msrv", []) => compatibility::check_rust_version(),
        ("minimal", []) => compatibility::check_dependency_versions(),
        ("package", []) => package::run_all(),
        ("scale", arguments) => bench::run_scale(arguments),
        ("django", arguments) => bench::run_django(arguments),
        ("soak", []) => bench::run_soak(),
        ("test", []) => test::run_all(),
        ("setup", []) => setup::run().map(drop),
        ("help" | "--help" | "-h", _) => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::new(format!("there is no such command\n{HELP}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            failure.exit_code()
        }
    }
}
