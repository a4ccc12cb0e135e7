//! How workers run jobs.

use super::{OtherTask, Probe, Running, Task, record, router, send, tasks};
use crate::{log::Log, metrics::Counters, support::eventually};
use seaway::{Channels, channels::Envelope};

#[tokio::test]
async fn workers_of_one_channel_share_the_jobs_and_each_is_run_once() {
    let channels = Channels::in_memory();
    let probes = [Probe::new(), Probe::new(), Probe::new()];
    let workers: Vec<_> = probes
        .iter()
        .map(|probe| Running::start(&channels, router(&channels, probe)))
        .collect();

    for number in 0..300 {
        send(&channels, record(number)).await;
        tokio::task::yield_now().await;
    }
    let all = || -> Vec<String> {
        probes
            .iter()
            .flat_map(|probe| probe.recorder.entries())
            .collect()
    };
    eventually(|| (all().len() >= 300).then_some(())).await;
    for running in workers {
        running.stop().await;
    }

    let mut numbers: Vec<usize> = all().iter().map(|text| text.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    let busy = probes
        .iter()
        .filter(|probe| !probe.recorder.entries().is_empty());
    assert_eq!(busy.count(), 3, "each of the workers ran some");
}

#[tokio::test]
async fn a_job_that_fails_panics_or_cannot_be_decoded_is_logged_and_counted_and_the_next_one_runs()
{
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let log = Log::listen();
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let workers = Running::start(&channels, router(&channels, &probe));

    send(&channels, Task::Fail).await;
    send(&channels, Task::Panic).await;
    let bytes = Envelope::from_bytes("not MessagePack");
    channels.layer().send(&tasks(), bytes).await.unwrap();
    channels.send(&tasks(), &OtherTask::Fail).await.unwrap();
    send(&channels, record(1)).await;

    assert_eq!(probe.recorder.wait_for(1).await, ["1"]);
    workers.stop().await;
    for (outcome, expected) in [("done", 1), ("failed", 3), ("panicked", 1), ("aborted", 0)] {
        let count = counters.get(&format!(
            "seaway_jobs_total channel=tasks outcome={outcome}"
        ));
        assert_eq!(count, expected, "{outcome}");
    }
    assert!(log.line("no paper").contains("a job failed"));
    assert!(log.line("no ink").contains("a job panicked"));
    assert_eq!(
        log.lines("cannot decode an event as it::workers::Task")
            .len(),
        2
    );
    let advice = "correct the `type` that the sender uses, or name it with #[event(\"…\")]: \
                  unknown variant `other_task.fail`";
    log.line(advice);
}

#[tokio::test]
async fn running_jobs_are_gauged_and_their_durations_sampled() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let workers = Running::start(&channels, router(&channels, &probe));
    let running = || counters.gauge("seaway_jobs_running channel=tasks");
    let sampled = || counters.samples("seaway_job_seconds channel=tasks");

    send(&channels, Task::Wait).await;
    probe.begun.notified().await;
    assert_eq!((running(), sampled()), (1.0, 0));
    probe.permits.add_permits(1);
    workers.stop().await;

    assert_eq!((running(), sampled()), (0.0, 1));
}

#[tokio::test]
async fn a_channel_runs_one_job_at_a_time_unless_its_concurrency_allows_more() {
    for (concurrency, expected) in [(None, 1), (Some(3), 3)] {
        let (channels, probe) = (Channels::in_memory(), Probe::new());
        let mut router = router(&channels, &probe);
        if let Some(jobs) = concurrency {
            router = router.concurrency("tasks", jobs);
        }
        let workers = Running::start(&channels, router);

        for _ in 0..5 {
            send(&channels, Task::Wait).await;
        }
        probe.recorder.wait_for(expected).await;
        // Others would begin now, if they could.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }

        assert_eq!(probe.recorder.entries().len(), expected, "{concurrency:?}");
        probe.permits.add_permits(5);
        probe.recorder.wait_for(10).await;
        workers.stop().await;
    }
}
