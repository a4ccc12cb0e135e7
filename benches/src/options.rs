//! The flags.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use lexopt::{
    Arg::{Long, Short},
    Parser, ValueExt,
};

use crate::{
    course::Pace,
    load::{SHAPES, Shape},
    server::{CONTESTANTS, Contestant},
};

/// What `--help` says.
pub(crate) const HELP: &str = "\
Measures Seaway's arena against an axum server and a bare tokio-tungstenite one, on loopback.

usage: bench [--quick] [--rounds N] [--only SERVER,…] [--loads LOAD,…] [--json FILE]

  --quick     a look in half a minute instead of figures in seven
  --rounds N  how often each load is put on each server (default 5, quick 3)
  --only      arena, bare, axum (default all)
  --loads     echo-1, echo-16, room-200, rooms-50x10, http, idle, crowd,
              crowd-sse (default all)
  --json      also write the figures to a file

It ends with an error if a delivery was lost or a connection failed.";

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Whom to measure.
    pub(crate) contestants: Vec<Contestant>,
    /// Under which loads.
    pub(crate) shapes: Vec<Shape>,
    /// How often.
    pub(crate) rounds: usize,
    /// For how long.
    pub(crate) pace: Pace,
    /// Where to write the figures.
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Reads the flags; nothing if help is wanted.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            contestants: CONTESTANTS.to_vec(),
            shapes: SHAPES.to_vec(),
            rounds: 5,
            pace: pace(300, 1700),
            json: None,
        };
        let mut rounds = None;
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('h') | Long("help") => return Ok(None),
                Long("quick") => {
                    options.rounds = 3;
                    options.pace = pace(100, 300);
                }
                Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Long("only") => {
                    let only = parser.value()?.string()?;
                    options.contestants = pick(&only, &CONTESTANTS, |contestant| contestant.name)?;
                }
                Long("loads") => {
                    let loads = parser.value()?.string()?;
                    options.shapes = pick(&loads, &SHAPES, |shape| shape.key)?;
                }
                Long("json") => options.json = Some(parser.value()?.into()),
                unknown => return Err(unknown.unexpected()),
            }
        }
        options.rounds = rounds.unwrap_or(options.rounds).max(1);
        Ok(Some(options))
    }
}

fn pace(warm_up_ms: u64, watch_ms: u64) -> Pace {
    Pace {
        warm_up: Duration::from_millis(warm_up_ms),
        watch: Duration::from_millis(watch_ms),
    }
}

fn pick<T: Copy>(
    list: &str,
    all: &[T],
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, String> {
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
        assert_eq!(options.rounds, 4);
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
