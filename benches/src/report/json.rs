//! The report as JSON.

use serde_json::{Map, Value, json};

use crate::{
    figures::{Figure, Samples},
    options::Options,
    report::targets,
};

/// Returns the medians by load and server, the targets and the failures.
pub(crate) fn json(samples: &Samples, options: &Options, failures: &[String]) -> Value {
    let loads = options.shapes.iter().map(|shape| {
        let servers = options.contestants.iter().map(|contestant| {
            let figures = Figure::ALL.iter().filter_map(|figure| {
                let value = samples.median(contestant.name, shape.key, *figure)?;
                Some((figure.key().to_owned(), json!(value)))
            });
            (contestant.name.to_owned(), Value::Object(figures.collect()))
        });
        (shape.key.to_owned(), Value::Object(servers.collect()))
    });
    json!({
        "rounds": options.effort.rounds,
        "watch_ms": options.effort.pace.watch.as_millis() as u64,
        "client_share": samples.client_share(),
        "loads": loads.collect::<Map<_, _>>(),
        "targets": targets(samples, options.benchmark.targets),
        "failures": failures,
    })
}
