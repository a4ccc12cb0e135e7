//! The conformance suite of channel layers that store topics.

use super::soon;
use crate::{
    channels::{Channels, Event, GroupEvents, Position, Shared, Topic, TopicEvent},
    error::ErrorKind,
    name::ChannelName,
};
use serde::{Deserialize, Serialize};
use std::{collections::HashSet, future::Future, time::Duration};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "exam.note")]
struct TopicNote {
    number: u64,
}

impl Event for TopicNote {}

/// The events of one topic.
type Notes = GroupEvents<TopicEvent<TopicNote>>;

/// Checks that a channel layer conforms to the rules of topics.
///
/// `connect` is called once per simulated process. For a layer without a transport, return clones
/// of one handle.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{Channels, testing::topics};
///
/// let channels = Channels::in_memory();
/// topics::conforms(async || channels.clone()).await;
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
    one_order_for_all_processes(&here, &there).await;
    what_was_missed_comes_first(&here, &there).await;
    the_window_has_its_exact_size(&here, &there).await;
    old_events_are_forgotten(&here, &there).await;
    a_foreign_place_is_a_gap(&here, &there).await;
    without_a_place_nothing_was_missed(&here, &there).await;
    an_event_with_a_key_is_stored_once(&here, &there).await;
    clients_that_come_and_go_miss_nothing(&here, &there).await;
    a_slow_receiver_gets_every_event_or_a_gap(&here, &there).await;
    members_of_the_group_receive_plain_events(&here, &there).await;
    events_that_are_sent_to_the_group_are_not_stored(&here, &there).await;
    after_leaving_nothing_is_received(&here, &there).await;
}

async fn one_order_for_all_processes(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "order"), topic(there, "order"));
    let mut listeners = [listen(&one, None).await, listen(&two, None).await];
    let publish = async |topic: &Topic<TopicNote>, numbers: std::ops::Range<u64>| {
        for number in numbers {
            send(topic, number).await;
        }
    };

    tokio::join!(publish(&one, 0..50), publish(&two, 50..100));

    let mut seen = Vec::new();
    for listener in &mut listeners {
        assert!(recovered(listener).await.0, "nothing was missed");
        let mut events = Vec::new();
        for _ in 0..100 {
            events.push(event(listener).await);
        }
        seen.push(events);
    }
    assert_eq!(seen[0], seen[1], "all processes have one order");
    let offsets: Vec<_> = seen[0].iter().map(|(sent, _)| sent.offset()).collect();
    let first = offsets[0];
    let expected: Vec<_> = (first..first + 100).collect();
    assert_eq!(offsets, expected, "the numbers follow each other");
}

async fn what_was_missed_comes_first(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "missed"), topic(there, "missed"));
    let sent = send(&one, 1).await;
    for number in 2..=5 {
        send(&two, number).await;
    }

    let mut listener = listen(&two, Some(sent)).await;
    send(&one, 6).await;

    assert_eq!(numbers(&mut listener, 4).await, [2, 3, 4, 5], "in order");
    let (all, at) = recovered(&mut listener).await;
    assert!(all, "then the end of the resume");
    let (next, note) = event(&mut listener).await;
    assert_eq!(note, 6, "then live events");
    assert_eq!(next.offset(), at.offset() + 1, "which follow the position");
    assert_eq!(next.epoch(), at.epoch());
}

async fn the_window_has_its_exact_size(here: &Channels, there: &Channels) {
    let sized = |channels| topic(channels, "window").history_size(5);
    let (one, two) = (sized(here), sized(there));
    let mut positions = Vec::new();
    for number in 0..20 {
        positions.push(send(&one, number).await);
    }

    for resumed in [&one, &two] {
        let mut listener = listen(resumed, Some(positions[14].clone())).await;
        assert_eq!(numbers(&mut listener, 5).await, [15, 16, 17, 18, 19]);
        assert!(recovered(&mut listener).await.0, "all five are stored");

        let mut listener = listen(resumed, Some(positions[13].clone())).await;
        let (all, at) = recovered(&mut listener).await;
        assert!(!all, "six are not: a gap, and none of the old events");
        assert_eq!(at, positions[19], "live events follow this position");
    }
    let mut listener = listen(&two, Some(positions[13].clone())).await;
    assert!(!recovered(&mut listener).await.0);
    send(&one, 20).await;
    assert_eq!(
        numbers(&mut listener, 1).await,
        [20],
        "live events continue"
    );
}

