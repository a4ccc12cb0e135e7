//! The metrics of a process, as Prometheus reads them.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use seaway::{Error, Result};
use std::time::Duration;

/// How often the samples of histograms are summed up: until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Records them from now on. Call it once, before anything is made that counts, on a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::User`](seaway::ErrorKind::User) if something records metrics already.
    pub fn record() -> Result<Self> {
        let recorder = PrometheusBuilder::new().install_recorder();
        let handle = recorder.map_err(Error::user)?;
        let upkeep = handle.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP).await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// Returns the text for `GET /metrics`.
    pub fn render(&self) -> String {
        self.0.render()
    }
}
