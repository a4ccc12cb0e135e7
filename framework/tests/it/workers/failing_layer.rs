//! A channel layer that fails.

use super::{Probe, Running, record, router, tasks};
use crate::log::Log;
use seaway::{
    ChannelName, Channels, Error, ErrorKind, GroupName, Result,
    channels::{ChannelLayer, Envelope, LocalChannels, Mailbox},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

/// A channel layer that fails and panics before it has a job.
struct Flaky {
    local: LocalChannels,
    calls: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl ChannelLayer for Flaky {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("flaky")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn receive(&self, _: &ChannelName, wait: Duration) -> Result<Option<Envelope>, Error> {
        match self.calls.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new(ErrorKind::Layer, "the wire is cut")),
            1 => panic!("the wire burns"),
            2 => Envelope::encode(&record(1)).map(Some),
            _ => {
                sleep(wait).await;
                Ok(None)
            }
        }
    }
    async fn group_add(&self, _: &GroupName, _: &ChannelName) -> Result<(), Error> {
        Ok(())
    }
    async fn group_discard(&self, _: &GroupName, _: &ChannelName) -> Result<(), Error> {
        Ok(())
    }
    async fn group_send(&self, _: &GroupName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
}

/// A channel layer that has a job after so long, which `receive` does not wait for.
struct Late {
    local: LocalChannels,
    reply_at: Instant,
    is_taken: AtomicBool,
    /// Notified when a worker receives.
    receiving: Arc<Notify>,
}

impl Late {
    fn channels(delay: Duration) -> (Channels, Arc<Notify>) {
        let receiving = Arc::new(Notify::new());
        let channels = Channels::new(Self {
            local: LocalChannels::default(),
            reply_at: Instant::now() + delay,
            is_taken: AtomicBool::new(false),
            receiving: receiving.clone(),
        });
        (channels, receiving)
    }
}

#[async_trait::async_trait]
impl ChannelLayer for Late {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("late")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn receive(&self, _: &ChannelName, wait: Duration) -> Result<Option<Envelope>, Error> {
        self.receiving.notify_one();
        sleep(wait).await;
        Ok(None)
    }
    async fn finish_receiving(&self, _: &ChannelName) -> Result<Option<Envelope>, Error> {
        if self.is_taken.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        sleep_until(self.reply_at).await;
        Envelope::encode(&record(1)).map(Some)
    }
    async fn group_add(&self, _: &GroupName, _: &ChannelName) -> Result<(), Error> {
        Ok(())
    }
    async fn group_discard(&self, _: &GroupName, _: &ChannelName) -> Result<(), Error> {
        Ok(())
    }
    async fn group_send(&self, _: &GroupName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_the_channel_layer_returns_late_is_run_before_a_worker_stops() {
    let log = Log::listen();
    let probe = Probe::new();
    let (channels, receiving) = Late::channels(Duration::from_secs(2));
    let running = Running::start(&channels, router(&channels, &probe));
    receiving.notified().await;

    running.stop().await;

    assert_eq!(probe.recorder.entries(), ["1"]);
    assert_eq!(log.lines("may be lost"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_says_that_the_channel_layer_has_not_replied() {
    let log = Log::listen();
    let probe = Probe::new();
    let (channels, receiving) = Late::channels(Duration::from_secs(60));
    let router = router(&channels, &probe);
    let limit = Duration::from_secs(2);
    let running = Running::configured(&channels, router, |workers| workers.drain_timeout(limit));
    receiving.notified().await;

    running.stop().await;

    assert_eq!(probe.recorder.entries(), [""; 0]);
    assert_eq!(log.lines("jobs may be lost").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_has_no_time_to_stop_loses_no_job_of_a_layer_that_has_none_under_way() {
    let log = Log::listen();
    let probe = Probe::new();
    let channels = Channels::in_memory();
    let router = router(&channels, &probe);
    let limit = Duration::ZERO;
    let running = Running::configured(&channels, router, |workers| workers.drain_timeout(limit));
    channels.send(&tasks(), &record(1)).await.unwrap();
    probe.recorder.wait_for(1).await;

    running.stop().await;

    assert_eq!(log.lines("may be lost"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_continues_after_an_error_and_a_panic_of_the_channel_layer() {
    let log = Log::listen();
    let probe = Probe::new();
    let calls = Arc::default();
    let channels = Channels::new(Flaky {
        local: LocalChannels::default(),
        calls: Arc::clone(&calls),
    });
    let began = Instant::now();
    let workers = Running::start(&channels, router(&channels, &probe));

    let entries = probe.recorder.wait_for(1).await;

    assert_eq!(entries, ["1"]);
    assert!(
        began.elapsed() >= Duration::from_millis(300),
        "pauses of 100 and 200 ms"
    );
    let complaints = log.lines("cannot receive jobs");
    assert!(complaints[0].contains("the wire is cut"), "{complaints:?}");
    assert!(complaints[1].contains("the wire burns"), "{complaints:?}");
    workers.stop().await;
}
