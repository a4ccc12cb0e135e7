//! Workers: they take jobs from the channels of a router and run them.

use super::shutdown_signal::ShutdownSignal;
use crate::{
    application::{Application, ApplicationExt, BoxApplication},
    catch_panic::catch_panic,
    channels::{Channels, Envelope},
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    middleware::ProvideAll,
    name::ChannelName,
    protocol::{Job, Worker},
    required_state::RequiredState,
    routing::ChannelNameRouter,
    scope::Scope,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;
use tracing::{Instrument, error_span};

/// How long one call of the channel layer waits for a job, and so how long an idle worker takes to
/// stop.
const WAIT: Duration = Duration::from_secs(1);

/// The pause after an error of the channel layer, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long aborted jobs have to end: a job ends at an await. A call of the channel layer, which is
/// not aborted, waits for [`WAIT`] and some seconds for the layer's reply.
const ABORT_GRACE: Duration = Duration::from_secs(5);

/// The channels that workers serve, and their applications.
pub(super) struct Workers {
    pub(super) channels: Channels,
    pub(super) router: ChannelNameRouter,
}

impl Workers {
    /// Returns an error if there is no channel to serve.
    pub(super) fn check_routes(&self) -> Result<()> {
        match self.router.channels().next() {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorKind::Missing,
                "the workers have no channel to serve; add one with `ChannelNameRouter::route`",
            )),
        }
    }

    /// Returns the values that the applications need in the scopes of their jobs.
    pub(super) fn required_state(&self) -> RequiredState {
        self.router.required_state()
    }
}

/// The tasks of workers. Dropping them aborts the running jobs.
#[derive(Default)]
pub(super) struct RunningWorkers {
    /// Cancelled when no more jobs are to be taken.
    stop: CancellationToken,
    /// Cancelled when the running jobs are to be aborted.
    abort: CancellationToken,
    /// One task per channel.
    tasks: JoinSet<()>,
}

impl RunningWorkers {
    /// Starts a task for each channel. The values of startup functions are inserted into the scope
    /// of each job.
    pub(super) fn start(&mut self, workers: Workers, values: &ProvideAll) {
        let application = values.layer(workers.router.clone()).boxed();
        for (channel, concurrency) in workers.router.channels() {
            tracing::info!(%channel, concurrency, "serving jobs");
            let queue = WorkerQueue {
                channels: workers.channels.clone(),
                channel: channel.clone(),
                application: application.clone(),
                concurrency,
                metrics: Arc::new(metric::Jobs::new(channel.as_str())),
            };
            let (stop, abort) = (self.stop.clone(), self.abort.clone());
            self.tasks
                .spawn(async move { queue.serve(&stop, &abort).await });
        }
    }

    /// Takes no more jobs, and waits for those that run: for `limit`, or until another stop signal.
    /// Then it aborts them, and waits until they have ended: for [`ABORT_GRACE`], or until a further
    /// signal.
    pub(super) async fn stop(mut self, limit: Duration, signal: &mut ShutdownSignal) {
        self.stop.cancel();
        if self.tasks.is_empty() {
            return;
        }
        tracing::info!("stopping: finishing the running jobs");
        let why = tokio::select! {
            has_ended = self.ended(limit) => match has_ended {
                true => return,
                false => "`drain_timeout` has passed: aborting the running jobs",
            },
            () = signal.again() => "received a second stop signal: aborting the running jobs",
        };
        tracing::warn!("{why}");
        self.abort.cancel();
        let has_ended = tokio::select! {
            has_ended = self.ended(ABORT_GRACE) => has_ended,
            () = signal.again() => false,
        };
        if !has_ended {
            tracing::warn!(
                "aborted jobs, or a call of the channel layer, have not ended; stopping without them"
            );
        }
    }

    /// Waits until all have ended; returns whether they did within the limit.
    async fn ended(&mut self, limit: Duration) -> bool {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        timeout(limit, ended).await.is_ok()
    }
}

const NEVER_CLOSED: &str = "nothing closes the semaphore";

/// One channel, and how its jobs are run.
struct WorkerQueue {
    channels: Channels,
    channel: ChannelName,
    application: BoxApplication<Worker>,
    concurrency: usize,
    metrics: Arc<metric::Jobs>,
}

