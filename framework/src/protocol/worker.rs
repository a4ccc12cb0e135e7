//! The worker protocol: jobs of a worker queue.

use crate::{name::ChannelName, scope::Protocol};
use bytes::Bytes;
use std::fmt;

/// The worker protocol: one call of an application per job of a worker queue.
///
/// The head is the channel, the connection is the [`Job`].
#[derive(Debug)]
pub struct Worker;

impl Protocol for Worker {
    const NAME: &'static str = "worker";
    type Head = ChannelName;
    type Connection = Job;
}

/// A job, encoded: a MessagePack map with its `type`, as an event is.
///
/// ```
/// use seaway::{Event, channels::Envelope, protocol::Job};
///
/// #[derive(Event)]
/// enum ImageJob {
///     Shrink { file: String },
/// }
///
/// let envelope = Envelope::encode(&ImageJob::Shrink { file: "a.png".to_owned() })?;
/// let job = Job::from_bytes(envelope.as_bytes().clone());
/// assert_eq!(job.as_bytes(), envelope.as_bytes());
/// # Ok::<(), seaway::Error>(())
/// ```
#[derive(Clone)]
pub struct Job(Bytes);

impl Job {
    /// Creates a job from received bytes.
    ///
    /// Nothing is checked before it is decoded.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Returns the encoded job.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("len", &self.0.len()).finish()
    }
}
