//! The layer in memory sits the examination.

use seaway::{Channels, testing::channel_layer};

#[tokio::test]
async fn memory_is_a_channel_layer() {
    let channels = Channels::in_memory();

    channel_layer::conforms(async || channels.clone()).await;
}
