//! The table: a block per load, a row per figure, a column per server, and the ratios of the first
//! server to the others.

use std::fmt::Write;

use crate::{
    figures::{Figure, Samples},
    load::Shape,
    server::Contestant,
};

const FIRST_COLUMN: usize = 28;
const COLUMN: usize = 12;

/// All medians as a table.
pub(crate) fn table(samples: &Samples, shapes: &[Shape], contestants: &[Contestant]) -> String {
    let Some((first, others)) = contestants.split_first() else {
        return String::new();
    };

    let mut table = format!("{:FIRST_COLUMN$}", "");
    for contestant in contestants {
        push(&mut table, contestant.name);
    }
    for other in others {
        push(&mut table, &format!("{}/{}", first.name, other.name));
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
                let ratio = values[0].zip(*other).map(|(first, other)| first / other);
                push(
                    &mut table,
                    &ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
                );
            }
            table.push('\n');
        }
    }
    table
}

fn push(table: &mut String, cell: &str) {
    let _ = write!(table, "{cell:>COLUMN$}");
}

/// Three digits that matter, or whole thousands set apart.
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
}
