//! The conformance suite of channel layers.

use super::{PATIENCE, soon};
use crate::{
    channels::{Channels, Envelope, Mailbox, Missed},
    error::ErrorKind,
    name::ChannelName,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, future::Future, time::Duration};
use tokio::{
    sync::oneshot,
    task::{spawn_blocking, yield_now},
    time::timeout,
};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "exam.note")]
struct LayerNote {
    number: u32,
    #[serde(with = "serde_bytes_vec")]
    bytes: Vec<u8>,
}

impl crate::channels::Event for LayerNote {}

impl LayerNote {
    fn new(number: u32) -> Self {
        Self {
            number,
            bytes: vec![0, 255, number as u8],
        }
    }
}

/// Checks that a channel layer conforms to the rules.
///
/// `connect` is called once per simulated process. For a layer without a transport, return clones
/// of one handle.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{Channels, testing::channel_layer};
///
/// let channels = Channels::in_memory();
/// channel_layer::conforms(async || channels.clone()).await;
/// # });
/// ```
///
/// # Panics
/// If a rule is violated, with that rule.
pub async fn conforms<F, Fut>(connect: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Channels>,
{
    let (here, there) = (connect().await, connect().await);
    a_group_reaches_its_members_everywhere(&here, &there).await;
    one_sender_is_received_in_order(&here, &there).await;
    a_channel_reaches_its_owner_alone(&here, &there).await;
    no_two_processes_give_a_channel_the_same_name(&here, &there).await;
    an_excluded_member_receives_nothing(&here, &there).await;
    nothing_is_received_after_leaving(&here, &there).await;
    a_dropped_mailbox_leaves_its_groups(&here, &there).await;
    members_that_join_at_once_all_receive(&here, &there).await;
    a_group_that_is_left_while_it_is_joined_still_receives(&here, &there).await;
    a_full_mailbox_never_stops_the_sender(&here).await;
    the_owner_of_a_full_mailbox_gets_a_notice(&here).await;
    sending_to_a_group_without_members_is_no_error(&here).await;
    members_of_one_group_receive_nothing_of_another(&here, &there).await;
    members_are_counted_per_process(&here).await;
    only_own_channels_can_be_added_to_a_group(&here, &there).await;
    a_job_waits_and_is_taken_once(&here, &there).await;
    a_worker_may_wait_without_limit(&here, &there).await;
    two_workers_share_the_jobs(&here, &there).await;
    a_full_worker_queue_refuses_the_job(&here, &there).await;
    a_consumers_channel_is_no_worker_queue(&here).await;
}

/// Checks that a channel layer drops jobs that have waited longer than their expiry.
///
/// The check waits twice for the layer's expiry to pass; one of 2 s is long enough for a busy
/// machine. As in
/// [`conforms`], `connect` is called once per simulated process.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{Channels, channels::InMemoryChannelLayer, testing::channel_layer};
/// use std::time::Duration;
///
/// let expiry = Duration::from_secs(2);
/// let channels = Channels::new(InMemoryChannelLayer::default().worker_queues(10, expiry));
/// channel_layer::jobs_expire(expiry, async || channels.clone()).await;
/// # });
/// ```
///
/// # Panics
/// If a job is received after its expiry, counts towards the capacity then, or one that has not
/// expired is lost.
pub async fn jobs_expire<F, Fut>(expiry: Duration, connect: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Channels>,
{
    let (here, there) = (connect().await, connect().await);
    let queue = queue("exam.expiry");
    let mut expired = 0;
    while here.send(&queue, &LayerNote::new(expired)).await.is_ok() {
        assert!(
            expired < LARGEST_CAPACITY,
            "a worker queue holds {LARGEST_CAPACITY} jobs and refuses none: it is not bounded"
        );
        expired += 1;
    }
    // Layers measure by clocks that no test can advance, such as that of Redis.
    tokio::time::sleep(expiry + expiry / 8).await;

    let sent = here.send(&queue, &LayerNote::new(expired)).await;

    sent.expect("expired jobs do not count towards the capacity");
    let received = take(&there, &queue).await;
    assert_eq!(received, Some(expired), "expired jobs are dropped");
    assert_eq!(take(&there, &queue).await, None, "there are no others");

    for number in [1, 2] {
        let sent = here.send(&queue, &LayerNote::new(number)).await;
        sent.expect("queued");
        tokio::time::sleep(expiry / 2 + expiry / 16).await;
    }
    let received = take(&there, &queue).await;
    assert_eq!(
        received,
        Some(2),
        "a later job does not keep an expired one"
    );
}

async fn a_group_reaches_its_members_everywhere(here: &Channels, there: &Channels) {
    let (mut one, mut two) = (open(here).await, open(there).await);
    join(here, "exam.members", &one).await;
    join(there, "exam.members", &two).await;

    send(here, "exam.members", 1).await;
    send(there, "exam.members", 2).await;

    for mailbox in [&mut one, &mut two] {
        let mut numbers = [receive(mailbox).await.number, receive(mailbox).await.number];
        // Two senders: either may be first.
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2], "every member receives every event once");
    }
}

