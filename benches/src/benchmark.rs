//! The two benchmarks: who is measured, how, under which loads, and what the arena is held to.

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
    /// As what every server runs.
    pub(crate) setting: Setting,
    /// Who can be measured; the first is compared with the others.
    pub(crate) contestants: &'static [Contestant],
    /// All its loads.
    pub(crate) shapes: &'static [Shape],
    /// What the arena is held to.
    pub(crate) targets: &'static [Target],
    /// How often and for how long each load is put on each server.
    pub(crate) thorough: Effort,
    /// The same for a look.
    pub(crate) quick: Effort,
}

/// How often and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often.
    pub(crate) rounds: usize,
    /// For how long.
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
    /// Whether what this server loses, and where it fails, is reported without failing the run: over
    /// Redis, that of the others is a figure about them.
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
