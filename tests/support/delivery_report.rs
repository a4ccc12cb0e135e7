//! The report of every message, as a pure function of the clients' logs.
//!
//! There are three outcomes for each message and each member of its room. *Delivered*: the member
//! received it. *Told*: it did not, but its own connection has ended since, so it knows that it
//! must read its state again, or the sender's connection has ended without the echo of the message.
//! *Silent*: both remained connected, and neither can know of the loss.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::Duration,
};

/// The log of one client, in chronological order.
#[derive(Clone, Debug)]
pub struct Log {
    /// The client's number.
    pub client: u32,
    /// The room's number: every message is sent to all members of this room.
    pub room: u32,
    /// The entries, with the time since the clients were started.
    pub entries: Vec<(Duration, Entry)>,
}

impl Log {
    /// Returns whether the client is connected at the end of the log.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let mut changes = self.entries.iter().rev();
        let last = changes.find(|(_, entry)| matches!(entry, Entry::Joined | Entry::Closed(_)));
        matches!(last, Some((_, Entry::Joined)))
    }
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The handshake is complete: the client is a member of its room. Its connections are numbered
    /// from 0.
    Joined,
    /// The handshake failed, with the status if there was one.
    Refused(Option<u16>),
    /// The client began to send the message with this number; each connection counts from 0.
    Sent(u32),
    /// A message arrived.
    Received(MessageId),
    /// A text arrived that no client has sent.
    Strange(String),
    /// The connection ended, with the code if there was a close frame.
    Closed(Option<u16>),
}

/// The id of a message. Order is guaranteed between messages of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageId {
    /// The number of the sender.
    pub client: u32,
    /// The number of the sender's connection.
    pub connection: u32,
    /// The number of the message on that connection.
    pub sequence: u32,
}

/// The sum of all logs. Deliveries are counted per message and member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryReport {
    /// The number of messages that were sent.
    pub messages: usize,
    /// Expected deliveries: to every member that had joined at some time before the message was
    /// sent.
    pub due: usize,
    /// Expected deliveries that happened.
    pub delivered: usize,
    /// Missing deliveries whose sender's connection has ended without an echo.
    pub sender_notified: usize,
    /// Missing deliveries whose receiver's connection has ended since, or did not exist.
    pub receiver_notified: usize,
    /// Missing deliveries without any notification: their number, and the first of them.
    pub silent: Losses,
    /// All messages that have arrived, expected or not.
    pub received: usize,
    /// Duplicate deliveries.
    pub doubled: usize,
    /// Deliveries after a later message of the same connection.
    pub disordered: usize,
    /// Members that remained connected and have received nothing that was sent after the fault.
    pub deaf: usize,
    /// Texts that no client of the room has sent.
    pub strange: usize,
    /// Ended connections, by close code.
    pub closed: BTreeMap<Option<u16>, usize>,
    /// Failed handshakes, by status.
    pub refused: BTreeMap<Option<u16>, usize>,
    /// The longest time between a send and a delivery.
    pub slowest: Duration,
}

/// Losses of one kind: their number, and a few of them to look for in other logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// The number of losses.
    pub count: usize,
    /// The first few of them.
    pub examples: Vec<Loss>,
}

/// A message that a member did not receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The message.
    pub message: MessageId,
    /// The time at which it was sent.
    pub sent: Duration,
    /// The client that lacks it.
    pub missed_by: u32,
}

impl DeliveryReport {
    /// Sums up the logs of all clients. From `recovered` on, every connected client must receive
    /// again.
    #[must_use]
    pub fn of(logs: &[Log], recovered: Duration) -> Self {
        let members: Vec<_> = logs.iter().map(Member::read).collect();
        let mut sent = HashMap::new();
        let mut report = Self::default();
        for member in &members {
            for (id, at) in &member.sent {
                sent.insert(*id, (member.log.room, *at));
                report.follow(*id, *at, member, &members);
            }
        }
        for member in &members {
            report.examine(member, &sent);
            let is_deaf = member.hears_since(recovered).is_some_and(|since| {
                let mut due = sent
                    .iter()
                    .filter(|(_, (room, at))| *room == member.log.room && *at >= since)
                    .peekable();
                due.peek().is_some() && due.all(|(id, _)| !member.received.contains_key(id))
            });
            report.deaf += usize::from(is_deaf);
        }
        report
    }

