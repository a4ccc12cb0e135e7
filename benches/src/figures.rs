//! The measured figures, and their medians over the rounds.

use crate::{load::Shape, server::Contestant};

/// A kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// The rate per second.
    PerSecond,
    /// The median latency, in microseconds.
    MedianUs,
    /// The 99th percentile of the latency, in microseconds.
    NinetyNinthUs,
    /// The server's CPU time for one, in microseconds.
    CpuUs,
    /// The server's resident memory for one connection, in KiB.
    MemoryKib,
    /// Redis' CPU time for one message, in microseconds.
    RedisCpuUs,
    /// The commands that Redis runs for one message.
    RedisCommands,
}

impl Figure {
    /// All figures, in the order of the report.
    pub(crate) const ALL: [Self; 7] = [
        Self::PerSecond,
        Self::MedianUs,
        Self::NinetyNinthUs,
        Self::CpuUs,
        Self::MemoryKib,
        Self::RedisCpuUs,
        Self::RedisCommands,
    ];

    /// Returns its name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::PerSecond => "per_second",
            Self::MedianUs => "p50_us",
            Self::NinetyNinthUs => "p99_us",
            Self::CpuUs => "cpu_us",
            Self::MemoryKib => "memory_kib",
            Self::RedisCpuUs => "redis_cpu_us",
            Self::RedisCommands => "redis_commands",
        }
    }

    /// Returns its name in the table, where `unit` is the counted unit.
    pub(crate) fn title(self, unit: &str) -> String {
        match self {
            Self::PerSecond => format!("{}/s", plural(unit)),
            Self::MedianUs => "p50 µs".to_owned(),
            Self::NinetyNinthUs => "p99 µs".to_owned(),
            Self::CpuUs => format!("CPU µs per {unit}"),
            Self::MemoryKib => "KiB per connection".to_owned(),
            Self::RedisCpuUs => "Redis CPU µs per message".to_owned(),
            Self::RedisCommands => "Redis commands per message".to_owned(),
        }
    }
}

/// The results of one load on one server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// The figures.
    pub(crate) figures: Vec<(Figure, f64)>,
    /// Deliveries that never arrived.
    pub(crate) lost: u64,
    /// The load generator's own use of one core.
    pub(crate) client_share: f64,
}

impl Sample {
    /// Returns a one-line summary for progress output.
    pub(crate) fn brief(&self, unit: &str) -> String {
        let figures = self.figures.iter();
        let words: Vec<_> = figures
            .map(|(figure, value)| format!("{value:.2} {}", figure.title(unit)))
            .collect();
        words.join(", ")
    }
}

/// All samples of a run.
#[derive(Default)]
pub(crate) struct Samples {
    all: Vec<(&'static str, &'static str, Sample)>,
}

impl Samples {
    /// Adds a sample.
    pub(crate) fn add(&mut self, contestant: Contestant, shape: &Shape, sample: Sample) {
        self.all.push((contestant.name, shape.key, sample));
    }

    /// Returns the median over all rounds, if it was measured.
    pub(crate) fn median(&self, contestant: &str, shape: &str, figure: Figure) -> Option<f64> {
        let rounds = self
            .all
            .iter()
            .filter(|(by, of, _)| *by == contestant && *of == shape);
        let values = rounds.flat_map(|(_, _, sample)| &sample.figures);
        median(
            values
                .filter(|(kind, _)| *kind == figure)
                .map(|(_, value)| *value)
                .collect(),
        )
    }

    /// Returns the load generator's maximum use of one core.
    pub(crate) fn client_share(&self) -> f64 {
        self.all
            .iter()
            .map(|(_, _, sample)| sample.client_share)
            .fold(0.0, f64::max)
    }
}

/// Returns the middle of the values, or the mean of the two in the middle; `None` without values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// Returns the plural of a unit.
pub(crate) fn plural(unit: &str) -> String {
    match unit.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_or_between_the_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_title_names_what_is_counted() {
        assert_eq!(Figure::PerSecond.title("delivery"), "deliveries/s");
        assert_eq!(Figure::CpuUs.title("message"), "CPU µs per message");
    }
}
