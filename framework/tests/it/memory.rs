//! The conformance test of the in-memory layer.

use seaway::{Channels, testing::channel_layer};

#[tokio::test]
async fn the_in_memory_layer_conforms() {
    let channels = Channels::in_memory();

    channel_layer::conforms(async || channels.clone()).await;
}
