//! Delivery of received events to the mailboxes of this process.

use super::{
    coding::{self, Coding},
    host_part::HostPart,
    names::HostNames,
    pending_gap::{Gap, Notice},
    received::ReceivedLog,
    subscriptions::Subscriptions,
};
use crate::{
    channels::{Envelope, LocalChannels},
    name::{ChannelName, GroupName},
    redis_link::PushReceiver,
};
use redis::{PushKind, Value};
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
};

/// The receiver of Redis' pushes, which delivers events to the mailboxes of this process.
pub(super) struct Deliverer {
    local: LocalChannels,
    part: HostPart,
    group_prefix: Arc<str>,
    /// The one Redis channel for all channels of this process, with sharded pub/sub.
    own_sharded: String,
    subscriptions: Arc<Subscriptions>,
    received: Arc<ReceivedLog>,
    coding: Arc<Coding>,
    gap: Mutex<Gap>,
}

impl Deliverer {
    pub(super) fn new(
        local: LocalChannels,
        names: &HostNames,
        part: HostPart,
        subscriptions: Arc<Subscriptions>,
        received: Arc<ReceivedLog>,
        coding: Arc<Coding>,
    ) -> Self {
        Self {
            local,
            part,
            group_prefix: names.group_prefix.clone(),
            own_sharded: names.own_sharded(),
            subscriptions,
            received,
            coding,
            gap: Mutex::default(),
        }
    }

    /// Records the gap before a new connection.
    ///
    /// If it is certain, the consumers that it concerns are notified when Redis confirms the
    /// subscription to this
    /// process' own channels, and the members of each group again when it confirms that group's. So
    /// a notice precedes all later events of its channel, and a consumer that reads its state when
    /// it receives the last notice misses nothing. If it is suspected, an event that arrives before
    /// the subscriptions are [renewed](Self::renewed) makes it certain: then those consumers are
    /// notified first.
    pub(super) fn expect(&self, gap: Gap) {
        *self.gap() = gap;
    }

    /// Records that all subscriptions are confirmed; returns the suspected gap, unless consumers
    /// were notified of it.
    pub(super) fn renewed(&self) -> Option<Notice> {
        match mem::take(&mut *self.gap()) {
            Gap::Suspected(notice) => Some(notice),
            Gap::None | Gap::Certain(_) => None,
        }
    }

    /// Handles the confirmation of the subscription to this process' own channels.
    fn own_channels_confirmed(&self) {
        let gap = *self.gap();
        if let Gap::Certain(notice) = gap {
            notice.notify(&self.local, &self.part);
        }
    }

    /// Handles the confirmation of the subscription to a group.
    fn group_confirmed(&self, channel: &[u8]) {
        let gap = *self.gap();
        if let (Gap::Certain(notice), Some(group)) = (gap, self.group_of(channel)) {
            let gap = notice.since.elapsed();
            self.local.interrupted_members(&group, notice.opened, gap);
        }
    }

    /// Notifies consumers of a suspected gap, because an event has arrived.
    fn confirm_suspected_gap(&self) {
        let mut gap = self.gap();
        if let Gap::Suspected(notice) = *gap {
            *gap = Gap::Certain(notice);
            drop(gap);
            notice.notify(&self.local, &self.part);
        }
    }

    fn group_of(&self, channel: &[u8]) -> Option<GroupName> {
        let name = str::from_utf8(channel).ok()?;
        GroupName::new(name.strip_prefix(&*self.group_prefix)?).ok()
    }

    fn deliver_group(&self, channel: &[u8], payload: Vec<u8>) {
        self.confirm_suspected_gap();
        self.received.record(channel, &payload);
        if let Some(group) = self.group_of(channel)
            && let Some(event) = self.coding.decode_published(payload)
        {
            self.local
                .deliver_group(&group, &Envelope::from_bytes(event));
        }
    }

    fn deliver(&self, channel: Vec<u8>, payload: Vec<u8>) {
        self.confirm_suspected_gap();
        self.received.record(&channel, &payload);
        if let Some(Ok(channel)) = String::from_utf8(channel).ok().map(ChannelName::new)
            && let Some(event) = self.coding.decode_published(payload)
        {
            self.local.deliver(&channel, Envelope::from_bytes(event));
        }
    }

    fn deliver_sharded(&self, payload: &[u8]) {
        self.confirm_suspected_gap();
        self.received.record(self.own_sharded.as_bytes(), payload);
        let Some(entry) = self.coding.decode_entry(payload) else {
            return;
        };
        if entry.recipients.is_empty() {
            coding::count("it names no channel");
        }
        let envelope = Envelope::from_bytes(entry.event);
        for recipient in entry.recipients {
            _ = self.local.deliver(&recipient, envelope.clone());
        }
    }

