//! Tests of workers: jobs by channel, in this process.

use crate::{
    log::Log,
    metrics::Counters,
    support::{PATIENCE, Recorder, Server, eventually},
};
use http::Request;
use seaway::{
    Application, ApplicationExt, ChannelName, Channels, Error, ErrorKind, Event, GroupName,
    Handshake, NoEvent, Rejection, Result, Scope, WebSocketConsumer, WorkerContext, application_fn,
    channels::{ChannelLayer, Envelope, InMemoryChannelLayer, LocalChannels, Mailbox},
    middleware::Provide,
    protocol::{Job, Worker},
    routing::{ChannelNameRouter, ProtocolTypeRouter},
    serve_workers,
    testing::{WebSocketCommunicator, run_job},
    worker_fn,
};
use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tower_layer::Layer;

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
async fn an_idle_worker_stops_soon() {
    let channels = Channels::in_memory();
    let workers = Running::start(&channels, router(&channels, &Probe::new()));
    tokio::task::yield_now().await;

    workers.stop().await;
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

#[tokio::test]
async fn a_send_to_a_full_channel_fails() {
    let channels = Channels::in_memory();
    for number in 0..100 {
        send(&channels, record(number)).await;
    }

    let error = channels.send(&tasks(), &record(100)).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::ChannelFull);
    assert!(
        error
            .to_string()
            .contains("100 jobs wait on the channel tasks"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_no_worker_takes_within_a_minute_is_dropped_and_counted() {
    let layer = InMemoryChannelLayer::default();
    let (channels, probe) = (Channels::new(layer.clone()), Probe::new());
    send(&channels, record(1)).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    send(&channels, record(2)).await;

    let workers = Running::start(&channels, router(&channels, &probe));

    assert_eq!(probe.recorder.wait_for(1).await, ["2"]);
    assert_eq!(layer.queues().expired(), 1);
    workers.stop().await;
}

#[tokio::test]
async fn a_job_on_a_channel_that_no_worker_serves_is_logged_at_once() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let mistyped = ChannelName::new("taks").unwrap();
    let log = Log::listen();
    let unserved = "a job waits on a channel that no worker of this process serves";
    // Before the workers start.
    send(&channels, record(1)).await;
    let workers = Running::start(&channels, router(&channels, &probe));
    probe.recorder.wait_for(1).await;
    send(&channels, Task::Wait).await;
    probe.begun.notified().await;
    // While all workers of the channel are busy.
    send(&channels, record(2)).await;
    assert_eq!(log.lines(unserved), [""; 0]);

    channels.send(&mistyped, &record(3)).await.unwrap();

    let line = log.line(unserved);
    assert!(line.starts_with("WARN"), "{line}");
    assert!(line.contains("channel=taks"), "{line}");
    assert!(line.contains(r#"served="tasks""#), "{line}");
    probe.permits.add_permits(1);
    workers.stop().await;
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

#[tokio::test]
async fn a_socket_sends_jobs_and_is_closed_with_1013_if_the_channel_is_full() {
    let layer = InMemoryChannelLayer::default().worker_queues(1, Duration::from_secs(60));
    let channels = Channels::new(layer);
    let app = Foreman::application(&channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    client.send("1").await;
    client.send("2").await;

    assert_eq!(client.receive_close().await.code, 1013);
    let job = channels.layer().receive(&tasks(), Duration::ZERO).await;
    assert_eq!(job.unwrap().unwrap().kind().as_deref(), Some("task.record"));
}

#[tokio::test]
async fn workers_run_beside_a_server_and_finish_what_its_last_connections_send() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let workers = ChannelNameRouter::new().route("tasks", worker_fn(&channels, work));
    let app = ProtocolTypeRouter::new().websocket(Foreman::application(&channels));
    let started = probe.clone();
    let served = channels.clone();
    let server = Server::configured(app, move |server| {
        server
            .workers(&served, workers)
            .on_startup(move || async move { Ok(started) })
    })
    .await;
    let mut client = crate::support::connect(server.address, "/").await;
    use futures_util::SinkExt;
    client.send("from a socket".into()).await.unwrap();
    assert_eq!(probe.recorder.wait_for(1).await, ["from a socket"]);

    send(&channels, Task::Wait).await;
    probe.begun.notified().await;
    let stopped = server.stop();
    assert_eq!(crate::support::next_close(&mut client).await.code, 1001);
    assert!(!stopped.is_finished());
    probe.permits.add_permits(1);

    timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
    assert_eq!(probe.recorder.entries()[2], "done");
}

#[tokio::test]
async fn startup_values_are_in_the_scope_of_each_job() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let router = ChannelNameRouter::new().route("tasks", worker_fn(&channels, work));
    let (started, closed) = (probe.clone(), Arc::new(AtomicUsize::new(0)));
    let closing = closed.clone();
    let workers = Running::configured(&channels, router, |workers| {
        workers
            .on_startup(move || async move { Ok(started) })
            .on_shutdown(async move |_: Probe| {
                closing.fetch_add(1, Ordering::Relaxed);
            })
    });

    send(&channels, record(1)).await;

    assert_eq!(probe.recorder.wait_for(1).await, ["1"]);
    workers.stop().await;
    assert_eq!(closed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_startup_function_that_fails_ends_the_workers() {
    let channels = Channels::in_memory();
    let workers = serve_workers(&channels, router(&channels, &Probe::new()))
        .on_startup(|| async { Err::<(), _>("no probe".into()) });

    assert_eq!(workers.await.unwrap_err().kind(), ErrorKind::User);
}

/// Middleware that records each job and how it ended.
#[derive(Clone)]
struct Timesheet(Recorder);

struct Recorded<A>(A, Recorder);

impl<A> Layer<A> for Timesheet {
    type Service = Recorded<A>;

    fn layer(&self, inner: A) -> Recorded<A> {
        Recorded(inner, self.0.clone())
    }
}

impl<A: Application<Worker>> Application<Worker> for Recorded<A> {
    async fn call(&self, scope: Scope<Worker>, job: Job) -> Result<()> {
        let channel = scope.head.to_string();
        let outcome = self.0.call(scope, job).await;
        self.1.record(format!("{channel} {}", outcome.is_ok()));
        outcome
    }
}

#[tokio::test]
async fn middleware_sees_each_job_and_how_it_ended() {
    let (channels, probe) = (Channels::in_memory(), Probe::new());
    let sheet = Recorder::default();
    let app = router(&channels, &probe).with(Timesheet(sheet.clone()));

    run_job(&app, "tasks", &record(1)).await.unwrap();
    run_job(&app, "tasks", &Task::Fail).await.unwrap_err();

    assert_eq!(sheet.entries(), ["tasks true", "tasks false"]);
    assert_eq!(probe.recorder.entries(), ["1"]);
}

#[tokio::test]
async fn an_application_of_ones_own_gets_the_encoded_job() {
    let recorder = Recorder::default();
    let recording = recorder.clone();
    let app = application_fn(move |scope: Scope<Worker>, job: Job| {
        recording.record(format!("{} {}", scope.head, job.as_bytes().len()));
        async { Ok(()) }
    });

    run_job(&app, "tasks", &Task::Fail).await.unwrap();

    assert_eq!(recorder.entries(), ["tasks 16"]);
}

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
                tokio::time::sleep(wait).await;
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

#[tokio::test]
async fn workers_without_a_route_do_not_start() {
    let workers = serve_workers(&Channels::in_memory(), ChannelNameRouter::new());

    let error = workers.stop_on(ready(())).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(
        error.to_string().contains("`ChannelNameRouter::route`"),
        "{error}"
    );
}
