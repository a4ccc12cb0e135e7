//! Takes what Redis sends to the mailboxes of this process.

use super::received::Received;
use crate::{
    channels::{Envelope, LocalChannels},
    name::{ChannelName, GroupName},
    redis_link::Inbox,
};
use redis::{PushKind, Value};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// Takes what Redis sends to the mailboxes of this process.
pub(super) struct Deliverer {
    local: LocalChannels,
    group_prefix: Arc<str>,
    received: Arc<Received>,
    notice: Mutex<Option<Notice>>,
}

/// Events that may be missing, to be told before the next one is delivered.
#[derive(Clone, Copy)]
pub(super) struct Notice {
    /// When the connection before was last heard.
    pub(super) since: Instant,
    /// How many mailboxes were open when it was lost: later ones have nothing to miss.
    pub(super) opened: u64,
}

impl Deliverer {
    pub(super) fn new(
        local: LocalChannels,
        group_prefix: Arc<str>,
        received: Arc<Received>,
    ) -> Self {
        Self {
            local,
            group_prefix,
            received,
            notice: Mutex::new(None),
        }
    }

    /// Has a notice told as soon as Redis confirms the first subscription, so that it stands before all that follows.
    pub(super) fn tell_when_subscribed(&self, notice: Notice) {
        *self.notice() = Some(notice);
    }

    /// Tells a notice now.
    pub(super) fn tell(&self, notice: Notice) {
        let gap: Duration = notice.since.elapsed();
        tracing::warn!(
            seconds = gap.as_secs_f32(),
            "events sent while the subscriptions were interrupted may be missing; all consumers of this process are told"
        );
        self.local.interrupted_before(notice.opened, gap);
    }

    fn deliver_group(&self, channel: &[u8], payload: Vec<u8>) {
        self.received.note(channel, &payload);
        let name = str::from_utf8(channel).ok();
        let name = name.and_then(|name| name.strip_prefix(&*self.group_prefix));
        if let Some(Ok(group)) = name.map(GroupName::new) {
            self.local
                .deliver_group(&group, &Envelope::from_bytes(payload));
        }
    }

    fn deliver(&self, channel: Vec<u8>, payload: Vec<u8>) {
        self.received.note(&channel, &payload);
        if let Some(Ok(channel)) = String::from_utf8(channel).ok().map(ChannelName::new) {
            self.local.deliver(&channel, Envelope::from_bytes(payload));
        }
    }

    fn notice(&self) -> MutexGuard<'_, Option<Notice>> {
        self.notice
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl Inbox for Deliverer {
    fn take(&self, kind: PushKind, data: Vec<Value>) {
        match (kind, data.len()) {
            (PushKind::Message, 2) => {
                if let Ok([Value::BulkString(channel), Value::BulkString(payload)]) =
                    <[Value; 2]>::try_from(data)
                {
                    self.deliver_group(&channel, payload);
                }
            }
            (PushKind::PMessage, 3) => {
                if let Ok([_, Value::BulkString(channel), Value::BulkString(payload)]) =
                    <[Value; 3]>::try_from(data)
                {
                    self.deliver(channel, payload);
                }
            }
            (PushKind::PSubscribe, _) => {
                if let Some(notice) = self.notice().take() {
                    self.tell(notice);
                }
            }
            _ => {}
        }
    }

    fn deliveries(&self) -> u64 {
        self.local.deliveries()
    }

    fn has_room(&self) -> bool {
        self.local.has_room()
    }
}