async fn one_sender_is_received_in_order(here: &Channels, there: &Channels) {
    let mut mailbox = open(there).await;
    join(there, "exam.order", &mailbox).await;

    for number in 0..100 {
        send(here, "exam.order", number).await;
    }

    for number in 0..100 {
        assert_eq!(
            receive(&mut mailbox).await,
            LayerNote::new(number),
            "in order"
        );
    }
}

/// Maximum capacity of a mailbox, in events.
const LARGEST_CAPACITY: u32 = 100_000;

async fn a_channel_reaches_its_owner_alone(here: &Channels, there: &Channels) {
    let (mut owner, mut other) = (open(there).await, open(there).await);
    assert_ne!(owner.name(), other.name(), "every channel has its own name");

    here.send(owner.name(), &LayerNote::new(7))
        .await
        .expect("sent");
    here.send(other.name(), &LayerNote::new(8))
        .await
        .expect("sent");

    assert_eq!(receive(&mut owner).await, LayerNote::new(7));
    assert_eq!(receive(&mut other).await, LayerNote::new(8));
}

async fn no_two_processes_give_a_channel_the_same_name(here: &Channels, there: &Channels) {
    // Numbers that each process counts from zero are equal after a few.
    const EACH: usize = 50;
    let mut mailboxes = Vec::new();
    for process in [here, there] {
        for _ in 0..EACH {
            mailboxes.push(open(process).await);
        }
    }
    let names: HashSet<_> = mailboxes.iter().map(Mailbox::name).collect();
    assert_eq!(
        names.len(),
        2 * EACH,
        "no two processes give a channel the same name: the prefix belongs to one alone"
    );
}

async fn an_excluded_member_receives_nothing(here: &Channels, there: &Channels) {
    let (mut one, mut two) = (open(here).await, open(there).await);
    join(here, "exam.except", &one).await;
    join(there, "exam.except", &two).await;
    let group = here
        .group::<LayerNote>("exam.except")
        .expect("a valid name");

    for (number, except) in [(1, one.name()), (2, two.name())] {
        let sent = group.send_except(&LayerNote::new(number), except).await;
        sent.expect("sent");
    }
    send(here, "exam.except", 3).await;

    for (mailbox, expected) in [(&mut one, [2, 3]), (&mut two, [1, 3])] {
        let received = [receive(mailbox).await.number, receive(mailbox).await.number];
        assert_eq!(
            received, expected,
            "all but the excluded member, in every process"
        );
    }
}

async fn nothing_is_received_after_leaving(here: &Channels, there: &Channels) {
    let mut mailbox = open(there).await;
    join(there, "exam.leave", &mailbox).await;
    let group = there
        .group::<LayerNote>("exam.leave")
        .expect("a valid name");

    group.discard(mailbox.name()).await.expect("left");
    group.discard(mailbox.name()).await.expect("left twice");
    send(here, "exam.leave", 1).await;
    there
        .send(mailbox.name(), &LayerNote::new(2))
        .await
        .expect("sent");

    assert_eq!(
        receive(&mut mailbox).await.number,
        2,
        "it has left the group"
    );
}

async fn a_dropped_mailbox_leaves_its_groups(here: &Channels, there: &Channels) {
    let gone = open(there).await;
    join(there, "exam.drop", &gone).await;
    let name = gone.name().clone();
    drop(gone);

    let mut mailbox = open(there).await;
    join(there, "exam.drop", &mailbox).await;
    send(here, "exam.drop", 3).await;
    here.send(&name, &LayerNote::new(4))
        .await
        .expect("no error");

    assert_eq!(receive(&mut mailbox).await.number, 3, "joining again works");
}

async fn members_that_join_at_once_all_receive(here: &Channels, there: &Channels) {
    let (mut one, mut two) = (open(here).await, open(here).await);

    tokio::join!(
        join_and_receive(here, there, &mut one, 1),
        join_and_receive(here, there, &mut two, 2)
    );
}

async fn join_and_receive(here: &Channels, there: &Channels, mailbox: &mut Mailbox, number: u32) {
    join(here, "exam.together", mailbox).await;
    send(there, "exam.together", number).await;

    let arriving = async { while receive(mailbox).await.number != number {} };
    let arrived = timeout(PATIENCE / 2, arriving).await;
    arrived.expect("a member receives from its `group_add` on, also if another is subscribing");
}