async fn old_events_are_forgotten(here: &Channels, there: &Channels) {
    let aged = |channels| topic(channels, "age").history_age(Duration::from_secs(1));
    let (one, two) = (aged(here), aged(there));
    let sent = send(&one, 1).await;
    send(&one, 2).await;

    let expired = async {
        loop {
            let mut listener = listen(&two, Some(sent.clone())).await;
            if let TopicEvent::Recovered { all, .. } = &*next(&mut listener).await {
                assert!(!all, "an event is missing");
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("old events expire, which is a gap", expired).await;
}

async fn a_foreign_place_is_a_gap(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "foreign"), topic(there, "foreign"));
    let sent = send(&one, 1).await;
    let position = |offset, epoch: &str| Position::new(offset, epoch).expect("a valid epoch");
    for since in [
        position(sent.offset() + 1, sent.epoch()),
        position(u64::MAX, sent.epoch()),
        position(sent.offset(), "elsewhere"),
        position(0, "elsewhere"),
    ] {
        let mut listener = listen(&two, Some(since.clone())).await;

        let (all, at) = recovered(&mut listener).await;
        assert!(!all, "{since} is no position of this topic");
        assert_eq!(at, sent, "live events follow the current one");
    }
    let mut listener = listen(&two, Some(sent)).await;
    assert!(recovered(&mut listener).await.0, "this one is");
}

async fn without_a_place_nothing_was_missed(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "new"), topic(there, "new"));
    let mut first = listen(&one, None).await;
    let (all, start) = recovered(&mut first).await;
    assert!(all, "a topic that was never used has a position");
    drop(first);
    for number in 0..3 {
        send(&two, number).await;
    }

    let mut listener = listen(&one, Some(start)).await;

    assert_eq!(numbers(&mut listener, 3).await, [0, 1, 2]);
    assert!(recovered(&mut listener).await.0);
    let mut late = listen(&one, None).await;
    assert!(recovered(&mut late).await.0, "old events were not missed");
    send(&two, 3).await;
    assert_eq!(numbers(&mut late, 1).await, [3]);
}

async fn an_event_with_a_key_is_stored_once(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "once"), topic(there, "once"));
    let mut listener = listen(&two, None).await;
    let listening = there.listen::<TopicNote>(two.name().as_str());
    let mut plain = soon("a membership", listening).await.expect("joined");
    let once = async |topic: &Topic<TopicNote>, key: &str, number| {
        let note = TopicNote { number };
        let sent = soon("a send", topic.send_once(key, &note)).await;
        sent.expect("sent")
    };

    // Keys of an earlier run may still be stored.
    let (a, b) = (
        format!("a {}", fastrand::u64(..)),
        format!("b {}", fastrand::u64(..)),
    );
    let sent = once(&one, &a, 1).await;
    assert_eq!(once(&one, &a, 1).await, sent, "it has one position");
    assert_eq!(once(&two, &a, 1).await, sent, "from another process, too");
    assert_eq!(once(&one, &a, 3).await, sent, "with other contents, too");
    once(&two, &b, 2).await;

    assert!(recovered(&mut listener).await.0);
    assert_eq!(numbers(&mut listener, 2).await, [1, 2], "each once");
    for number in [1, 2] {
        let event = soon("an event", plain.next()).await;
        let event = event.expect("nothing was missed");
        assert_eq!(event.number, number, "members of the group, too");
    }
    for key in ["", &"k".repeat(201)] {
        let error = one.send_once(key, &TopicNote { number: 3 }).await;
        assert_eq!(error.expect_err("no key").kind(), ErrorKind::TooLarge);
    }
}

async fn clients_that_come_and_go_miss_nothing(here: &Channels, there: &Channels) {
    const EVENTS: u64 = 300;
    let (one, two) = (topic(here, "churn"), topic(there, "churn"));
    let follow = async |topic: &Topic<TopicNote>, stay: u64| {
        let mut sent = None;
        let mut received = Vec::new();
        while received.last() != Some(&(EVENTS - 1)) {
            let mut listener = listen(topic, sent.take()).await;
            for _ in 0..=stay {
                let next = next(&mut listener).await;
                sent = Some(next.position().clone());
                match &*next {
                    TopicEvent::Event { event, .. } => received.push(event.number),
                    TopicEvent::Recovered { all, .. } => assert!(all, "all is stored"),
                }
                if received.last() == Some(&(EVENTS - 1)) {
                    break;
                }
            }
        }
        received
    };
    let begin = listen(&one, None).await;
    let publish = async {
        for number in 0..EVENTS {
            send(if number % 3 == 0 { &one } else { &two }, number).await;
            tokio::task::yield_now().await;
        }
    };

    let (a, b, c, ()) = tokio::join!(follow(&one, 1), follow(&two, 7), follow(&two, 40), publish);

    drop(begin);
    for received in [a, b, c] {
        let first = received[0];
        let expected: Vec<_> = (first..EVENTS).collect();
        assert_eq!(received, expected, "each event once, in order");
    }
}

