//! Workers: async functions that run the jobs of a channel.

use crate::{
    application::Application,
    channels::{Channels, Envelope, Event},
    error::Result,
    name::ChannelName,
    protocol::{Job, Worker},
    scope::Scope,
};
use std::{any::type_name, fmt, future::Future, marker::PhantomData};

/// Creates the application that runs the jobs of a channel with an async function.
///
/// The function is called once per job, with a value of its type. Its type is an [`Event`], so that
/// [`Channels::send`] can send it, from Python too.
///
/// ```
/// use seaway::{Channels, Event, Result, WorkerContext, routing::ChannelNameRouter, worker_fn};
///
/// #[derive(Event)]
/// enum ImageJob { Shrink { file: String, reply_to: String } }
///
/// #[derive(Event)]
/// enum ImageEvent { Shrunk { file: String } }
///
/// async fn image(ctx: WorkerContext, job: ImageJob) -> Result<()> {
///     let ImageJob::Shrink { file, reply_to } = job;
///     // … the work; blocking code in `seaway::blocking` …
///     Ok(ctx.channels().group(&reply_to)?.send(&ImageEvent::Shrunk { file }).await?)
/// }
///
/// let channels = Channels::in_memory();
/// let workers = ChannelNameRouter::new().route("images", worker_fn(&channels, image));
/// ```
///
/// A job that fails, panics, or cannot be decoded as the function's type is logged and counted, and
/// the next one runs. It is not repeated: to try again, send it again.
pub fn worker_fn<F, J, Fut>(channels: &Channels, function: F) -> WorkerFn<F, J>
where
    F: Fn(WorkerContext, J) -> Fut + Send + Sync + 'static,
    J: Event,
    Fut: Future<Output = crate::Result<()>> + Send,
{
    WorkerFn {
        channels: channels.clone(),
        function,
        job: PhantomData,
    }
}

/// The application made by [`worker_fn`].
pub struct WorkerFn<F, J> {
    channels: Channels,
    function: F,
    job: PhantomData<fn(J)>,
}

impl<F, J, Fut> Application<Worker> for WorkerFn<F, J>
where
    F: Fn(WorkerContext, J) -> Fut + Send + Sync + 'static,
    J: Event,
    Fut: Future<Output = crate::Result<()>> + Send,
{
    async fn call(&self, scope: Scope<Worker>, job: Job) -> crate::Result<()> {
        let job = Envelope::from_bytes(job.as_bytes().clone()).decode_anew()?;
        let context = WorkerContext {
            scope,
            channels: self.channels.clone(),
        };
        (self.function)(context, job).await
    }
}

impl<F: Clone, J> Clone for WorkerFn<F, J> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            function: self.function.clone(),
            job: PhantomData,
        }
    }
}

impl<F, J> fmt::Debug for WorkerFn<F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkerFn").field(&type_name::<J>()).finish()
    }
}

/// The context of a job: the channels, and what middleware has added.
pub struct WorkerContext {
    scope: Scope<Worker>,
    channels: Channels,
}

impl WorkerContext {
    /// Returns the handle to the channel layer: send events to groups and consumers, and jobs to
    /// workers.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Returns the channel that the job was sent to.
    pub fn channel(&self) -> &ChannelName {
        &self.scope.head
    }

    /// Returns a value that [`Provide`](crate::middleware::Provide), other middleware, or a
    /// startup function has added.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if there is none of this type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.state()
    }

    /// Returns the scope: the metadata of the job.
    pub fn scope(&self) -> &Scope<Worker> {
        &self.scope
    }
}

impl fmt::Debug for WorkerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerContext")
            .field("channel", &self.scope.head)
            .finish_non_exhaustive()
    }
}
