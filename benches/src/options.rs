//! The command line flags.

use std::{ffi::OsString, path::PathBuf};

use lexopt::{
    Arg::{Long, Short},
    Parser, ValueExt,
};

use crate::{
    benchmark::{Benchmark, Effort, IN_MEMORY, OVER_REDIS},
    load::Shape,
    server::Contestant,
};

/// The text of `--help`.
pub(crate) const HELP: &str = include_str!("../help.txt");

/// The options of a run.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The benchmark.
    pub(crate) benchmark: &'static Benchmark,
    /// The servers to measure.
    pub(crate) contestants: Vec<Contestant>,
    /// The loads to run.
    pub(crate) shapes: Vec<Shape>,
    /// Whether to measure the cost of topics instead.
    pub(crate) is_of_topics: bool,
    /// The rounds and the durations.
    pub(crate) effort: Effort,
    /// The path of the JSON output.
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Parses the flags; `None` if help is requested.
    ///
    /// # Errors
    ///
    /// A description of the invalid flag.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Self>, lexopt::Error> {
        let (mut is_over_redis, mut is_quick, mut is_of_topics) = (false, false, false);
        let (mut rounds, mut only, mut loads, mut json) = (None, None, None, None);
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("over-redis") => is_over_redis = true,
                Long("topics") => is_of_topics = true,
                Long("quick") => is_quick = true,
                Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Long("only") => only = Some(parser.value()?.string()?),
                Long("loads") => loads = Some(parser.value()?.string()?),
                Long("json") => json = Some(parser.value()?.into()),
                unknown => return Err(unknown.unexpected()),
            }
        }
        let is_of_servers = is_over_redis || only.is_some() || loads.is_some() || json.is_some();
        if is_of_topics && is_of_servers {
            return Err("--topics goes with --quick and --rounds alone".into());
        }
        let benchmark = match is_over_redis {
            true => &OVER_REDIS,
            false => &IN_MEMORY,
        };
        let mut effort = match is_quick {
            true => benchmark.quick,
            false => benchmark.thorough,
        };
        effort.rounds = rounds.unwrap_or(effort.rounds).max(1);
        Ok(Some(Self {
            benchmark,
            contestants: pick(only, benchmark.contestants, |contestant| contestant.name)?,
            shapes: pick(loads, benchmark.shapes, |shape| shape.key)?,
            is_of_topics,
            effort,
            json,
        }))
    }
}

/// Returns the listed items, or all without a list.
fn pick<T: Copy>(
    list: Option<String>,
    all: &[T],
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, String> {
    let Some(list) = list else {
        return Ok(all.to_vec());
    };
    let found = |wanted: &str| all.iter().copied().find(|item| name(item) == wanted);
    list.split(',')
        .map(|wanted| found(wanted).ok_or_else(|| format!("there is no {wanted}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        let options = Options::read(line.split_whitespace().map(OsString::from));
        options.map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn flags_choose_servers_loads_and_rounds() {
        let options = read("--rounds=4 --only bare,axum --loads http --quick")
            .expect("valid")
            .expect("no help");

        let names: Vec<_> = options
            .contestants
            .iter()
            .map(|contestant| contestant.name)
            .collect();
        assert_eq!(names, ["bare", "axum"]);
        assert_eq!(options.shapes.len(), 1);
        assert_eq!(options.effort.rounds, 4);
    }

    #[test]
    fn the_servers_and_loads_are_those_of_the_benchmark() {
        let options = read("--only pubsub --loads room-1000 --over-redis");
        assert!(options.is_ok_and(|options| options.is_some()));

        for line in [
            "--only pubsub",
            "--loads room-1000",
            "--over-redis --loads http",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn topics_are_measured_without_servers() {
        assert!(read("--topics --quick --rounds 2").is_ok());
        for line in ["--topics --only axum", "--topics --over-redis"] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (line, told) in [
            ("--slow", "'--slow'"),
            ("--only rails", "there is no rails"),
            ("--json", "'--json'"),
            ("arena", "\"arena\""),
        ] {
            let Err(mistake) = read(line) else {
                panic!("{line} was accepted");
            };
            assert!(mistake.contains(told), "{line}: {mistake}");
        }
    }
}
