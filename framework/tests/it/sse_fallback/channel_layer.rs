//! What streams and their POSTs cost the channel layer.

use super::{Client, Site, get};
use crate::support::Recorder;
use http::Request;
use seaway::{
    ChannelName, Channels, Error, ErrorKind, GroupName,
    channels::{ChannelLayer, Envelope, InMemoryChannelLayer, LocalChannels, Mailbox},
    protocol::WebSocketConfig,
    testing::HttpCommunicator,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long the channel layer may take to add a stream.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A channel layer that records to which groups streams are added, and what is sent to groups.
#[derive(Default)]
struct Watched {
    inner: InMemoryChannelLayer,
    additions: Recorder,
    /// The number of bytes that were sent to groups.
    sent: Arc<AtomicUsize>,
    fault: Option<Fault>,
}

/// What becomes of the addition of a stream.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Fails,
    Hangs,
}

#[async_trait::async_trait]
impl ChannelLayer for Watched {
    fn inner(&self) -> Option<&dyn ChannelLayer> {
        Some(&self.inner)
    }
    fn local(&self) -> &LocalChannels {
        self.inner.local()
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.inner.open().await
    }
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        self.inner.send(channel, envelope).await
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        if group.as_str().starts_with("seaway.sse.") {
            self.additions.record(group.as_str());
            match self.fault {
                Some(Fault::Fails) => return Err(Error::new(ErrorKind::Layer, "the wire is cut")),
                Some(Fault::Hangs) => std::future::pending().await,
                None => {}
            }
        }
        self.inner.group_add(group, channel).await
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.inner.group_discard(group, channel).await
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        self.sent
            .fetch_add(envelope.as_bytes().len(), Ordering::Relaxed);
        self.inner.group_send(group, envelope).await
    }
}

impl Watched {
    /// Returns a site over this layer, and the groups to which its streams are added.
    fn site(self) -> (Site, Recorder) {
        let additions = self.additions.clone();
        let site = Site::over(Channels::new(self), WebSocketConfig::new());
        (site, additions)
    }
}

#[tokio::test]
async fn only_an_accepted_stream_is_added_to_a_group() {
    let (site, additions) = Watched::default().site();
    let app = site.process();

    for (path, origin, status) in [
        ("/ws/closed", "https://a.example", 403),
        ("/ws/lobby", "https://evil.example", 403),
        ("/ws/no/route", "https://a.example", 404),
    ] {
        let request = get(path).header("origin", origin).body("").unwrap();
        let response = HttpCommunicator::request(&app, request).await.unwrap();
        assert_eq!(response.status(), status, "{path} {origin}");
    }
    assert_eq!(additions.entries(), [""; 0]);

    let ana = Client::open(&app).await;
    assert_eq!(ana.post("x").await.status(), 204);
    assert_eq!(additions.entries().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_added_is_rejected_and_its_consumer_disconnected() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let layer = Watched {
            fault: Some(fault),
            ..Watched::default()
        };
        let (site, _) = layer.site();

        let request = get("/ws/lobby").body("").unwrap();
        let mut stream = HttpCommunicator::open(&site.process(), request);
        tokio::time::sleep(CONNECT_LIMIT).await;

        let response = stream.response().await;
        assert_eq!(response.status(), 503, "{fault:?}");
        assert_eq!(response.headers()["set-cookie"], "seen=1", "{fault:?}");
        assert_eq!(site.recorder.wait_for(1).await, ["1006 "], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_for_an_invented_id_sends_no_large_header_to_the_channel_layer() {
    let layer = Watched::default();
    let sent = layer.sent.clone();
    let (site, _) = layer.site();
    let origin = "x".repeat(60 * 1024);

    let request = Request::post("/ws/lobby")
        .header("seaway-connection", "0".repeat(32))
        .header("origin", origin);
    let response = HttpCommunicator::request(&site.process(), request.body("x").unwrap()).await;

    assert_eq!(response.unwrap().status(), 404);
    let sent = sent.load(Ordering::Relaxed);
    assert!((1..1024).contains(&sent), "{sent} bytes");
}