    /// Returns the number of expected deliveries that did not happen.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.due - self.delivered
    }

    /// Returns whether there was no silent loss, duplicate, reordered or unknown message.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        let wrong = [
            self.silent.count,
            self.doubled,
            self.disordered,
            self.deaf,
            self.strange,
        ];
        wrong == [0; 5]
    }

    /// Returns whether nothing is missing and no connection has ended.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing() == 0 && self.closed.is_empty() && self.refused.is_empty()
    }

    /// Looks for one message in the logs of all members of its room.
    fn follow(&mut self, id: MessageId, at: Duration, sender: &Member<'_>, members: &[Member<'_>]) {
        self.messages += 1;
        let is_sender_notified =
            sender.has_ended(id.connection) && !sender.received.contains_key(&id);
        let room = members.iter().filter(|to| to.log.room == sender.log.room);
        for to in room.filter(|to| to.first_joined().is_some_and(|joined| joined <= at)) {
            self.due += 1;
            match to.received.get(&id) {
                Some(received) => {
                    self.delivered += 1;
                    self.slowest = self.slowest.max(received.saturating_sub(at));
                }
                None if is_sender_notified => self.sender_notified += 1,
                None if !to.stays_connected(at) => self.receiver_notified += 1,
                None => self.silent.add(Loss {
                    message: id,
                    sent: at,
                    missed_by: to.log.client,
                }),
            }
        }
    }

    /// Looks for messages that one member should not have received.
    fn examine(&mut self, member: &Member<'_>, sent: &HashMap<MessageId, (u32, Duration)>) {
        let mut seen = HashSet::new();
        let mut latest = HashMap::new();
        for (_, entry) in &member.log.entries {
            match entry {
                Entry::Received(id) => {
                    self.received += 1;
                    if sent
                        .get(id)
                        .is_none_or(|(room, _)| *room != member.log.room)
                    {
                        self.strange += 1;
                    }
                    let latest = latest
                        .entry((id.client, id.connection))
                        .or_insert(id.sequence);
                    if !seen.insert(*id) {
                        self.doubled += 1;
                    } else if id.sequence < *latest {
                        self.disordered += 1;
                    }
                    *latest = id.sequence.max(*latest);
                }
                Entry::Strange(_) => self.strange += 1,
                Entry::Closed(code) => *self.closed.entry(*code).or_default() += 1,
                Entry::Refused(status) => *self.refused.entry(*status).or_default() += 1,
                Entry::Joined | Entry::Sent(_) => {}
            }
        }
    }
}

/// Returns how long after `back` every member had received something that was sent after it; `None`
/// if one never did.
#[must_use]
pub fn resumed(logs: &[Log], back: Duration) -> Option<Duration> {
    let members: Vec<_> = logs.iter().map(Member::read).collect();
    let fresh: HashSet<_> = members
        .iter()
        .flat_map(|member| &member.sent)
        .filter_map(|(id, at)| (*at >= back).then_some(*id))
        .collect();
    let firsts = members.iter().map(|member| {
        let received = member.received.iter();
        let fresh = received.filter_map(|(id, at)| fresh.contains(id).then_some(*at));
        fresh.min().map(|first| first - back)
    });
    // A member without such a message makes the result `None`.
    firsts.collect::<Option<Vec<_>>>()?.into_iter().max()
}

impl Losses {
    /// The number of examples that are kept.
    const EXAMPLES: usize = 5;

    fn add(&mut self, loss: Loss) {
        self.count += 1;
        if self.examples.len() < Self::EXAMPLES {
            self.examples.push(loss);
        }
    }
}

impl fmt::Display for DeliveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} messages, {} deliveries due: {} missing (told: {} to the sender, {} to the receiver; silent: {}), {} doubled, \
             {} out of order, {} deaf, {} strange; closed {:?}, refused {:?}; slowest {:.2?}",
            self.messages,
            self.due,
            self.missing(),
            self.sender_notified,
            self.receiver_notified,
            self.silent.count,
            self.doubled,
            self.disordered,
            self.deaf,
            self.strange,
            self.closed,
            self.refused,
            self.slowest,
        )?;
        for loss in &self.silent.examples {
            write!(f, "\n  silent: {loss:?}")?;
        }
        Ok(())
    }
}

/// The indexed log of a client.
struct Member<'a> {
    log: &'a Log,
    /// The times at which each connection began, and ended if it did.
    connections: Vec<(Duration, Option<Duration>)>,
    sent: Vec<(MessageId, Duration)>,
    /// The times at which each message arrived first.
    received: HashMap<MessageId, Duration>,
}

