//! The layer keeps the rules of every channel layer.

use custom_layer::{Hub, SocketLayer};
use seaway::{Channels, ErrorKind, Event, testing::channel_layer};
use std::{path::PathBuf, process, time::Duration};
use tokio::{task::JoinHandle, time::timeout};

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Event)]
enum Said {
    Text { number: u32 },
}

fn socket(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("seaway-hub-{test}-{}.sock", process::id()))
}

async fn start(socket: &PathBuf) -> JoinHandle<()> {
    let hub = Hub::bind(socket).await.expect("a path of this test");
    tokio::spawn(async move { hub.run().await.expect("it accepts") })
}

async fn connect(socket: &PathBuf) -> Channels {
    Channels::new(SocketLayer::connect(socket).await.expect("a hub"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layer_over_a_unix_socket_conforms() {
    let socket = socket("conforms");
    let hub = start(&socket).await;

    channel_layer::conforms(async || connect(&socket).await).await;

    hub.abort();
    std::fs::remove_file(socket).expect("the socket of the hub");
}

#[tokio::test]
async fn consumers_are_notified_when_the_hub_was_away_and_sends_fail_meanwhile() {
    let socket = socket("away");
    // The hub and its connections end with this runtime.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let running = socket.clone();
    runtime.spawn(async move { Hub::bind(&running).await?.run().await });
    let channels = timeout(DEADLINE, async {
        loop {
            if let Ok(layer) = SocketLayer::connect(&socket).await {
                break Channels::new(layer);
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a hub");
    let room = channels.group::<Said>("room").expect("a valid name");
    let mut mailbox = channels.open().await.expect("a mailbox");
    room.add(mailbox.name()).await.expect("a member");

    // Once it has ended, nobody listens on the socket.
    let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(DEADLINE));
    ending.await.expect("the end of the hub");
    let failed = timeout(DEADLINE, async {
        loop {
            match room.send(&Said::Text { number: 1 }).await {
                Err(error) if error.kind() == ErrorKind::Layer => break,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    failed.await.expect("an error that says so");
    assert!(channels.health().is_err());

    let hub = start(&socket).await;
    let missed = async {
        // What was sent before the end of the hub may have arrived.
        while mailbox.receive().await.is_ok() {}
    };
    timeout(DEADLINE, missed).await.expect("a notice");
    room.send(&Said::Text { number: 2 }).await.expect("a hub");
    let envelope = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    let said = envelope.expect("nothing missed").decode::<Said>();
    assert!(matches!(
        &*said.expect("an event"),
        Said::Text { number: 2 }
    ));

    hub.abort();
    std::fs::remove_file(socket).expect("the socket of the hub");
}

#[tokio::test]
async fn a_hub_replaces_only_a_socket_that_nobody_listens_on() {
    let path = socket("replaces");
    std::fs::write(&path, "data").expect("a file of this test");

    assert!(Hub::bind(&path).await.is_err());
    assert_eq!(std::fs::read(&path).expect("the file"), b"data");
    std::fs::remove_file(&path).expect("the file");

    let first = Hub::bind(&path).await.expect("a path of this test");
    assert!(Hub::bind(&path).await.is_err(), "another hub listens");
    drop(first);
    Hub::bind(&path).await.expect("a socket that was left");
    std::fs::remove_file(&path).expect("the socket of the hub");
}
