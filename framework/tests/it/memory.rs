//! The conformance tests of the in-memory layer.

use seaway::{
    Channels, NoEvent,
    testing::{channel_layer, topics},
};

#[tokio::test]
async fn the_in_memory_layer_conforms() {
    let channels = Channels::in_memory();

    channel_layer::conforms(async || channels.clone()).await;
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