impl<'a> Member<'a> {
    fn read(log: &'a Log) -> Self {
        let mut member = Self {
            log,
            connections: Vec::new(),
            sent: Vec::new(),
            received: HashMap::new(),
        };
        for (at, entry) in &log.entries {
            match entry {
                Entry::Joined => member.connections.push((*at, None)),
                Entry::Closed(_) => {
                    let current = member.connections.last_mut();
                    current.expect("a connection before its end").1 = Some(*at);
                }
                Entry::Sent(sequence) => {
                    let connection = member.connections.len().checked_sub(1);
                    let connection = connection.expect("a connection before a message");
                    let id = MessageId {
                        client: log.client,
                        connection: u32::try_from(connection).expect("few connections"),
                        sequence: *sequence,
                    };
                    member.sent.push((id, *at));
                }
                Entry::Received(id) => {
                    member.received.entry(*id).or_insert(*at);
                }
                Entry::Refused(_) | Entry::Strange(_) => {}
            }
        }
        member
    }

    fn first_joined(&self) -> Option<Duration> {
        self.connections.first().map(|(joined, _)| *joined)
    }

    fn has_ended(&self, connection: u32) -> bool {
        let connection = usize::try_from(connection).expect("it fits");
        self.connections[connection].1.is_some()
    }

    /// Returns whether it was connected at this time, on a connection that has not ended since.
    fn stays_connected(&self, at: Duration) -> bool {
        let last = self.connections.last();
        last.is_some_and(|(joined, ended)| *joined <= at && ended.is_none())
    }