/// How often a group is left by its last member while another joins.
const TURNS: u32 = 50;

async fn a_group_that_is_left_while_it_is_joined_still_receives(here: &Channels, there: &Channels) {
    let mut last = open(here).await;
    join(here, "exam.turns", &last).await;
    for number in 0..TURNS {
        let mut next = open(here).await;

        // On another thread: the layer may hear of the empty group after the next member. On every
        // second turn the last member is about to leave when the next one joins.
        let (begin, begun) = oneshot::channel();
        let leaving = spawn_blocking(move || {
            _ = begin.send(());
            drop(last);
        });
        if number % 2 == 0 {
            begun
                .await
                .expect("it is sent before the mailbox is dropped");
        }
        join(here, "exam.turns", &next).await;
        leaving.await.expect("a mailbox can be dropped");

        send(there, "exam.turns", number).await;
        let received = timeout(PATIENCE / 2, receive(&mut next)).await;
        let received =
            received.expect("a member that joins while the last one leaves receives events");
        assert_eq!(received.number, number);
        last = next;
    }
}

async fn a_full_mailbox_never_stops_the_sender(here: &Channels) {
    let (slow, mut quick) = (open(here).await, open(here).await);
    join(here, "exam.full", &slow).await;
    join(here, "exam.full", &quick).await;

    for number in 0..LARGEST_CAPACITY {
        if slow.dropped() > 0 {
            return;
        }
        send(here, "exam.full", number).await;
        assert_eq!(
            receive(&mut quick).await.number,
            number,
            "other members receive every event"
        );
    }
    panic!("a mailbox holds {LARGEST_CAPACITY} events and drops none: it is not bounded");
}

async fn the_owner_of_a_full_mailbox_gets_a_notice(here: &Channels) {
    let mut slow = open(here).await;
    join(here, "exam.missed", &slow).await;
    let mut number = 0;
    while slow.dropped() == 0 {
        assert!(
            number < LARGEST_CAPACITY,
            "a mailbox holds {LARGEST_CAPACITY} events and drops none: it is not bounded"
        );
        send(here, "exam.missed", number).await;
        number += 1;
    }

    // The last events may still be in transit.
    let mut counted = 0;
    let mut is_told = false;
    while counted < u64::from(number) {
        match soon("all events, received or counted", slow.receive()).await {
            Ok(_) => counted += 1,
            Err(Missed::Overflowed { events }) => {
                counted += events;
                is_told = true;
            }
            Err(missed) => panic!("it was notified of another reason: {missed}"),
        }
    }
    assert!(is_told, "the owner of a full mailbox is notified");
    assert_eq!(
        counted,
        u64::from(number),
        "each event was received, or counted as dropped"
    );
}

async fn sending_to_a_group_without_members_is_no_error(here: &Channels) {
    send(here, "exam.nobody", 1).await;
    let nobody = ChannelName::new("exam.nobody!0").expect("a valid name");
    let sent = here.send(&nobody, &LayerNote::new(1)).await;
    sent.expect("a missing channel drops the event without an error");
}

async fn members_of_one_group_receive_nothing_of_another(here: &Channels, there: &Channels) {
    let mut mailbox = open(there).await;
    join(there, "exam.mine", &mailbox).await;

    send(here, "exam.yours", 1).await;
    send(here, "exam.mine", 2).await;

    assert_eq!(receive(&mut mailbox).await.number, 2);
}

async fn members_are_counted_per_process(here: &Channels) {
    let group = here.group::<LayerNote>("exam.count").expect("a valid name");
    let members = || here.local_members(&group).expect("a valid name");
    assert_eq!(members(), 0);
    let one = open(here).await;
    join(here, "exam.count", &one).await;
    assert_eq!(members(), 1, "joined");
    drop(one);
    assert_eq!(members(), 0, "left");
}

async fn only_own_channels_can_be_added_to_a_group(here: &Channels, there: &Channels) {
    let mailbox = open(there).await;
    let nobody = ChannelName::new("exam.nobody!0").expect("a valid name");
    let group = here
        .group::<LayerNote>("exam.foreign")
        .expect("a valid name");

    let error = group.add(&nobody).await.expect_err("it does not exist");
    assert_eq!(error.kind(), ErrorKind::Layer);
    let group = there
        .group::<LayerNote>("exam.foreign")
        .expect("a valid name");
    group.add(mailbox.name()).await.expect("it is its own");
}

