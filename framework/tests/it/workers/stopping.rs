//! How workers stop.

use super::{Probe, Running, Task, record, router, send, tasks};
use crate::{log::Log, metrics::Counters, support::Recorder};
use seaway::{Channels, WorkerContext, routing::ChannelNameRouter, worker_fn};
use std::{future::ready, time::Duration};
use tokio::time::Instant;

#[tokio::test]
async fn stopping_finishes_the_job_in_hand_and_takes_no_other() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let workers = Running::start(&channels, router(&channels, &probe));
    send(&channels, Task::Wait).await;
    send(&channels, record(2)).await;
    probe.begun.notified().await;

    drop(workers.stop);
    tokio::task::yield_now().await;
    assert!(!workers.task.is_finished());
    probe.permits.add_permits(1);
    workers.task.await.unwrap().unwrap();

    assert_eq!(probe.recorder.entries(), ["begun", "done"]);
    let waiting = channels.layer().receive(&tasks(), Duration::ZERO).await;
    assert!(
        waiting.unwrap().is_some(),
        "the next job remains in its queue"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_in_hand_that_outlasts_the_drain_timeout_is_aborted_and_counted() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let log = Log::listen();
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let workers = Running::configured(&channels, router(&channels, &probe), |workers| {
        workers.drain_timeout(Duration::from_secs(5))
    });
    send(&channels, Task::Wait).await;
    probe.begun.notified().await;
    let begun = Instant::now();

    drop(workers.stop);
    workers.task.await.unwrap().unwrap();

    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(log.lines("jobs may be lost"), [""; 0]);
    assert_eq!(probe.recorder.entries(), ["begun"]);
    assert_eq!(
        counters.get("seaway_jobs_total channel=tasks outcome=aborted"),
        1
    );
    let line = log.line("a job was aborted, and is lost");
    assert!(line.starts_with("WARN"), "{line}");
}

/// A value of a job that takes some time to be dropped, unless the shutdown functions have run.
struct SlowlyDropped {
    recorder: Recorder,
    shutdown: std::sync::mpsc::Receiver<()>,
}

impl Drop for SlowlyDropped {
    fn drop(&mut self) {
        _ = self.shutdown.recv_timeout(Duration::from_millis(300));
        self.recorder.record("job ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_functions_run_after_aborted_jobs_have_ended() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let (shut_down, shutdown) = std::sync::mpsc::channel();
    let recorder = probe.recorder.clone();
    let value = std::sync::Mutex::new(Some(SlowlyDropped { recorder, shutdown }));
    let begun = probe.begun.clone();
    let job = move |_: WorkerContext, _: Task| {
        let (value, begun) = (value.lock().unwrap().take(), begun.clone());
        async move {
            let _value = value;
            begun.notify_one();
            std::future::pending().await
        }
    };
    let router = ChannelNameRouter::new().route("tasks", worker_fn(&channels, job));
    let recorder = probe.recorder.clone();
    let workers = Running::configured(&channels, router, |workers| {
        let shut_down = move || {
            recorder.record("shutdown");
            _ = shut_down.send(());
            ready(())
        };
        workers.drain_timeout(Duration::ZERO).on_shutdown(shut_down)
    });
    send(&channels, Task::Wait).await;
    probe.begun.notified().await;

    workers.stop().await;

    assert_eq!(probe.recorder.entries(), ["job ended", "shutdown"]);
}

#[tokio::test]
async fn an_idle_worker_stops_soon() {
    let channels = Channels::in_memory();
    let workers = Running::start(&channels, router(&channels, &Probe::new()));
    tokio::task::yield_now().await;

    workers.stop().await;
}
