//! Long polling: the server holds the request until there are messages. They arrive at once, but
//! each response costs a request.

use crate::{
    count::{Counts, Tally},
    room::{GROUP, Missed, Room, RoomEvent},
};
use http::Response;
use seaway::{HttpConsumer, HttpContext, HttpHandshake, HttpResponse, Rejection, Result};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a request is held; proxies between client and server time out after 30 or 60 s.
const PATIENCE: Duration = Duration::from_secs(25);

/// One long poll.
pub struct Wait {
    room: Arc<Room>,
    since: u64,
    tally: Tally,
}

impl HttpConsumer for Wait {
    type Event = RoomEvent;

    async fn connect(handshake: &mut HttpHandshake<RoomEvent>) -> Result<Self, Rejection> {
        let counts = handshake.state::<Arc<Counts>>()?.clone();
        // Join first and read then: messages in between are not missed.
        handshake.join(GROUP).await?;
        Ok(Self {
            room: handshake.state::<Arc<Room>>()?.clone(),
            since: handshake.query("since")?,
            tally: Tally::open(counts, handshake.query("client")?, &handshake.scope().head),
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext<RoomEvent>) -> Result<HttpResponse> {
        let mut missed = self.room.since(self.since);
        // A new client gets a response at once, with the id from which it has all messages.
        if missed.is_nothing() && self.since != 0 {
            // An event, the timeout or a shutdown: in each case the room has the messages.
            _ = timeout(PATIENCE, ctx.next_event()).await;
            missed = self.room.since(self.since);
        }
        ctx.response(self.response(&missed))
    }
}

impl Wait {
    fn response(&self, missed: &Missed) -> Response<String> {
        let body = serde_json::to_string(missed).expect("numbers and texts are JSON");
        self.tally.record(missed.messages.len(), body.len());
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(
            "content-type",
            http::HeaderValue::from_static("application/json"),
        );
        headers.insert("x-head-bytes", self.tally.head.into());
        response
    }
}