async fn a_slow_receiver_gets_every_event_or_a_gap(here: &Channels, there: &Channels) {
    let sized = |channels, size| topic(channels, "slow").history_size(size);
    let sender = sized(here, 5_000);
    for (size, is_whole) in [(5_000, true), (10, false)] {
        let slow = sized(there, size);
        let mut listener = listen(&slow, None).await;
        let mut last = 0;
        while listener.dropped() == 0 {
            last += 1;
            assert!(last < 4_000, "a mailbox is bounded");
            send(&sender, last).await;
        }
        for number in last + 1..=last + 20 {
            send(&sender, number).await;
        }

        assert!(recovered(&mut listener).await.0);
        let (mut received, mut gaps) = (Vec::new(), 0);
        while received.last() != Some(&(last + 20)) {
            // The notice comes as well, since events of other groups may have been dropped.
            let Ok(next) = soon("an event", listener.next()).await else {
                continue;
            };
            match &*next {
                TopicEvent::Event { event, .. } => received.push(event.number),
                TopicEvent::Recovered { all, .. } => {
                    assert!(!all, "only a gap is reported");
                    gaps += 1;
                    break;
                }
            }
        }
        match is_whole {
            true => {
                let expected: Vec<_> = (1..=last + 20).collect();
                assert_eq!(received, expected, "what was dropped is read");
                assert_eq!(gaps, 0);
            }
            false => {
                let expected: Vec<_> = (1..=received.len() as u64).collect();
                assert_eq!(received, expected, "complete up to the gap");
                assert_eq!(gaps, 1, "what is not stored is reported");
            }
        }
    }
}

async fn members_of_the_group_receive_plain_events(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "plain"), topic(there, "plain"));
    let listening = there.listen::<TopicNote>(two.name().as_str());
    let mut plain = soon("a membership", listening).await.expect("joined");

    send(&one, 7).await;

    let event = soon("an event", plain.next()).await;
    assert_eq!(event.expect("nothing was missed").number, 7);
}

async fn events_that_are_sent_to_the_group_are_not_stored(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "group"), topic(there, "group"));
    let first = send(&one, 1).await;
    let sent = two.group().send(&TopicNote { number: 2 }).await;
    sent.expect("sent");
    send(&two, 3).await;

    let mut listener = listen(&two, Some(first)).await;

    assert_eq!(numbers(&mut listener, 1).await, [3]);
    assert!(recovered(&mut listener).await.0);
}

async fn after_leaving_nothing_is_received(here: &Channels, there: &Channels) {
    let (one, two) = (topic(here, "leave"), topic(there, "leave"));
    let mut mailbox = soon("a mailbox", there.open()).await.expect("opened");
    soon("a resume", two.resume(mailbox.name(), None))
        .await
        .expect("resumed");
    soon("the end of the resume", mailbox.receive())
        .await
        .expect("nothing was missed");
    // What it has missed is to be received when it leaves.
    let first = send(&one, 7).await;
    send(&one, 8).await;
    soon("a resume", two.resume(mailbox.name(), Some(first)))
        .await
        .expect("resumed");

    let left = two.group().discard(mailbox.name()).await;
    left.expect("left");
    send(&one, 1).await;
    let sent = there.send(mailbox.name(), &TopicNote { number: 2 }).await;
    sent.expect("sent");

    let envelope = soon("an event", mailbox.receive()).await;
    let note = envelope.expect("nothing was missed").decode::<TopicNote>();
    assert_eq!(note.expect("a plain event").number, 2, "it has left");
    let nobody = ChannelName::new("exam.nobody!0").expect("a valid name");
    let error = two.resume(&nobody, None).await.expect_err("no channel");
    assert_eq!(error.kind(), ErrorKind::Layer);
}

fn topic(channels: &Channels, name: &str) -> Topic<TopicNote> {
    let name = format!("exam.topic.{name}");
    channels.topic(&name).expect("a valid name")
}

async fn listen(topic: &Topic<TopicNote>, since: Option<Position>) -> Notes {
    let listening = soon("a resume", topic.listen(since)).await;
    listening.expect("resumed")
}

async fn send(topic: &Topic<TopicNote>, number: u64) -> Position {
    let sent = soon("a send", topic.send(&TopicNote { number })).await;
    sent.expect("sent")
}

async fn next(listener: &mut Notes) -> Shared<TopicEvent<TopicNote>> {
    let next = soon("an event", listener.next()).await;
    next.expect("nothing was missed")
}

async fn event(listener: &mut Notes) -> (Position, u64) {
    match &*next(listener).await {
        TopicEvent::Event {
            position, event, ..
        } => (position.clone(), event.number),
        end => panic!("an event was expected, and not {end:?}"),
    }
}

async fn recovered(listener: &mut Notes) -> (bool, Position) {
    match &*next(listener).await {
        TopicEvent::Recovered { all, position, .. } => (*all, position.clone()),
        event => panic!("the end of the resume was expected, and not {event:?}"),
    }
}

async fn numbers(listener: &mut Notes, count: usize) -> Vec<u64> {
    let mut positions = HashSet::new();
    let mut numbers = Vec::new();
    for _ in 0..count {
        let (sent, number) = event(listener).await;
        assert!(positions.insert(sent), "each position has one event");
        numbers.push(number);
    }
    numbers
}
