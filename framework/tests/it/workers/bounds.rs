//! How many jobs wait, and for how long.

use super::{Foreman, Probe, Running, Task, record, router, send, tasks};
use crate::log::Log;
use http::Request;
use seaway::{
    ApplicationExt, ChannelName, Channels, ErrorKind, WebSocketConsumer,
    channels::InMemoryChannelLayer, testing::WebSocketCommunicator,
};
use std::time::Duration;

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
    assert!(line.contains("channel=taks"), "{line}");
    assert!(line.contains(r#"served="tasks""#), "{line}");
    probe.permits.add_permits(1);
    workers.stop().await;
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
