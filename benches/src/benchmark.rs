//! The two benchmarks: servers, settings, loads and targets of the arena.

use std::time::Duration;

use crate::{
    course::Pace,
    load::{self, Shape},
    report::{self, Target},
    server::{self, Contestant, Setting},
};

/// One benchmark.
#[derive(Debug)]
pub(crate) struct Benchmark {
    /// The setting in which every server runs.
    pub(crate) setting: Setting,
    /// The servers; the first is compared with the others.
    pub(crate) contestants: &'static [Contestant],
    /// All its loads.
    pub(crate) shapes: &'static [Shape],
    /// The targets of the arena.
    pub(crate) targets: &'static [Target],
    /// The rounds and the durations of a full run.
    pub(crate) thorough: Effort,
    /// The rounds and the durations of a quick run.
    pub(crate) quick: Effort,
}

/// The rounds and the duration of each load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// The number of rounds.
    pub(crate) rounds: usize,
    /// The duration of each load.
    pub(crate) pace: Pace,
}

/// One process of each server, with its rooms in memory.
pub(crate) const IN_MEMORY: Benchmark = Benchmark {
    setting: Setting::InMemory,
    contestants: &server::IN_MEMORY,
    shapes: &load::IN_MEMORY,
    targets: &report::IN_MEMORY,
    thorough: effort(5, 300, 1700),
    quick: effort(3, 100, 300),
};

/// Two processes of each server, and a Redis between them.
pub(crate) const OVER_REDIS: Benchmark = Benchmark {
    setting: Setting::OverRedis,
    contestants: &server::OVER_REDIS,
    shapes: &load::OVER_REDIS,
    targets: &report::OVER_REDIS,
    thorough: effort(2, 500, 2000),
    quick: effort(1, 300, 700),
};

impl Benchmark {
    /// Returns whether losses and failures of this server are reported without failing the run:
    /// over Redis, those of the peers are results.
    pub(crate) fn forgives(&self, contestant: Contestant) -> bool {
        self.setting == Setting::OverRedis && contestant != self.contestants[0]
    }
}

const fn effort(rounds: usize, warm_up_ms: u64, watch_ms: u64) -> Effort {
    Effort {
        rounds,
        pace: Pace {
            warm_up: Duration::from_millis(warm_up_ms),
            watch: Duration::from_millis(watch_ms),
        },
    }
}
