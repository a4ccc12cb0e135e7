//! Tests of workers in processes of their own, over Redis and with Python.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use seaway::{ChannelName, Channels, ErrorKind, channels::redis::RedisConfig};
use seaway_tests::support::{
    Browser, Proxy, Python, Redis, Server,
    child::Process,
    jobs::{CountJob, JOBS, RELEASE, ReleaseEvent, WorkerProcess},
    page::{DESKTOP, PHONE},
    proxy::Wire,
    server::program,
    wait::{DEADLINE, until},
};
use serde_json::json;

/// The time in which an idle worker stops: it waits for a job for a second at most.
const SOON: Duration = Duration::from_secs(5);

/// The configuration of the Python scripts: the layer that has queues.
const CORE: &str = r#"{"layer": "core"}"#;

fn jobs() -> ChannelName {
    ChannelName::new(JOBS).expect("a valid name")
}

/// Sends a job, and waits while the queue is full.
async fn send(channels: &Channels, job: &CountJob) {
    until("room in the queue", DEADLINE, async || {
        match channels.send(&jobs(), job).await {
            Ok(()) => Some(()),
            Err(error) if error.kind() == ErrorKind::ChannelFull => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await;
}

/// Waits until no job waits in Redis.
async fn until_taken(redis: &Redis) {
    until("an empty queue", DEADLINE, async || {
        let waiting = redis.ask(&["ZCARD", &format!("asgi{JOBS}")]).await?;
        (waiting == ":0\r\n").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_share_ten_thousand_jobs_and_a_killed_one_loses_at_most_the_job_it_runs() {
    const SENT: u32 = 10_000;
    let redis = Redis::new().await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let mut killed = WorkerProcess::start(&redis).await;
    let mut others = [
        WorkerProcess::start(&redis).await,
        WorkerProcess::start(&redis).await,
    ];

    let sending = async {
        for number in 0..SENT {
            send(&channels, &CountJob::Count { number }).await;
        }
    };
    let killing = async {
        killed.has_begun(1000).await;
        killed.kill().await;
    };
    tokio::join!(sending, killing);
    until_taken(&redis).await;
    for worker in &others {
        worker.terminate();
    }
    for worker in &mut others {
        assert!(worker.ended(DEADLINE).await.success());
    }

    let [one, two] = &others;
    let workers = [&killed, one, two];
    let begun: Vec<u32> = workers.iter().flat_map(|worker| worker.begun()).collect();
    let done: BTreeSet<u32> = workers.iter().flat_map(|worker| worker.done()).collect();
    let distinct: BTreeSet<u32> = begun.iter().copied().collect();
    assert_eq!(begun.len(), distinct.len(), "no job is taken twice");
    let lost: Vec<u32> = (0..SENT).filter(|number| !done.contains(number)).collect();
    assert!(
        lost.len() <= 1,
        "only the job that it ran is lost: {lost:?}"
    );
    for worker in [one, two] {
        assert_eq!(
            worker.begun(),
            worker.done(),
            "others finish what they begin"
        );
        assert!(worker.done().len() > 1000, "each takes a share");
    }
    println!(
        "{SENT} jobs, {} done by the killed worker, {} and {} by the others, {} lost",
        killed.done().len(),
        one.done().len(),
        two.done().len(),
        lost.len()
    );
}

#[tokio::test]
async fn a_terminated_worker_finishes_its_job_and_leaves_the_next_one_to_another() {
    let redis = Redis::new().await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let release = channels.group::<ReleaseEvent>(RELEASE).unwrap();
    let mut first = WorkerProcess::start(&redis).await;
    send(&channels, &CountJob::Wait { number: 1 }).await;
    first.has_begun(1).await;
    send(&channels, &CountJob::Count { number: 2 }).await;

    first.terminate();
    let second = WorkerProcess::start(&redis).await;
    second.has_begun(1).await;
    assert!(first.is_running(), "its job is not done yet");
    release.send(&ReleaseEvent::Now).await.unwrap();

    assert!(first.ended(SOON).await.success());
    assert_eq!(first.done(), [1]);
    assert_eq!(second.begun(), [2]);
}

#[tokio::test]
async fn an_idle_worker_ends_soon_after_sigterm() {
    let redis = Redis::new().await;
    let mut worker = WorkerProcess::start(&redis).await;

    worker.terminate();

    assert!(worker.ended(SOON).await.success());
}

#[tokio::test]
async fn a_worker_runs_jobs_again_after_redis_was_restarted() {
    let mut redis = Redis::new().await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let worker = WorkerProcess::start(&redis).await;
    send(&channels, &CountJob::Count { number: 1 }).await;
    worker.has_begun(1).await;

    redis.stop();
    redis.start().await;
    send(&channels, &CountJob::Count { number: 2 }).await;

    worker.has_begun(2).await;
    assert_eq!(worker.begun(), [1, 2]);
}

#[tokio::test]
async fn jobs_on_one_host_are_taken_while_another_one_is_frozen() {
    const LIMIT: Duration = Duration::from_secs(1);
    let (frozen, working) = (Redis::new().await, Redis::new().await);
    let config = RedisConfig::new(frozen.url()).host(working.url());
    let both = Channels::redis(config).await.unwrap();
    let sender = Channels::redis(working.url()).await.unwrap();
    let take = async || {
        let start = Instant::now();
        let job = both.layer().receive(&jobs(), DEADLINE).await.unwrap();
        assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
        let job = job.expect("a job").decode::<CountJob>().unwrap();
        let CountJob::Count { number } = *job else {
            panic!("another job: {job:?}");
        };
        number
    };
    send(&sender, &CountJob::Count { number: 0 }).await;
    assert_eq!(take().await, 0);

    frozen.freeze();
    for number in 1..4 {
        send(&sender, &CountJob::Count { number }).await;
    }
    for number in 1..4 {
        assert_eq!(take().await, number);
    }
    for number in 4..8 {
        let (taken, ()) = tokio::join!(take(), async {
            working.until_waited_for().await;
            send(&sender, &CountJob::Count { number }).await;
        });
        assert_eq!(taken, number);
    }

    frozen.thaw();
    let other = Channels::redis(frozen.url()).await.unwrap();
    send(&other, &CountJob::Count { number: 8 }).await;
    assert_eq!(take().await, 8);
}

#[tokio::test]
async fn jobs_on_one_host_are_taken_from_the_first_on_while_another_one_is_frozen() {
    const LIMIT: Duration = Duration::from_secs(1);
    let (frozen, working) = (Redis::new().await, Redis::new().await);
    let config = RedisConfig::new(frozen.url()).host(working.url());
    let both = Channels::redis(config).await.unwrap();
    let sender = Channels::redis(working.url()).await.unwrap();
    send(&sender, &CountJob::Count { number: 1 }).await;

    frozen.freeze();
    let start = Instant::now();
    let job = both.layer().receive(&jobs(), DEADLINE).await.unwrap();

    assert!(job.is_some());
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_idle_worker_takes_a_job_at_once_while_another_one_of_its_hosts_is_down() {
    let (mut stopped, working) = (Redis::new().await, Redis::new().await);
    let config = RedisConfig::new(stopped.url()).host(working.url());
    let both = Channels::redis(config).await.unwrap();
    let sender = Channels::redis(working.url()).await.unwrap();
    let idle = both.layer().receive(&jobs(), Duration::ZERO).await.unwrap();
    assert!(idle.is_none());

    stopped.stop();
    // That the connection is lost may be reported once.
    until("a job or none", DEADLINE, async || {
        let received = both.layer().receive(&jobs(), Duration::ZERO).await;
        received.ok()
    })
    .await;
    let channel = jobs();
    let (job, ()) = tokio::join!(both.layer().receive(&channel, DEADLINE), async {
        working.until_waited_for().await;
        send(&sender, &CountJob::Count { number: 1 }).await;
    });

    assert!(job.expect("one host is there").is_some());
}

#[tokio::test]
async fn a_job_that_redis_has_returned_late_is_not_lost_if_the_worker_stops() {
    let redis = Redis::new().await;
    let proxy = Proxy::before_redis(&redis).await;
    let worker = Channels::redis(redis.url_through(proxy.port()))
        .await
        .unwrap();
    let sender = Channels::redis(redis.url()).await.unwrap();
    let channel = jobs();

    let (received, ()) = tokio::join!(worker.layer().receive(&channel, SOON), async {
        redis.until_waited_for().await;
        proxy.set(Wire::Stalled);
        send(&sender, &CountJob::Count { number: 1 }).await;
    });
    assert!(received.unwrap().is_none());
    let finishing = worker.layer().finish_receiving(&channel);
    let (last, ()) = tokio::join!(finishing, async { proxy.restore() });

    assert!(last.unwrap().is_some());
    let rest = worker.layer().finish_receiving(&channel).await.unwrap();
    assert!(rest.is_none());
}

#[tokio::test]
async fn jobs_of_python_reach_a_seaway_worker() {
    let redis = Redis::new().await;
    let worker = WorkerProcess::start(&redis).await;
    let mut python = Python::start("send_jobs.py", &redis, &[JOBS, CORE]);

    for number in 0..1000 {
        python.send(&json!({ "type": "jobs.count", "number": number }));
    }

    worker.has_begun(1000).await;
    assert_eq!(worker.begun(), (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn jobs_of_seaway_reach_a_python_worker() {
    let redis = Redis::new().await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let mut python = Python::start("receive_jobs.py", &redis, &[JOBS, CORE]);
    assert_eq!(python.next().await, json!({ "receiving": JOBS }));

    let sending = async {
        for number in 0..1000 {
            send(&channels, &CountJob::Count { number }).await;
        }
    };
    let receiving = async {
        for number in 0..1000 {
            let expected = json!({ "type": "jobs.count", "number": number });
            assert_eq!(python.next().await, expected);
        }
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn python_and_seaway_get_an_error_if_the_channel_is_full() {
    let redis = Redis::new().await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let mut python = Python::start("send_jobs.py", &redis, &[JOBS, CORE, "once"]);

    for number in 0..101 {
        python.send(&json!({ "type": "jobs.count", "number": number }));
    }

    assert_eq!(python.next().await, json!({ "full": 100 }));
    let job = CountJob::Count { number: 101 };
    let error = channels.send(&jobs(), &job).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelFull);
}

#[tokio::test]
async fn the_page_of_the_example_shows_pictures_as_they_are_drawn_in_one_process() {
    let server = Server::example("worker").await;
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&server.page("/")).await;
    page.wait_for("!document.querySelector('[data-jobs]').disabled")
        .await;

    page.click("[data-jobs='1']").await;

    page.wait_for("document.querySelectorAll('[data-state=done]').length === 1")
        .await;
    let progress = page.eval("document.querySelector('progress').value").await;
    assert_eq!(progress, json!(160));
    let colours = "new Set(new Uint32Array(document.querySelector('canvas').getContext('2d')
        .getImageData(0, 0, 240, 160).data.buffer)).size > 10";
    assert_eq!(page.eval(colours).await, json!(true), "a picture is drawn");

    page.click("[data-jobs='150']").await;
    page.wait_for("document.querySelectorAll('[data-state=refused]').length >= 45")
        .await;
    for (screen, name) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        for colours in ["light", "dark"] {
            page.show_on(screen, colours).await;
            page.wait_for(&format!("innerWidth === {}", screen.0)).await;
            page.screenshot(&format!("worker-{name}-{colours}")).await;
        }
    }
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_worker_process_of_the_example_draws_the_pictures_of_another_process() {
    let redis = Redis::new().await;
    let url = redis.url();
    let server = Server::example_with("worker", &["--redis", &url, "--no-jobs"]).await;
    let mut command = program("worker");
    command.args(["--redis", &url, "--worker"]);
    let mut worker = Process::start("worker", &mut command, "`cargo build --bins` builds it");
    let pid = worker.child().id();
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&server.page("/")).await;
    page.wait_for("!document.querySelector('[data-jobs]').disabled")
        .await;

    page.click("[data-jobs='1']").await;

    page.wait_for("document.querySelectorAll('[data-state=done]').length === 1")
        .await;
    let status = page
        .eval("document.querySelector('.status').textContent")
        .await;
    assert_eq!(status, json!(format!("process {pid} has drawn it")));
}
