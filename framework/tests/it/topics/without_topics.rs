//! A layer without topics.

use super::{Desk, LotEvent, lot};
use async_trait::async_trait;
use http::Request;
use seaway::{
    ApplicationExt, ChannelName, Channels, Error, ErrorKind, GroupName, Result, WebSocketConsumer,
    channels::{ChannelLayer, Envelope, LocalChannels, Mailbox},
    testing::WebSocketCommunicator,
};
use std::time::Duration;

/// A layer that stores no topics.
struct Plain(LocalChannels);

#[async_trait]
impl ChannelLayer for Plain {
    fn local(&self) -> &LocalChannels {
        &self.0
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.0.open("here")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.0.join(group, channel).map(drop)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.0.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        self.0.deliver_group(group, &envelope);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_without_topics_says_what_to_implement() {
    let channels = Channels::new(Plain(LocalChannels::default()));
    let lot = lot(&channels);

    let sent = lot.send(&LotEvent::Placed { cents: 1 }).await.unwrap_err();
    let resumed = lot.listen(None).await.unwrap_err();

    for error in [sent, resumed] {
        assert_eq!(error.kind(), ErrorKind::Layer);
        assert!(error.to_string().contains("topic_read"), "{error}");
    }
    let app = Desk::application(&channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 503);
}
