//! The table of the report: a block per load, a row per figure, a column per server, and the ratios
//! of the first server to the others.

use std::fmt::Write;

use crate::{
    figures::{Figure, Samples},
    load::Shape,
    server::Contestant,
};

const FIRST_COLUMN: usize = 28;
/// The minimum width of all columns but the first.
const COLUMN: usize = 12;

/// Formats all medians as a table.
pub(crate) fn table(samples: &Samples, shapes: &[Shape], contestants: &[Contestant]) -> String {
    let Some((first, others)) = contestants.split_first() else {
        return String::new();
    };

    let names = contestants
        .iter()
        .map(|contestant| contestant.name.to_owned());
    let ratios = others
        .iter()
        .map(|other| format!("{}/{}", first.name, other.name));
    let headers: Vec<_> = names.chain(ratios).collect();
    let longest = headers.iter().map(String::len).max().unwrap_or_default();
    let column = COLUMN.max(longest + 2);
    let push = |table: &mut String, cell: &str| {
        let _ = write!(table, "{cell:>column$}");
    };

    let mut table = format!("{:FIRST_COLUMN$}", "");
    for header in &headers {
        push(&mut table, header);
    }
    for shape in shapes {
        let _ = write!(table, "\n{}\n", shape.title);
        for figure in Figure::ALL {
            let values = contestants
                .iter()
                .map(|contestant| samples.median(contestant.name, shape.key, figure));
            let values: Vec<_> = values.collect();
            if values.iter().all(Option::is_none) {
                continue;
            }
            let _ = write!(
                table,
                "{:FIRST_COLUMN$}",
                format!("  {}", figure.title(shape.unit))
            );
            for value in &values {
                push(&mut table, &value.map_or("-".to_owned(), number));
            }
            for other in &values[1..] {
                let quotient = values[0].zip(*other).map(|(first, other)| first / other);
                push(&mut table, &quotient.map_or("-".to_owned(), ratio));
            }
            table.push('\n');
        }
    }
    table
}

/// Formats a ratio with two decimals, and a third where the first is a zero.
fn ratio(value: f64) -> String {
    match value {
        value if value < 0.1 => format!("{value:.3}"),
        value => format!("{value:.2}"),
    }
}

/// Formats a number with three significant digits, or as whole thousands with a separator.
fn number(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => {
            let digits = format!("{value:.0}");
            let groups: Vec<_> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(String::from_utf8_lossy)
                .collect();
            groups.join(",")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_are_certain() {
        for (value, shown) in [
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1_234_567.8, "1,234,568"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn a_small_ratio_has_another_digit() {
        for (value, shown) in [(0.0096, "0.010"), (0.333, "0.33"), (1.2, "1.20")] {
            assert_eq!(ratio(value), shown);
        }
    }
}