async fn a_job_waits_and_is_taken_once(here: &Channels, there: &Channels) {
    let queue = queue("exam.jobs");
    for number in 0..10 {
        here.send(&queue, &LayerNote::new(number))
            .await
            .expect("queued");
    }

    for number in 0..10 {
        assert_eq!(
            take(there, &queue).await,
            Some(number),
            "jobs leave in order"
        );
    }
    assert_eq!(take(here, &queue).await, None, "each job is taken once");
}

async fn a_worker_may_wait_without_limit(here: &Channels, there: &Channels) {
    let queue = queue("exam.patience");
    let sent = here.send(&queue, &LayerNote::new(7)).await;
    sent.expect("queued");

    let taken = take_within(there, &queue, Duration::MAX).await;

    assert_eq!(taken, Some(7), "the longest wait is no error");
}

async fn two_workers_share_the_jobs(here: &Channels, there: &Channels) {
    let queue = queue("exam.shared");
    let work = async |channels: &Channels| {
        let mut taken = Vec::new();
        while let Some(number) = take(channels, &queue).await {
            taken.push(number);
        }
        taken
    };
    let send = async {
        for number in 0..50 {
            there
                .send(&queue, &LayerNote::new(number))
                .await
                .expect("queued");
        }
    };

    let (one, two, ()) = tokio::join!(work(here), work(there), send);

    let mut all = [one, two].concat();
    all.sort_unstable();
    let sent: Vec<_> = (0..50).collect();
    assert_eq!(all, sent, "each job is taken by exactly one worker");
}

async fn a_full_worker_queue_refuses_the_job(here: &Channels, there: &Channels) {
    let queue = queue("exam.bound");
    let mut accepted = 0;
    let refused = loop {
        assert!(accepted < LARGEST_CAPACITY, "it is not bounded");
        match here.send(&queue, &LayerNote::new(accepted)).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(
        refused.kind(),
        ErrorKind::ChannelFull,
        "the sender gets an error"
    );

    for number in 0..accepted {
        assert_eq!(
            take(there, &queue).await,
            Some(number),
            "accepted jobs remain"
        );
    }
    let sent = here.send(&queue, &LayerNote::new(accepted)).await;
    sent.expect("an empty queue accepts jobs again");
    assert_eq!(take(there, &queue).await, Some(accepted));
}

async fn a_consumers_channel_is_no_worker_queue(here: &Channels) {
    let mailbox = open(here).await;
    let received = here.layer().receive(mailbox.name(), Duration::ZERO).await;
    let error = received.expect_err("jobs are received from worker queues only");
    assert_eq!(error.kind(), ErrorKind::Name);
}

fn queue(name: &str) -> ChannelName {
    ChannelName::new(name).expect("a valid name")
}

/// Takes a job, or waits a second for one.
async fn take(channels: &Channels, queue: &ChannelName) -> Option<u32> {
    take_within(channels, queue, Duration::from_secs(1)).await
}

async fn take_within(channels: &Channels, queue: &ChannelName, wait: Duration) -> Option<u32> {
    let receiving = channels.layer().receive(queue, wait);
    let received = soon("a job", receiving).await.expect("the layer works");
    let note = received?
        .decode::<LayerNote>()
        .expect("it is what was sent");
    assert_eq!(*note, LayerNote::new(note.number), "as it was sent");
    Some(note.number)
}

async fn open(channels: &Channels) -> Mailbox {
    soon("a mailbox", channels.open()).await.expect("opened")
}

async fn join(channels: &Channels, group: &str, mailbox: &Mailbox) {
    let group = channels.group::<LayerNote>(group).expect("a valid name");
    let joined = soon("a membership", group.add(mailbox.name())).await;
    joined.expect("joined");
}

async fn send(channels: &Channels, group: &str, number: u32) {
    let group = channels.group::<LayerNote>(group).expect("a valid name");
    let sent = soon("a send", group.send(&LayerNote::new(number))).await;
    sent.expect("sent");
    // On a current-thread runtime the tasks of the layer run only now.
    yield_now().await;
}

async fn receive(mailbox: &mut Mailbox) -> LayerNote {
    let received = soon("an event", mailbox.receive()).await;
    let envelope: Envelope = received.expect("nothing was missed");
    let note = envelope.decode::<LayerNote>().expect("it is what was sent");
    LayerNote {
        number: note.number,
        bytes: note.bytes.clone(),
    }
}

/// Bytes in MessagePack's binary format, which a faulty transport may corrupt.
mod serde_bytes_vec {
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        struct BytesVisitor;
        impl de::Visitor<'_> for BytesVisitor {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        from.deserialize_bytes(BytesVisitor)
    }
}
