//! Tests of `blocking(…)` and its thread pool.

use super::command_consumer::{Gate, OpenAtLast, with_one_thread};
use crate::support::{PATIENCE, Recorder, eventually};
use http::Request;
use seaway::{
    ApplicationExt, BlockingPool, Channels, Context, ErrorKind, Handshake, NoEvent, Rejection,
    Result, WebSocketConsumer, block_on, blocking, middleware::Provide, protocol::WebSocketConfig,
    testing::WebSocketCommunicator,
};
use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};

#[tokio::test]
async fn a_call_returns_its_value_and_a_panic_is_an_error() {
    assert_eq!(blocking(|| 6 * 7).await.unwrap(), 42);

    let error = blocking(|| -> u8 { panic!("out of paper") }).await;

    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User);
    assert!(error.to_string().contains("out of paper"), "{error}");
}

#[tokio::test]
async fn a_pool_runs_at_most_as_many_calls_as_it_has_permits() {
    let pool = BlockingPool::new(3);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let together = Arc::new(Barrier::new(3));
    let mut calls = JoinSet::new();

    for _ in 0..12 {
        let (pool, now, most) = (pool.clone(), now.clone(), most.clone());
        let together = together.clone();
        calls.spawn(async move {
            let call = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // Passes only when three calls run at the same time.
                together.wait();
                now.fetch_sub(1, Ordering::SeqCst);
            };
            pool.run(call).await
        });
    }
    for outcome in calls.join_all().await {
        outcome.unwrap();
    }

    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(
        pool.free(),
        3,
        "the permits are released, whatever became of their calls"
    );
}

#[tokio::test]
async fn a_queued_call_does_not_run_if_its_future_is_dropped() {
    let (pool, recorder, gate) = (BlockingPool::new(1), Recorder::default(), Gate::default());
    let _open = OpenAtLast(gate.clone());
    let begun = tokio::spawn({
        let (pool, recorder, gate) = (pool.clone(), recorder.clone(), gate.clone());
        async move {
            let call = move || {
                recorder.record("begun");
                gate.pass();
                recorder.record("done");
            };
            pool.run(call).await
        }
    });
    recorder.wait_for(1).await;

    let noted = recorder.clone();
    let waiting = pool.run(move || noted.record("never"));
    assert!(timeout(Duration::from_millis(1), waiting).await.is_err());
    begun.abort();
    gate.open();

    assert_eq!(recorder.wait_for(2).await, ["begun", "done"], "it runs on");
    pool.run(|| ()).await.unwrap();
    assert_eq!(recorder.entries().len(), 2);
}

#[test]
fn a_call_that_waits_for_a_thread_does_not_run_if_its_future_is_dropped() {
    with_one_thread(async {
        let (pool, recorder, gate) = (BlockingPool::new(8), Recorder::default(), Gate::default());
        let _open = OpenAtLast(gate.clone());
        let (begun, shut) = (recorder.clone(), gate.clone());
        let call = move || {
            begun.record("begun");
            shut.pass();
        };
        let running = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(call).await }
        });
        recorder.wait_for(1).await;

        let noted = recorder.clone();
        let waiting = pool.run(move || noted.record("never"));
        assert!(timeout(Duration::from_millis(1), waiting).await.is_err());
        gate.open();

        running.await.unwrap().unwrap();
        pool.run(|| ()).await.unwrap();
        assert_eq!(recorder.entries(), ["begun"]);
    });
}

#[tokio::test]
async fn the_shared_pool_has_64_permits_and_can_be_configured_only_before_use() {
    assert_eq!(BlockingPool::shared().limit(), 64);

    assert!(BlockingPool::new(8).share().is_err());

    assert_eq!(BlockingPool::shared().limit(), 64);
}

#[tokio::test]
async fn blocking_code_may_block_on_futures() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let waiting = tokio::spawn(blocking(move || block_on(receiver)));

    sender.send("now").unwrap();

    let received = timeout(PATIENCE, waiting).await.expect("an response");
    assert_eq!(received.unwrap().unwrap(), Ok("now"));
}

#[tokio::test]
async fn a_client_that_leaves_during_a_call_is_noticed_and_the_call_finishes() {
    struct Asker(Recorder, Gate);
    impl WebSocketConsumer for Asker {
        type Input = String;
        type Event = NoEvent;

        async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
            let recorder = handshake.state::<Recorder>()?.clone();
            Ok(Self(recorder, handshake.state::<Gate>()?.clone()))
        }
        async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
            let (recorder, gate) = (self.0.clone(), self.1.clone());
            let call = move || {
                recorder.record("asked");
                gate.pass();
                recorder.record("done");
            };
            blocking(call).await?;
            Ok(ctx.send("done").await?)
        }
        async fn disconnect(self, close: seaway::Close) {
            self.0.record(format!("disconnect {}", close.code));
        }
    }
    let (recorder, gate) = (Recorder::default(), Gate::default());
    let _open = OpenAtLast(gate.clone());
    let app = Asker::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .with(Provide(gate.clone()))
        .with(WebSocketConfig::new().grace(Duration::from_millis(20)))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    client.send("a question").await;
    recorder.wait_for(1).await;
    client.close(1000).await.unwrap();
    assert_eq!(recorder.entries(), ["asked", "disconnect 1000"]);
    gate.open();

    eventually(|| {
        recorder
            .entries()
            .contains(&"done".to_owned())
            .then_some(())
    })
    .await;
}
