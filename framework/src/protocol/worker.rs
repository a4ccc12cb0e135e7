//! Background work taken from a named channel. No HTTP anywhere.

use crate::{
    error::{Error, Result},
    name::ChannelName,
    scope::Protocol,
};
use bytes::Bytes;
use tokio::sync::mpsc;

/// Background work taken from a named channel.
#[derive(Debug)]
pub struct Worker;

impl Protocol for Worker {
    const NAME: &'static str = "worker";
    type Head = ChannelName;
    type Connection = Jobs;
}

/// A worker's jobs, one after the other.
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

/// Where jobs are put in.
#[derive(Clone, Debug)]
pub struct JobQueue(mpsc::Sender<Bytes>);

impl Jobs {
    /// A queue that holds at most `capacity` jobs; putting in one more waits.
    pub fn bounded(capacity: usize) -> (JobQueue, Self) {
        let (sender, receiver) = mpsc::channel(capacity);
        (JobQueue(sender), Self(receiver))
    }

    /// The next job; `None` once every queue handle is dropped and all is done.
    ///
    /// # Cancel safety
    /// Safe: no job is lost.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl JobQueue {
    /// Puts a job in, waiting while the queue is full.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the worker is gone.
    pub async fn put(&self, job: impl Into<Bytes>) -> Result<()> {
        self.0.send(job.into()).await.map_err(|_| Error::closed())
    }
}