impl WorkerQueue {
    /// Takes and runs jobs until it is to stop, then waits for one that is being taken, and for those
    /// that run. It returns once they have ended, also if they are aborted.
    async fn serve(&self, stop: &CancellationToken, abort: &CancellationToken) {
        let permits = Arc::new(Semaphore::new(self.concurrency.min(Semaphore::MAX_PERMITS)));
        let mut jobs = JoinSet::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let permit = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                permit = permits.clone().acquire_owned() => permit.expect(NEVER_CLOSED),
            };
            // A job may have been taken when this future is dropped, so it never is: see
            // `ChannelLayer::receive`.
            let receiving = catch_panic(|| self.channels.layer().receive(&self.channel, WAIT));
            match receiving.await.and_then(|received| received) {
                Ok(Some(envelope)) => {
                    pause = FIRST_PAUSE;
                    jobs.spawn(holding(permit, self.run(envelope)));
                }
                Ok(None) => pause = FIRST_PAUSE,
                Err(error) => {
                    self.warn(&error);
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                }
            }
            while jobs.try_join_next().is_some() {}
        }
        tokio::select! {
            // Asked even if nothing may wait any more: usually nothing is under way.
            biased;
            () = self.finish_receiving(&permits, &mut jobs) => {}
            () = abort.cancelled() => log_limited!(
                warn,
                channel = %self.channel,
                "the channel layer has not replied before the worker stops; jobs may be lost"
            ),
        }
        let ended = async { while jobs.join_next().await.is_some() {} };
        if abort.run_until_cancelled(ended).await.is_none() {
            jobs.shutdown().await;
        }
    }

    /// Runs the jobs that the channel layer was still taking: nobody else gets them.
    async fn finish_receiving(&self, permits: &Arc<Semaphore>, jobs: &mut JoinSet<()>) {
        loop {
            let receiving = catch_panic(|| self.channels.layer().finish_receiving(&self.channel));
            match receiving.await.and_then(|received| received) {
                Ok(Some(envelope)) => {
                    let job = self.run(envelope);
                    let permit = permits.clone().acquire_owned().await.expect(NEVER_CLOSED);
                    jobs.spawn(holding(permit, job));
                }
                Ok(None) => return,
                Err(error) => {
                    self.warn(&error);
                    sleep(FIRST_PAUSE).await;
                }
            }
        }
    }

    fn warn(&self, error: &Error) {
        log_limited!(
            warn,
            channel = %self.channel,
            error = %format_args!("{error:#}"),
            "cannot receive jobs; trying again"
        );
    }

    /// Runs one job, and logs and counts how it ended.
    fn run(&self, envelope: Envelope) -> impl Future<Output = ()> + Send + 'static {
        let kind = envelope.kind().unwrap_or_default();
        // At this level, the lines of a failure have it whatever level is logged.
        let span = error_span!("job", channel = %self.channel, r#type = kind);
        let (application, scope) = (self.application.clone(), Scope::new(self.channel.clone()));
        let running = UnfinishedJob(Some(self.metrics.clone().begin()));
        async move {
            let job = Job::from_bytes(envelope.as_bytes().clone());
            let outcome = catch_panic(|| application.call(scope, job)).await;
            running.end(log_job(outcome));
        }
        .instrument(span)
    }
}

/// Runs a job whose permit is free once it has ended.
async fn holding(permit: OwnedSemaphorePermit, job: impl Future<Output = ()>) {
    job.await;
    drop(permit);
}

/// A job that runs; if this is dropped before its end, the job was aborted.
struct UnfinishedJob(Option<metric::RunningJob>);

impl UnfinishedJob {
    fn end(mut self, outcome: &'static str) {
        if let Some(running) = self.0.take() {
            running.end(outcome);
        }
    }
}

impl Drop for UnfinishedJob {
    fn drop(&mut self) {
        if self.0.is_some() {
            log_limited!(warn, "a job was aborted, and is lost");
        }
    }
}

/// Logs a job that did not succeed; returns the outcome to count.
fn log_job(outcome: Result<crate::Result<()>>) -> &'static str {
    match outcome {
        Ok(Ok(())) => "done",
        Ok(Err(error)) => {
            log_limited!(error, error = %format_args!("{error:#}"), "a job failed");
            "failed"
        }
        Err(panic) => {
            log_limited!(error, error = %format_args!("{panic:#}"), "a job panicked");
            "panicked"
        }
    }
}