    /// Returns the time from which on it must receive everything: `recovered`, or its last join if
    /// that was later.
    fn hears_since(&self, recovered: Duration) -> Option<Duration> {
        match self.connections.last() {
            Some((joined, None)) => Some(recovered.max(*joined)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: u32 = 0;
    const BO: u32 = 1;

    fn log(client: u32, entries: &[(u64, Entry)]) -> Log {
        let entries = entries.iter();
        Log {
            client,
            room: 0,
            entries: entries
                .map(|(at, entry)| (Duration::from_millis(*at), entry.clone()))
                .collect(),
        }
    }

    fn id(client: u32, connection: u32, sequence: u32) -> MessageId {
        MessageId {
            client,
            connection,
            sequence,
        }
    }

    /// Returns the arrival of the message with this number on Ana's first connection.
    fn received(sequence: u32) -> Entry {
        Entry::Received(id(ANA, 0, sequence))
    }

    /// Returns the report of two messages that Ana sends and receives, with this log of Bo.
    fn report(bo: &[(u64, Entry)]) -> DeliveryReport {
        let ana = [
            (0, Entry::Joined),
            (10, Entry::Sent(0)),
            (11, received(0)),
            (20, Entry::Sent(1)),
            (21, received(1)),
        ];
        DeliveryReport::of(&[log(ANA, &ana), log(BO, bo)], Duration::ZERO)
    }

    #[test]
    fn messages_that_all_receive_once_and_in_order_are_complete() {
        let report = report(&[(0, Entry::Joined), (12, received(0)), (25, received(1))]);

        assert!(report.is_honest() && report.is_complete(), "{report}");
        assert_eq!((report.messages, report.due, report.delivered), (2, 4, 4));
        assert_eq!(report.slowest, Duration::from_millis(5));
    }

    #[test]
    fn a_lost_message_is_a_silent_loss() {
        let report = report(&[(0, Entry::Joined), (12, received(0))]);

        assert!(!report.is_honest());
        assert_eq!((report.missing(), report.silent.count), (1, 1));
        let loss = report.silent.examples[0];
        assert_eq!((loss.message, loss.missed_by), (id(ANA, 0, 1), BO));
    }

    #[test]
    fn a_duplicate_is_detected() {
        let report = report(&[
            (0, Entry::Joined),
            (12, received(0)),
            (22, received(1)),
            (23, received(0)),
        ]);

        assert!(!report.is_honest());
        assert_eq!(
            (report.doubled, report.disordered, report.missing()),
            (1, 0, 0)
        );
    }

    #[test]
    fn reordered_messages_are_detected() {
        let report = report(&[(0, Entry::Joined), (22, received(1)), (23, received(0))]);

        assert!(!report.is_honest());
        assert_eq!(
            (report.disordered, report.doubled, report.missing()),
            (1, 0, 0)
        );
    }

    #[test]
    fn a_message_that_no_client_sent_is_detected() {
        let report = report(&[
            (0, Entry::Joined),
            (12, received(0)),
            (22, received(1)),
            (23, received(2)),
            (24, Entry::Strange("?".to_owned())),
        ]);

        assert!(!report.is_honest());
        assert_eq!(report.strange, 2);
    }

    #[test]
    fn a_message_of_another_room_is_detected() {
        let ana = log(
            ANA,
            &[(0, Entry::Joined), (10, Entry::Sent(0)), (11, received(0))],
        );
        let mut bo = log(BO, &[(0, Entry::Joined), (12, received(0))]);
        bo.room = 1;

        let report = DeliveryReport::of(&[ana, bo], Duration::ZERO);

        assert_eq!((report.strange, report.due), (1, 1));
    }

    #[test]
    fn a_receiver_whose_connection_ends_after_the_loss_is_notified() {
        let report = report(&[
            (0, Entry::Joined),
            (12, received(0)),
            (30, Entry::Closed(Some(1012))),
        ]);

        assert!(report.is_honest() && !report.is_complete(), "{report}");
        assert_eq!((report.receiver_notified, report.silent.count), (1, 0));
        assert_eq!(report.closed, BTreeMap::from([(Some(1012), 1)]));
    }

    #[test]
    fn a_receiver_that_reconnected_before_the_loss_is_not_notified() {
        let report = report(&[
            (0, Entry::Joined),
            (5, Entry::Closed(Some(1012))),
            (6, Entry::Joined),
            (12, received(0)),
        ]);

        assert_eq!((report.receiver_notified, report.silent.count), (0, 1));
    }

    #[test]
    fn a_disconnected_receiver_is_notified_of_messages_sent_meanwhile() {
        let report = report(&[
            (0, Entry::Joined),
            (5, Entry::Closed(Some(1012))),
            (15, Entry::Joined),
            (22, received(1)),
        ]);

        assert!(report.is_honest(), "{report}");
        assert_eq!(report.receiver_notified, 1);
    }

    #[test]
    fn nothing_is_due_before_the_first_handshake_is_complete() {
        let report = report(&[
            (5, Entry::Refused(Some(503))),
            (15, Entry::Joined),
            (22, received(1)),
        ]);

        assert!(report.is_honest(), "{report}");
        assert_eq!((report.due, report.missing()), (3, 0));
    }

    #[test]
    fn a_sender_whose_connection_ends_without_an_echo_is_notified() {
        let ana = [
            (0, Entry::Joined),
            (10, Entry::Sent(0)),
            (20, Entry::Closed(Some(1013))),
        ];
        let logs = [log(ANA, &ana), log(BO, &[(0, Entry::Joined)])];

        let report = DeliveryReport::of(&logs, Duration::from_millis(15));

        assert!(report.is_honest(), "{report}");
        assert_eq!((report.sender_notified, report.missing()), (2, 2));
    }

    #[test]
    fn an_echo_confirms_the_message_to_the_sender() {
        let ana = [
            (0, Entry::Joined),
            (10, Entry::Sent(0)),
            (15, received(0)),
            (20, Entry::Closed(Some(1013))),
        ];
        let logs = [log(ANA, &ana), log(BO, &[(0, Entry::Joined)])];

        let report = DeliveryReport::of(&logs, Duration::from_millis(15));

        assert_eq!((report.sender_notified, report.silent.count), (0, 1));
    }

    #[test]
    fn a_later_connection_counts_its_messages_from_0_again() {
        let ana = [
            (0, Entry::Joined),
            (10, Entry::Sent(0)),
            (11, Entry::Received(id(ANA, 0, 0))),
            (20, Entry::Closed(None)),
            (30, Entry::Joined),
            (31, Entry::Sent(0)),
            (32, Entry::Received(id(ANA, 1, 0))),
        ];

        let report = DeliveryReport::of(&[log(ANA, &ana)], Duration::ZERO);

        assert!(report.is_honest(), "{report}");
        assert_eq!((report.messages, report.delivered), (2, 2));
    }

    #[test]
    fn a_member_without_events_after_the_fault_fails_the_check() {
        let ana = [
            (0, Entry::Joined),
            (10, Entry::Sent(0)),
            (11, received(0)),
            (20, Entry::Sent(1)),
            (21, received(1)),
        ];
        let bo = [(0, Entry::Joined), (12, received(0))];
        let logs = [log(ANA, &ana), log(BO, &bo)];

        for (recovered, deaf) in [(0, 0), (15, 1), (25, 0)] {
            let report = DeliveryReport::of(&logs, Duration::from_millis(recovered));
            assert_eq!(report.deaf, deaf, "after {recovered} ms");
        }
    }

    #[test]
    fn delivery_has_resumed_when_the_last_member_has_received_something_new() {
        let ana = [
            (0, Entry::Joined),
            (10, Entry::Sent(0)),
            (20, Entry::Sent(1)),
            (30, received(0)),
            (31, received(1)),
        ];
        let bo = [(0, Entry::Joined), (30, received(0)), (40, received(1))];
        let logs = [log(ANA, &ana), log(BO, &bo)];

        for (back, expected) in [(5, Some(25)), (15, Some(25)), (25, None)] {
            let resumed = resumed(&logs, Duration::from_millis(back));
            assert_eq!(
                resumed,
                expected.map(Duration::from_millis),
                "back after {back} ms"
            );
        }
    }
}
