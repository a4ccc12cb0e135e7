//! What a consumer has missed of a topic: from the memory of this process, or by one query for all
//! consumers that ask.

use super::{
    Channels, Position, TopicQuery,
    topics::{HistoryLimits, Look, ReadFrom, Recovery, RecoverySource, TopicWindow, Windows},
};
use crate::{error::Result, metric, name::GroupName};
use std::sync::Arc;
use tokio::time::Instant;

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
            let (number, is_whole) = match look {
                Look::Found(recovery) => return Ok(recovery),
                // It ends when the query has, whether it succeeded or not.
                Look::Wait(mut done) => {
                    _ = done.changed().await;
                    continue;
                }
                Look::Query { number, is_whole } => (number, is_whole),
            };
            let query = HistoryQuery {
                windows,
                topic,
                number,
            };
            request.is_whole = is_whole;
            let since = request.since.clone();
            let began = Instant::now();
            metric::topic_read();
            let history = self.layer().topic_read(topic, request).await?;
            let window = TopicWindow::new(topic, history, limits, is_whole, began);
            let recovery = window.finally_since(since.as_ref(), limits);
            query.windows.finish(topic, query.number, window);
            return Ok(recovery);
        }
    }

    /// Returns a function that reads what a member of a topic has missed since a position that it
    /// had reached.
    pub(super) fn reader(&self, topic: &GroupName, limits: HistoryLimits) -> ReadFrom {
        let (channels, topic) = (self.clone(), topic.clone());
        Arc::new(move |since, source| {
            let (channels, topic) = (channels.clone(), topic.clone());
            Box::pin(async move {
                let since = Some(since);
                channels.catch_up(&topic, since, limits, true, source).await
            })
        })
    }
}

/// A query under way, which is abandoned if its future is dropped.
struct HistoryQuery<'a> {
    windows: &'a Windows,
    topic: &'a GroupName,
    number: u64,
}

impl Drop for HistoryQuery<'_> {
    fn drop(&mut self) {
        self.windows.abandon(self.topic, self.number);
    }
}
