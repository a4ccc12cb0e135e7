//! What a consumer has missed of a topic: from the memory of this process, or by one query for all
//! consumers that ask.

use super::{
    Channels, Position, TopicQuery,
    topics::{HistoryLimits, Look, ReadFrom, Recovery, RecoverySource, TopicWindow, WindowQuery},
};
use crate::{
    error::{Error, ErrorKind, Result},
    metric,
    name::GroupName,
};
use std::panic::resume_unwind;
use tokio::time::Instant;
use tracing::Instrument;

impl Channels {
    /// Returns what a member of a topic has missed since a position. `is_received`: this process
    /// has received the event there itself.
    ///
    /// # Errors
    /// Those of [`ChannelLayer::topic_read`](super::ChannelLayer::topic_read).
    pub(super) async fn catch_up(
        &self,
        topic: &GroupName,
        since: Option<Position>,
        limits: HistoryLimits,
        is_received: bool,
        source: RecoverySource,
    ) -> Result<Recovery> {
        let local = self.layer().local();
        let windows = local.windows();
        let asked = Instant::now();
        let mut request = TopicQuery {
            since,
            limits,
            is_whole: false,
            is_received,
        };
        loop {
            let is_shared = local.members(topic) > 1;
            let look = windows.look(topic, &request, source, asked, is_shared);
            let query = match look {
                Look::Found(recovery) => return Ok(recovery),
                // It ends when the query has, whether it succeeded or not.
                Look::Wait(mut done) => {
                    _ = done.changed().await;
                    continue;
                }
                Look::Query(query) => query,
            };
            request.is_whole = query.is_whole();
            return self.clone().query(query, topic.clone(), request).await;
        }
    }

    /// Runs a query in a task of its own: others wait for it, and the caller may not be polled for
    /// long, as that of a consumer in a slow hook, or be dropped.
    async fn query(
        self,
        query: WindowQuery,
        topic: GroupName,
        request: TopicQuery,
    ) -> Result<Recovery> {
        let reading = async move {
            let (since, limits) = (request.since.clone(), request.limits);
            let is_whole = request.is_whole;
            let began = Instant::now();
            metric::topic_read();
            let history = self.layer().topic_read(&topic, request).await?;
            let window = TopicWindow::new(&topic, history, limits, is_whole, began);
            let recovery = window.finally_since(since.as_ref(), limits);
            query.finish(window);
            Ok(recovery)
        };
        match tokio::spawn(reading.in_current_span()).await {
            Ok(recovery) => recovery,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => {
                    let message =
                        "the history of a topic was not read: the runtime is shutting down";
                    Err(Error::new(ErrorKind::Layer, message))
                }
            },
        }
    }

    /// Returns a function that reads what a member of a topic has missed since a position that it
    /// had reached.
    pub(super) fn reader<E>(&self, topic: &GroupName, limits: HistoryLimits) -> ReadFrom {
        let (channels, topic) = (self.clone(), topic.clone());
        ReadFrom::new::<E>(move |since, source| {
            let (channels, topic) = (channels.clone(), topic.clone());
            Box::pin(async move {
                let since = Some(since);
                channels.catch_up(&topic, since, limits, true, source).await
            })
        })
    }
}
