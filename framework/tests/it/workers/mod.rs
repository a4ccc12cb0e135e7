//! Tests of workers: jobs by channel, in this process.

mod applications;
mod bounds;
mod failing_layer;
mod jobs;
mod startup;
mod stopping;

use crate::support::{PATIENCE, Recorder};
use seaway::{
    ChannelName, Channels, Error, Event, Handshake, NoEvent, Rejection, Result, WebSocketConsumer,
    WorkerContext, middleware::Provide, routing::ChannelNameRouter, serve_workers, worker_fn,
};
use std::sync::Arc;
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};

/// The jobs of these tests.
#[derive(Event)]
enum Task {
    Record { text: String },
    Fail,
    Panic,
    Wait,
}

/// A job of another type, which no worker here knows.
#[derive(Event)]
enum OtherTask {
    Fail,
}

fn record(number: usize) -> Task {
    let text = number.to_string();
    Task::Record { text }
}

/// What the jobs share.
#[derive(Clone)]
struct Probe {
    recorder: Recorder,
    /// Jobs that wait need a permit each.
    permits: Arc<Semaphore>,
    begun: Arc<Notify>,
}

impl Probe {
    fn new() -> Self {
        Self {
            recorder: Recorder::default(),
            permits: Arc::new(Semaphore::new(0)),
            begun: Arc::default(),
        }
    }
}

async fn work(ctx: WorkerContext, task: Task) -> Result<()> {
    let probe: Probe = ctx.state::<Probe>()?.clone();
    match task {
        Task::Record { text } => probe.recorder.record(text),
        Task::Fail => return Err(Error::user("no paper").into()),
        Task::Panic => panic!("no ink"),
        Task::Wait => {
            probe.recorder.record("begun");
            probe.begun.notify_one();
            probe.permits.acquire().await.unwrap().forget();
            probe.recorder.record("done");
        }
    }
    Ok(())
}

fn router(channels: &Channels, probe: &Probe) -> ChannelNameRouter {
    ChannelNameRouter::new()
        .route("tasks", worker_fn(channels, work))
        .with(Provide(probe.clone()))
}

/// Workers that run until they are to stop.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    fn start(channels: &Channels, router: ChannelNameRouter) -> Self {
        Self::configured(channels, router, |workers| workers)
    }

    fn configured(
        channels: &Channels,
        router: ChannelNameRouter,
        configure: impl FnOnce(seaway::ServeWorkers) -> seaway::ServeWorkers,
    ) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let workers = serve_workers(channels, router).stop_on(async {
            _ = stopped.await;
        });
        let task = tokio::spawn(configure(workers).into_future());
        Self { stop, task }
    }

    /// Stops them, and waits until they have.
    async fn stop(self) {
        drop(self.stop);
        let stopped = timeout(PATIENCE, self.task).await;
        stopped.expect("they stop").unwrap().unwrap();
    }
}

fn tasks() -> ChannelName {
    ChannelName::new("tasks").unwrap()
}

async fn send(channels: &Channels, task: Task) {
    channels.send(&tasks(), &task).await.unwrap();
}

/// A consumer that sends a job for each message.
struct Foreman;

impl WebSocketConsumer for Foreman {
    type Input = String;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }
    async fn receive(&mut self, ctx: &mut seaway::Context, text: String) -> Result<()> {
        Ok(ctx
            .channels()
            .send(&tasks(), &Task::Record { text })
            .await?)
    }
}
