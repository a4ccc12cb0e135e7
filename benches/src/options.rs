//! The flags.

use std::{path::PathBuf, time::Duration};

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
        arguments: impl IntoIterator<Item = String>,
    ) -> Result<Option<Self>, String> {
        let mut options = Self {
            contestants: CONTESTANTS.to_vec(),
            shapes: SHAPES.to_vec(),
            rounds: 5,
            pace: pace(300, 1700),
            json: None,
        };
        let mut rounds = None;
        let mut arguments = arguments.into_iter();
        while let Some(flag) = arguments.next() {
            let mut value = || {
                arguments
                    .next()
                    .ok_or_else(|| format!("{flag} wants a value"))
            };
            match flag.as_str() {
                "--help" | "-h" => return Ok(None),
                "--quick" => {
                    options.rounds = 3;
                    options.pace = pace(100, 300);
                }
                "--rounds" => {
                    rounds = Some(
                        value()?
                            .parse()
                            .map_err(|_| "--rounds wants a number".to_owned())?,
                    )
                }
                "--only" => {
                    options.contestants =
                        pick(&value()?, &CONTESTANTS, |contestant| contestant.name)?
                }
                "--loads" => options.shapes = pick(&value()?, &SHAPES, |shape| shape.key)?,
                "--json" => options.json = Some(value()?.into()),
                unknown => return Err(format!("there is no flag {unknown}; see --help")),
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
        .map(|wanted| found(wanted).ok_or_else(|| format!("there is no {wanted}; see --help")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<Options>, String> {
        Options::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags_choose_servers_loads_and_rounds() {
        let options = read("--rounds 4 --only bare,axum --loads http --quick")
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
            ("--slow", "there is no flag --slow; see --help"),
            ("--only rails", "there is no rails; see --help"),
            ("--json", "--json wants a value"),
        ] {
            assert_eq!(read(line).err().as_deref(), Some(told));
        }
    }
}