    fn gap(&self) -> MutexGuard<'_, Gap> {
        self.gap
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl PushReceiver for Deliverer {
    fn push(&self, kind: PushKind, data: Vec<Value>) {
        match (kind, data.len()) {
            (PushKind::Message | PushKind::SMessage, 2) => {
                if let Ok([Value::BulkString(channel), Value::BulkString(payload)]) =
                    <[Value; 2]>::try_from(data)
                {
                    match channel == self.own_sharded.as_bytes() {
                        true => self.deliver_sharded(&payload),
                        false => self.deliver_group(&channel, payload),
                    }
                }
            }
            (PushKind::PMessage, 3) => {
                if let Ok([_, Value::BulkString(channel), Value::BulkString(payload)]) =
                    <[Value; 3]>::try_from(data)
                {
                    self.deliver(channel, payload);
                }
            }
            (PushKind::PSubscribe, _) => self.own_channels_confirmed(),
            (PushKind::Subscribe | PushKind::SSubscribe, _) => match data.first() {
                Some(Value::BulkString(channel)) if channel == self.own_sharded.as_bytes() => {
                    self.own_channels_confirmed();
                }
                Some(Value::BulkString(channel)) => self.group_confirmed(channel),
                _ => {}
            },
            _ => {}
        }
    }

    fn needs(&self, channel: &[u8]) -> bool {
        let is_needed = |group| self.subscriptions.needs(&group);
        channel == self.own_sharded.as_bytes() || self.group_of(channel).is_some_and(is_needed)
    }

    fn deliveries(&self) -> u64 {
        self.local.deliveries()
    }

    fn has_room(&self) -> bool {
        self.local.has_room()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{config::Wire, names::LayerNames};
    use super::*;
    use crate::{
        channels::{Mailbox, Missed},
        redis_link::Hosts,
    };
    use futures_util::FutureExt;
    use tokio::time::Instant;

    fn bytes(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn confirm_own(deliverer: &Deliverer) {
        let confirmation = vec![bytes("here!*"), Value::Int(1)];
        deliverer.push(PushKind::PSubscribe, confirmation);
    }

    fn confirm(deliverer: &Deliverer, group: &str) {
        let channel = bytes(&format!("asgi__group__{group}"));
        deliverer.push(PushKind::Subscribe, vec![channel, Value::Int(2)]);
    }

    fn publish(deliverer: &Deliverer, group: &str) {
        let channel = bytes(&format!("asgi__group__{group}"));
        deliverer.push(PushKind::Message, vec![channel, bytes("event")]);
    }

    /// Returns the content of the mailbox: `gap` for a notice.
    fn waiting(mailbox: &mut Mailbox) -> Vec<String> {
        let received = std::iter::from_fn(|| mailbox.receive().now_or_never());
        let text = |envelope: Envelope| String::from_utf8_lossy(envelope.as_bytes()).into_owned();
        received
            .map(|received| match received {
                Ok(envelope) => text(envelope),
                Err(Missed::Interrupted { .. }) => "gap".to_owned(),
                Err(missed) => missed.to_string(),
            })
            .collect()
    }

    struct Fixture {
        deliverer: Deliverer,
        member: Mailbox,
        notice: Notice,
    }

    /// Returns a member of the groups `a` and `b`, and a gap that no consumer was notified of.
    fn fixture() -> Fixture {
        let local = LocalChannels::default();
        let member = local.open("here").unwrap();
        for group in ["a", "b"] {
            let group = GroupName::new(group).unwrap();
            local.join(&group, member.name()).unwrap();
        }
        let notice = Notice {
            since: Instant::now(),
            opened: local.opened(),
            reason: "a test",
        };
        let received = Arc::new(ReceivedLog::default());
        let names = LayerNames::fresh(Wire::PubSub, Hosts::independent(1), "asgi").unwrap();
        let part = HostPart::new(&names, 0);
        Fixture {
            deliverer: Deliverer::new(
                local,
                &names.on(0),
                part,
                Arc::new(Subscriptions::new()),
                received,
                Arc::default(),
            ),
            member,
            notice,
        }
    }

    #[test]
    fn a_notice_stands_before_the_first_event_of_each_group() {
        let Fixture {
            deliverer,
            mut member,
            notice,
        } = fixture();
        deliverer.expect(Gap::Certain(notice));

        confirm_own(&deliverer);
        assert_eq!(waiting(&mut member), ["gap"]);
        confirm(&deliverer, "a");
        publish(&deliverer, "a");
        confirm(&deliverer, "b");
        publish(&deliverer, "b");
        assert_eq!(
            waiting(&mut member),
            ["gap", "event", "event"],
            "one notice covers both"
        );
        confirm(&deliverer, "b");
        assert_eq!(waiting(&mut member), ["gap"]);

        assert!(deliverer.renewed().is_none());
        confirm(&deliverer, "a");
        assert_eq!(waiting(&mut member), [""; 0]);
    }

    #[test]
    fn consumers_are_notified_of_a_suspected_gap_before_an_early_event() {
        let Fixture {
            deliverer,
            mut member,
            notice,
        } = fixture();
        deliverer.expect(Gap::Suspected(notice));

        confirm_own(&deliverer);
        confirm(&deliverer, "a");
        assert_eq!(waiting(&mut member), [""; 0]);
        publish(&deliverer, "a");
        confirm(&deliverer, "b");

        assert_eq!(waiting(&mut member), ["gap", "event"]);
        assert!(deliverer.renewed().is_none(), "consumers were notified");
    }

    #[test]
    fn a_suspected_gap_without_an_event_is_left_to_be_settled() {
        let Fixture {
            deliverer,
            mut member,
            notice,
        } = fixture();
        deliverer.expect(Gap::Suspected(notice));

        confirm_own(&deliverer);
        confirm(&deliverer, "a");

        assert!(deliverer.renewed().is_some());
        assert_eq!(waiting(&mut member), [""; 0]);
    }
}
