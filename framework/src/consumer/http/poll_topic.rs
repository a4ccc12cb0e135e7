//! Long polling: one request returns the events of a topic since a position.

use super::HttpContext;
use crate::{
    channels::{Event, Position, Shared, Topic, TopicEvent},
    error::Result,
};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The maximum number of events that one request of long polling returns; the next one gets the
/// rest.
const MOST_POLLED: usize = 10_000;

impl<E: Event> HttpContext<TopicEvent<E>> {
    /// Resumes a topic and returns its next events, for long polling: waits up to `wait` for the
    /// first one.
    ///
    /// The last item has the position for the next request. It returns at once with what was
    /// missed, with a gap, and without a position with the current one. A later gap or event is
    /// included if it has arrived by then.
    ///
    /// ```
    /// use seaway::{Event, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, Json, Position, Rejection, Result, Topic, TopicEvent};
    /// use std::time::Duration;
    /// # #[derive(Event)] enum LotEvent { Placed { cents: u64 } }
    ///
    /// /// `GET /lots/7/events?resume=lot.7:12:k3x9`
    /// struct Poll {
    ///     lot: Topic<LotEvent>,
    ///     since: Option<Position>,
    /// }
    ///
    /// impl HttpConsumer for Poll {
    ///     type Event = TopicEvent<LotEvent>;
    ///
    ///     async fn connect(handshake: &mut HttpHandshake<Self::Event>) -> Result<Self, Rejection> {
    ///         let number: u32 = handshake.param("lot")?;
    ///         let lot = handshake.channels().topic(format!("lot.{number}"))?;
    ///         let since = handshake.since(&lot)?;
    ///         Ok(Poll { lot, since })
    ///     }
    ///     async fn handle(&mut self, ctx: &mut HttpContext<Self::Event>) -> Result<HttpResponse> {
    ///         let since = self.since.take();
    ///         let events = ctx.poll_topic(&self.lot, since, Duration::from_secs(25)).await?;
    ///         let events: Vec<_> = events.iter().map(|event| &**event).collect();
    ///         ctx.response(Json(events))
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`resume`](HttpContext::resume).
    ///
    /// # Cancel safety
    /// Safe: the client asks again from the same position.
    pub async fn poll_topic(
        &mut self,
        topic: &Topic<E>,
        since: Option<Position>,
        wait: Duration,
    ) -> Result<Vec<Shared<TopicEvent<E>>>> {
        let has_position = since.is_some();
        self.resume(topic, since).await?;
        let deadline = Instant::now().checked_add(wait);
        let mut events: Vec<Shared<TopicEvent<E>>> = Vec::new();
        let (mut is_recovered, mut is_gap) = (false, false);
        while events.len() < MOST_POLLED {
            let has_news = events.len() > 1 || !has_position || is_gap;
            let next = self.next_event();
            let next = match deadline {
                _ if is_recovered && has_news => timeout(Duration::ZERO, next).await,
                Some(deadline) if is_recovered => timeout_at(deadline, next).await,
                _ => Ok(next.await),
            };
            match next {
                Ok(Ok(Some(event))) => {
                    if let TopicEvent::Recovered { all, .. } = *event {
                        is_recovered = true;
                        is_gap |= !all;
                    }
                    events.push(event);
                }
                // What the topic has missed was read again.
                Ok(Err(_)) => {}
                Ok(Ok(None)) | Err(_) => break,
            }
        }
        Ok(events)
    }
}
