//! The conformance tests of the in-memory layer.

use seaway::{
    Channels, NoEvent,
    channels::InMemoryChannelLayer,
    testing::{channel_layer, topics},
};
use std::time::Duration;

#[tokio::test]
async fn the_in_memory_layer_conforms() {
    let channels = Channels::in_memory();

    channel_layer::conforms(async || channels.clone()).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_in_memory_expire() {
    let expiry = Duration::from_secs(60);
    let channels = Channels::new(InMemoryChannelLayer::default().worker_queues(100, expiry));

    channel_layer::jobs_expire(expiry, async || channels.clone()).await;
}

#[tokio::test]
async fn the_topics_of_the_in_memory_layer_conform() {
    let channels = Channels::in_memory();

    topics::conforms(async || channels.clone()).await;
}

#[tokio::test]
async fn members_in_memory_are_those_of_this_process() {
    let channels = Channels::in_memory();
    let room = channels.group::<NoEvent>("room").unwrap();
    let (one, two) = (
        channels.open().await.unwrap(),
        channels.open().await.unwrap(),
    );
    room.add(one.name()).await.unwrap();
    room.add(two.name()).await.unwrap();
    room.add(two.name()).await.unwrap();
    assert_eq!(channels.members(room.name()).await.unwrap(), 2);

    drop(one);

    assert_eq!(channels.members(room.name()).await.unwrap(), 1);
}
