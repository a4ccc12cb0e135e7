//! The arena's targets, and whether it meets them.

use crate::figures::{Figure, Samples};

/// A target for one figure of one load.
#[derive(Debug)]
pub(crate) struct Target {
    what: &'static str,
    shape: &'static str,
    figure: Figure,
    limit: Limit,
}

#[derive(Debug)]
enum Limit {
    /// At most this multiple of another server's figure in the same run.
    Times(f64, &'static str),
    /// At most this fraction (one in n) of another server's figure in the same run.
    OneIn(f64, &'static str),
    /// The figure of this server, another arena, is at most this multiple.
    CostsTimes(f64, &'static str),
    /// At most this value.
    AtMost(f64, &'static str),
}

/// The targets in memory.
pub(crate) const IN_MEMORY: [Target; 8] = [
    cpu(
        "CPU per echo, 1 under way",
        "echo-1",
        Limit::Times(1.2, "bare"),
    ),
    cpu(
        "CPU per echo, 16 under way",
        "echo-16",
        Limit::Times(1.2, "bare"),
    ),
    cpu(
        "CPU per delivery, one room of 200",
        "room-200",
        Limit::Times(1.2, "bare"),
    ),
    cpu(
        "CPU per delivery, 50 rooms of 10",
        "rooms-50x10",
        Limit::Times(1.2, "bare"),
    ),
    cpu(
        "CPU per delivery, compressed or not, one room of 1,000",
        "room-1000-1k",
        Limit::CostsTimes(2.0, "deflate"),
    ),
    cpu(
        "CPU per handshake",
        "handshakes",
        Limit::Times(1.1, "fastws"),
    ),
    cpu("CPU per HTTP request", "http", Limit::Times(1.0, "axum")),
    Target {
        what: "memory per idle connection",
        shape: "idle",
        figure: Figure::MemoryKib,
        limit: Limit::AtMost(3.5, "KiB"),
    },
];

/// The targets over Redis.
pub(crate) const OVER_REDIS: [Target; 12] = [
    cpu(
        "CPU per delivery, 50 rooms of 10",
        "rooms-50x10-busy",
        Limit::Times(0.33, "axum"),
    ),
    cpu(
        "CPU per delivery, 50 rooms of 10",
        "rooms-50x10-busy",
        Limit::OneIn(80.0, "pubsub"),
    ),
    cpu(
        "CPU per delivery, 50 rooms of 10",
        "rooms-50x10-busy",
        Limit::OneIn(80.0, "core"),
    ),
    cpu(
        "CPU per delivery, 10 rooms of 100",
        "rooms-10x100-busy",
        Limit::Times(0.33, "axum"),
    ),
    cpu(
        "CPU per delivery, 10 rooms of 100",
        "rooms-10x100-busy",
        Limit::OneIn(80.0, "pubsub"),
    ),
    cpu(
        "CPU per delivery, 10 rooms of 100",
        "rooms-10x100-busy",
        Limit::OneIn(80.0, "core"),
    ),
    cpu(
        "CPU per delivery, one room of 1,000",
        "room-1000-busy",
        Limit::Times(0.33, "axum"),
    ),
    cpu(
        "CPU per delivery, one room of 1,000",
        "room-1000-busy",
        Limit::OneIn(80.0, "pubsub"),
    ),
    cpu(
        "CPU per delivery, one room of 1,000",
        "room-1000-busy",
        Limit::OneIn(80.0, "core"),
    ),
    one_command("Redis per message, 50 rooms of 10", "rooms-50x10"),
    one_command("Redis per message, 10 rooms of 100", "rooms-10x100"),
    one_command("Redis per message, one room of 1,000", "room-1000"),
];

/// Returns a line for every target that this run has measured.
pub(crate) fn targets(samples: &Samples, targets: &[Target]) -> Vec<String> {
    targets
        .iter()
        .filter_map(|target| target.judge(samples))
        .collect()
}

const fn cpu(what: &'static str, shape: &'static str, limit: Limit) -> Target {
    Target {
        what,
        shape,
        figure: Figure::CpuUs,
        limit,
    }
}

const fn one_command(what: &'static str, shape: &'static str) -> Target {
    Target {
        what,
        shape,
        figure: Figure::RedisCommands,
        limit: Limit::AtMost(1.0, "commands"),
    }
}

impl Target {
    fn judge(&self, samples: &Samples) -> Option<String> {
        let arena = samples.median("arena", self.shape, self.figure)?;
        let other = |name| samples.median(name, self.shape, self.figure);
        let (holds, found) = match self.limit {
            Limit::Times(limit, name) => {
                let value = arena / other(name)?;
                let found = format!("{value:.2} x {name} (at most {limit:?})");
                (is_within(value, limit), found)
            }
            Limit::OneIn(limit, name) => {
                let value = other(name)? / arena;
                let found = format!("1/{value:.0} x {name} (at most 1/{limit:.0})");
                (value >= limit, found)
            }
            Limit::CostsTimes(limit, name) => {
                let value = other(name)? / arena;
                let found = format!("{name} costs {value:.2} x (at most {limit:?})");
                (is_within(value, limit), found)
            }
            Limit::AtMost(limit, unit) => {
                let found = format!("{arena:.2} {unit} (at most {limit:?})");
                (is_within(arena, limit), found)
            }
        };
        let verdict = if holds { "holds " } else { "MISSED" };
        Some(format!("{verdict}  {}: {found}", self.what))
    }
}

/// Returns whether a value is within its limit, with both rounded to two decimals.
fn is_within(value: f64, limit: f64) -> bool {
    (value * 100.0).round() <= (limit * 100.0).round()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{benchmark, benchmark::Benchmark, figures::Sample};

    /// Returns the targets' lines if these servers used this CPU time under this load.
    fn judged(benchmark: &Benchmark, key: &str, cpu_us: &[(&str, f64)]) -> Vec<String> {
        let shape = benchmark.shapes.iter().find(|shape| shape.key == key);
        let mut samples = Samples::default();
        for (name, cpu_us) in cpu_us {
            let mut contestants = benchmark.contestants.iter();
            let contestant = contestants.find(|contestant| contestant.name == *name);
            samples.add(
                *contestant.expect("it is measured"),
                shape.expect("there is such a load"),
                Sample {
                    figures: vec![(Figure::CpuUs, *cpu_us)],
                    ..Sample::default()
                },
            );
        }
        targets(&samples, benchmark.targets)
    }

    fn http(arena_us: f64, axum_us: f64) -> Vec<String> {
        let cpu_us = [("arena", arena_us), ("axum", axum_us)];
        judged(&benchmark::IN_MEMORY, "http", &cpu_us)
    }

    #[test]
    fn a_target_is_judged_by_what_was_measured_side_by_side() {
        assert_eq!(
            http(9.0, 10.0),
            ["holds   CPU per HTTP request: 0.90 x axum (at most 1.0)"]
        );
        assert_eq!(
            http(10.04, 10.0),
            ["holds   CPU per HTTP request: 1.00 x axum (at most 1.0)"]
        );
        assert_eq!(
            http(11.0, 10.0),
            ["MISSED  CPU per HTTP request: 1.10 x axum (at most 1.0)"]
        );
    }

    #[test]
    fn a_small_part_of_what_a_peer_needs_is_shown_as_a_fraction() {
        let cpu_us = [
            ("arena", 2.0),
            ("axum", 5.0),
            ("pubsub", 210.0),
            ("core", 158.0),
        ];

        let lines = judged(&benchmark::OVER_REDIS, "room-1000-busy", &cpu_us);

        assert_eq!(
            lines,
            [
                "MISSED  CPU per delivery, one room of 1,000: 0.40 x axum (at most 0.33)",
                "holds   CPU per delivery, one room of 1,000: 1/105 x pubsub (at most 1/80)",
                "MISSED  CPU per delivery, one room of 1,000: 1/79 x core (at most 1/80)",
            ]
        );
    }

    #[test]
    fn every_target_speaks_of_a_load_that_exists() {
        for benchmark in [benchmark::IN_MEMORY, benchmark::OVER_REDIS] {
            for target in benchmark.targets {
                let mut shapes = benchmark.shapes.iter();
                assert!(
                    shapes.any(|shape| shape.key == target.shape),
                    "{}",
                    target.shape
                );
            }
        }
    }
}
