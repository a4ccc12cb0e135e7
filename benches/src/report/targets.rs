//! What the arena is held to, and whether it holds.

use crate::figures::{Figure, Samples};

/// One promise about one load.
struct Target {
    what: &'static str,
    shape: &'static str,
    figure: Figure,
    limit: Limit,
}

enum Limit {
    /// So many times what another server needs in the same run.
    Times(f64, &'static str),
    /// So much.
    AtMost(f64, &'static str),
}

const TARGETS: [Target; 6] = [
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
    cpu("CPU per HTTP request", "http", Limit::Times(1.0, "axum")),
    Target {
        what: "memory per idle connection",
        shape: "idle",
        figure: Figure::MemoryKib,
        limit: Limit::AtMost(8.0, "KiB"),
    },
];

/// A line for every target that this run can tell about.
pub(crate) fn targets(samples: &Samples) -> Vec<String> {
    TARGETS
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

impl Target {
    fn judge(&self, samples: &Samples) -> Option<String> {
        let arena = samples.median("arena", self.shape, self.figure)?;
        let (value, limit, unit) = match self.limit {
            Limit::Times(limit, other) => {
                let other_value = samples.median(other, self.shape, self.figure)?;
                (arena / other_value, limit, format!("x {other}"))
            }
            Limit::AtMost(limit, unit) => (arena, limit, unit.to_owned()),
        };
        // What is promised with two digits is judged with two.
        let verdict = if (value * 100.0).round() <= limit * 100.0 {
            "holds "
        } else {
            "MISSED"
        };
        Some(format!(
            "{verdict}  {}: {value:.2} {unit} (at most {limit:.1})",
            self.what
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{figures::Sample, load::SHAPES, server::CONTESTANTS};

    fn http(arena_us: f64, axum_us: f64) -> Vec<String> {
        let shape = SHAPES
            .iter()
            .find(|shape| shape.key == "http")
            .expect("there is an HTTP load");
        let mut samples = Samples::default();
        for (contestant, cpu_us) in [(CONTESTANTS[0], arena_us), (CONTESTANTS[2], axum_us)] {
            samples.add(
                contestant,
                shape,
                Sample {
                    figures: vec![(Figure::CpuUs, cpu_us)],
                    ..Sample::default()
                },
            );
        }
        targets(&samples)
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
    fn every_target_speaks_of_a_load_that_exists() {
        for target in &TARGETS {
            assert!(
                SHAPES.iter().any(|shape| shape.key == target.shape),
                "{}",
                target.shape
            );
        }
    }
}
