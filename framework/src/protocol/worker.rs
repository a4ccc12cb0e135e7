//! The worker protocol: background jobs of a named channel, without HTTP.

use crate::{
    error::{Error, Result},
    name::ChannelName,
    scope::Protocol,
};
use bytes::Bytes;
use tokio::sync::mpsc;

/// The worker protocol: background jobs of a named channel.
#[derive(Debug)]
pub struct Worker;

impl Protocol for Worker {
    const NAME: &'static str = "worker";
    type Head = ChannelName;
    type Connection = Jobs;
}

/// The jobs of a worker, one after the other.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use seaway::protocol::Jobs;
///
/// let (queue, mut jobs) = Jobs::bounded(8);
/// queue.put("resize 7").await.unwrap();
/// drop(queue);
/// assert_eq!(jobs.next().await.unwrap(), "resize 7");
/// assert!(jobs.next().await.is_none());
/// # });
/// ```
#[derive(Debug)]
pub struct Jobs(mpsc::Receiver<Bytes>);

/// The sending end of a job queue.
#[derive(Clone, Debug)]
pub struct JobQueue(mpsc::Sender<Bytes>);

impl Jobs {
    /// Creates a queue that holds at most `capacity` jobs; at the bound `put` waits.
    pub fn bounded(capacity: usize) -> (JobQueue, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (JobQueue(sender), Self(receiver))
    }

    /// Waits for the next job; `None` once every queue handle is dropped and the queue is empty.
    ///
    /// # Cancel safety
    /// Cancel safe: no job is lost.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl JobQueue {
    /// Queues a job, waiting while the queue is full.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the worker is gone.
    pub async fn put(&self, job: impl Into<Bytes>) -> Result<()> {
        self.0.send(job.into()).await.map_err(|_| Error::closed())
    }
}
