//! The conformance tests of the in-memory layer.

use seaway::{
    Channels,
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
