//! The metrics of this process, in the Prometheus text format.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use seaway::Result;
use std::time::Duration;

/// The interval at which histogram samples are aggregated; until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// A handle to the metrics of this process.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording metrics. Call it once, on a tokio runtime, before anything that records
    /// metrics is created.
    ///
    /// # Errors
    /// [`ErrorKind::User`](seaway::ErrorKind::User) if another recorder is installed already.
    pub fn record() -> Result<Self> {
        let handle = PrometheusBuilder::new().install_recorder()?;
        let upkeep = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// Returns the text for `GET /metrics`, with the number of tokio's tasks. Call it on the
    /// runtime that they run on.
    pub fn render(&self) -> String {
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let measured = self.0.render();
        format!("{measured}# TYPE tokio_alive_tasks gauge\ntokio_alive_tasks {tasks}\n")
    }
}
