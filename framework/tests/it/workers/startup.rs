//! How workers start, alone and beside a server.

use super::{Foreman, Probe, Running, Task, record, router, send, work};
use crate::support::{Server, ended};
use seaway::{
    Channels, ErrorKind, WebSocketConsumer,
    routing::{ChannelNameRouter, ProtocolTypeRouter},
    serve_workers, worker_fn,
};
use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

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

    ended(stopped).await;
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
