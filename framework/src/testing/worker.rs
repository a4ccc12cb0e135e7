//! A job without a channel layer.

use crate::{
    application::Application,
    channels::{Envelope, Event},
    error::Result,
    name::ChannelName,
    protocol::{Job, Worker},
    scope::Scope,
};

/// Runs one job by the application of a worker, and returns how it ended.
///
/// The job is encoded and decoded as between processes.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use seaway::{Channels, Event, Result, WorkerContext, testing::run_job, worker_fn};
///
/// #[derive(Event)]
/// enum SumJob { Add { numbers: Vec<u32>, reply_to: String } }
///
/// #[derive(Debug, PartialEq, Event)]
/// enum SumEvent { Added { sum: u32 } }
///
/// async fn sum(ctx: WorkerContext, job: SumJob) -> Result<()> {
///     let SumJob::Add { numbers, reply_to } = job;
///     let sum = numbers.into_iter().sum();
///     Ok(ctx.channels().group(&reply_to)?.send(&SumEvent::Added { sum }).await?)
/// }
///
/// let channels = Channels::in_memory();
/// let mut results = channels.listen::<SumEvent>("results").await?;
/// let job = SumJob::Add { numbers: vec![1, 2, 3], reply_to: "results".into() };
///
/// run_job(&worker_fn(&channels, sum), "sums", &job).await?;
///
/// assert_eq!(*results.next().await?, SumEvent::Added { sum: 6 });
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
///
/// # Errors
/// That of the job, or [`ErrorKind::Codec`](crate::ErrorKind::Codec) if it cannot be encoded or
/// decoded, or [`ErrorKind::Name`](crate::ErrorKind::Name) if the channel is not a valid name.
pub async fn run_job<J: Event>(
    app: &impl Application<Worker>,
    channel: &str,
    job: &J,
) -> Result<()> {
    let scope = Scope::new(ChannelName::new(channel)?);
    let bytes = Envelope::encode(job)?.as_bytes().clone();
    Ok(app.call(scope, Job::from_bytes(bytes)).await?)
}
