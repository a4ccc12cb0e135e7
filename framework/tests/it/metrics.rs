//! A recorder that keeps metrics for tests, and tests of metrics of the server.

use crate::support::{Server, connect, echo, next, try_connect};
use futures_util::SinkExt;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use seaway::{
    ApplicationExt,
    protocol::{RateLimit, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_tungstenite::tungstenite::Message;

/// The metrics of this thread while the test holds it: `name label=value …`.
#[derive(Default)]
pub(crate) struct Counters {
    counters: Registered<AtomicU64>,
    /// Their values are encoded as bits.
    gauges: Registered<AtomicU64>,
    histograms: Registered<SampleCount>,
}

type Registered<T> = Mutex<HashMap<String, Arc<T>>>;

/// The number of samples of a histogram.
#[derive(Default)]
struct SampleCount(AtomicU64);

impl HistogramFn for SampleCount {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counters {
    /// Returns a counter, 0 if nothing has counted it.
    pub(crate) fn get(&self, name: &str) -> u64 {
        let counters = self.counters.lock().unwrap();
        let counter = counters.get(name);
        counter.map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Returns the value of a gauge, which something has set.
    pub(crate) fn gauge(&self, name: &str) -> f64 {
        let gauges = self.gauges.lock().unwrap();
        f64::from_bits(gauges[name].load(Ordering::Relaxed))
    }

    /// Returns the number of samples of a histogram, which something has created.
    pub(crate) fn samples(&self, name: &str) -> u64 {
        let histograms = self.histograms.lock().unwrap();
        histograms[name].0.load(Ordering::Relaxed)
    }
}

fn register<T: Default>(registered: &Registered<T>, key: &Key) -> Arc<T> {
    let mut name = key.name().to_owned();
    for label in key.labels() {
        name.push_str(&format!(" {}={}", label.key(), label.value()));
    }
    registered.lock().unwrap().entry(name).or_default().clone()
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(register(&self.counters, key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(register(&self.gauges, key))
    }
    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(register(&self.histograms, key))
    }
}

#[tokio::test]
async fn rejected_clients_are_counted_by_rule() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let limit = RateLimit::frames(1).close();
    let echo = echo().with(WebSocketConfig::new().rate_limit(limit));
    let router = PathRouter::new().route("/", echo);
    let server = Server::start(ProtocolTypeRouter::new().websocket(router)).await;

    let nowhere = try_connect(server.address, "/nowhere", &[]).await;
    let foreign = [("origin", "https://elsewhere.example")];
    let foreign = try_connect(server.address, "/", &foreign).await;
    let mut fast = connect(server.address, "/").await;
    for _ in 0..30 {
        // The server may close the connection meanwhile.
        _ = fast.feed(Message::text("x")).await;
    }
    _ = fast.flush().await;
    while !next(&mut fast).await.is_close() {}

    assert_eq!((nowhere.err(), foreign.err()), (Some(404), Some(403)));
    for rule in ["path", "origin", "rate"] {
        let count = counters.get(&format!("seaway_rejections_total rule={rule}"));
        assert_eq!(count, 1, "{rule}");
    }
}
