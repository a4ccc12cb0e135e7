//! Tests of mailboxes.

use super::*;
use crate::{
    channels::{LocalChannels, Position},
    message::Close,
};
use std::{
    sync::{Barrier, atomic::AtomicUsize},
    task::Wake,
};
use tokio::sync::Notify;

/// A waker that counts.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn at(offset: u64) -> Position {
    Position::new(offset, "k3x9").unwrap()
}

fn topic() -> GroupName {
    GroupName::new("lot.7").unwrap()
}

fn event(offset: u64) -> Envelope {
    let event = Envelope::from_bytes(&b"\x81\xa4type\xa3bid"[..]).at(&at(offset));
    event.record_group(&topic());
    event
}

/// Returns the events of the topic since this position, up to another one.
fn recovery(since: u64, until: u64) -> Recovery {
    let events = (since + 1..=until).map(|offset| event(offset).in_topic(&topic()));
    Recovery {
        position: at(until),
        events: events.collect(),
        all: true,
    }
}

/// Returns a history that ends with number 3, and is read once `asked` is notified.
fn history(asked: &Arc<Notify>) -> ReadFrom {
    let asked = asked.clone();
    ReadFrom::new::<()>(move |since, _| {
        let asked = asked.clone();
        Box::pin(async move {
            asked.notified().await;
            Ok(recovery(since.offset(), 3))
        })
    })
}

fn mailbox() -> Mailbox {
    LocalChannels::new(8, |_| {}).open("one").unwrap()
}

fn poll(mailbox: &mut Mailbox) -> Option<Received> {
    let cx = &mut Context::from_waker(Waker::noop());
    match mailbox.poll_receive(cx) {
        Poll::Ready(received) => Some(received),
        Poll::Pending => None,
    }
}

fn takes_envelope(mailbox: &mut Mailbox) -> bool {
    poll(mailbox).is_some_and(|received| received.is_ok())
}

#[test]
fn encoded_bytes_fill_a_mailbox_as_envelopes_do() {
    let mut mailbox = mailbox();
    let slot = mailbox.slot.clone();
    let deliver = |bytes: usize| slot.deliver(Envelope::from_bytes(vec![b'x'; bytes]));
    let taken = |depth, is_nearly_full| DeliveryOutcome::Taken {
        depth,
        is_nearly_full,
    };

    assert_eq!(deliver(MAILBOX_BYTES / 2), taken(1, false));
    assert_eq!(deliver(1), taken(2, true));
    assert_eq!(deliver(MAILBOX_BYTES / 4 - 1), taken(3, false));
    assert_eq!(deliver(MAILBOX_BYTES / 4), taken(4, false));
    assert_eq!(deliver(1), DeliveryOutcome::Dropped);
    assert_eq!(mailbox.dropped(), 1);

    for is_under_pressure in [true, true, false] {
        assert!(takes_envelope(&mut mailbox));
        assert_eq!(slot.is_under_pressure(), is_under_pressure);
    }
    assert_eq!(deliver(3 * MAILBOX_BYTES / 4), taken(3, true));
}

#[test]
fn dropped_envelopes_are_noticed_behind_those_that_waited() {
    let mut mailbox = mailbox();
    for _ in 0..8 + 3 {
        mailbox.slot.deliver(Envelope::from_bytes("x"));
    }

    for _ in 0..8 {
        assert!(takes_envelope(&mut mailbox));
    }
    let notice = poll(&mut mailbox).map(|received| received.map(drop));
    assert_eq!(notice, Some(Err(Missed::Overflowed { events: 3 })));
    assert!(poll(&mut mailbox).is_none());
}

#[cfg(feature = "redis")]
#[test]
fn an_interruption_that_goes_on_is_noticed_once_until_its_notice_is_received() {
    let mut mailbox = mailbox();
    let slot = mailbox.slot.clone();
    let gap = Duration::from_secs(1);

    for _ in 0..2 {
        slot.miss_until_now(gap);
        slot.deliver(Envelope::from_bytes("x"));
        slot.miss_until_now(gap);

        let notice = poll(&mut mailbox).map(|received| received.map(drop));
        assert_eq!(notice, Some(Err(Missed::Interrupted { gap })));
        assert!(takes_envelope(&mut mailbox));
        assert!(poll(&mut mailbox).is_none());
    }
}

#[test]
fn the_watcher_receives_an_interruption_and_no_notice_of_dropped_envelopes() {
    let mailbox = mailbox();
    let cx = &mut Context::from_waker(Waker::noop());

    mailbox.slot.miss(Missed::Overflowed { events: 1 });
    assert!(mailbox.poll_signal(cx).is_pending());
    mailbox.slot.miss(Missed::Interrupted {
        gap: Duration::ZERO,
    });
    mailbox.slot.miss(Missed::Overflowed { events: 1 });
    let signal = mailbox.poll_signal(cx);

    assert!(matches!(signal, Poll::Ready(MailboxSignal::Interrupted)));
    assert!(mailbox.poll_signal(cx).is_pending());
}

#[test]
fn an_empty_mailbox_keeps_no_memory_of_its_peak_and_a_small_one_its_own() {
    let mut mailbox = LocalChannels::default().open("one").unwrap();
    let slot = mailbox.slot.clone();
    for (events, is_kept) in [(1, true), (100, false)] {
        for _ in 0..events {
            slot.deliver(Envelope::from_bytes("x"));
        }
        for _ in 0..events {
            assert!(takes_envelope(&mut mailbox), "{events}");
        }
        assert_eq!(slot.queue().waiting.capacity() > 0, is_kept, "{events}");
    }
}

#[test]
fn mailboxes_are_numbered_in_the_order_in_which_they_open() {
    let local = LocalChannels::default();
    let opened: Vec<_> = (0..3).map(|_| local.open("one").unwrap()).collect();

    let numbers: Vec<_> = opened.iter().map(|one| one.slot.number()).collect();

    assert_eq!(numbers, [0, 1, 2]);
}

#[cfg(feature = "redis")]
#[test]
fn topics_of_which_events_may_be_missing_are_read_again() {
    let mut mailbox = mailbox();
    let slot = mailbox.slot.clone();
    let (wakes, asked) = (Arc::new(Wakes::default()), Arc::new(Notify::new()));
    let waker = Waker::from(wakes.clone());
    let mut received = || {
        let cx = &mut Context::from_waker(&waker);
        let next = || match mailbox.poll_receive(cx) {
            Poll::Ready(received) => Some(received.is_ok()),
            Poll::Pending => None,
        };
        std::iter::from_fn(next).collect::<Vec<_>>()
    };
    slot.reread_topics();
    assert!(received().is_empty(), "there are none yet");
    slot.resume(&topic(), recovery(0, 1), history(&asked));
    assert_eq!(wakes.take(), 1);
    assert_eq!(received(), [true; 2], "an event, and the end of the resume");

    slot.reread_topics();
    assert_eq!(wakes.take(), 1);
    assert!(received().is_empty(), "the history has not answered");
    asked.notify_one();
    assert_eq!(wakes.take(), 1);
    assert_eq!(received(), [true; 2], "events 2 and 3");
    assert!(received().is_empty());

    slot.resume(&topic(), recovery(1, 1), history(&asked));
    slot.miss(Missed::Overflowed { events: 1 });
    asked.notify_one();
    assert_eq!(received(), [true, false, true, true]);
}

/// A mailbox whose owner has received everything, of a topic with `history` if there is one.
fn resumed(history: Option<ReadFrom>) -> Mailbox {
    let mut mailbox = mailbox();
    if let Some(history) = history {
        mailbox.slot.resume(&topic(), recovery(0, 0), history);
    }
    while poll(&mut mailbox).is_some() {}
    mailbox
}

#[test]
fn no_resume_or_request_to_read_again_is_lost_while_the_mailbox_is_polled() {
    const ROUNDS: usize = 2000;
    let one_more = ReadFrom::new::<()>(|since, _| {
        Box::pin(async move { Ok(recovery(since.offset(), since.offset() + 1)) })
    });
    let unanswered = || history(&Arc::default());
    let resume = |slot: &Slot| slot.resume(&topic(), recovery(0, 0), unanswered());
    type Open<'a> = &'a dyn Fn() -> Mailbox;
    type Act<'a> = &'a (dyn Fn(&Slot) + Sync);
    let open: [(&str, Open<'_>, Act<'_>); 4] = [
        ("the first resume", &|| resumed(None), &resume),
        ("a resume", &|| resumed(Some(unanswered())), &resume),
        (
            "a resume while history is read",
            &|| {
                let mailbox = resumed(Some(unanswered()));
                mailbox.slot.reread_topics();
                mailbox
            },
            &resume,
        ),
        (
            "a request to read again",
            &|| resumed(Some(one_more.clone())),
            &|slot| slot.reread_topics(),
        ),
    ];
    for (name, open, act) in open {
        for round in 0..ROUNDS {
            let mailbox = open();
            let (slot, wakes) = (mailbox.slot.clone(), Arc::new(Wakes::default()));
            let waker = Waker::from(wakes.clone());
            let is_empty = || {
                let cx = &mut Context::from_waker(&waker);
                mailbox.poll_event(cx).is_pending()
            };
            let started = Barrier::new(2);

            std::thread::scope(|scope| {
                scope.spawn(|| {
                    started.wait();
                    act(&slot);
                });
                started.wait();
                while !is_empty() {}
            });

            assert!(wakes.take() > 0 || is_empty(), "{name}, round {round}");
        }
    }
}

#[test]
fn a_topic_that_was_left_is_not_received_any_more() {
    let mut mailbox = mailbox();
    let slot = mailbox.slot.clone();
    slot.resume(&topic(), recovery(0, 1), history(&Arc::default()));
    assert!(takes_envelope(&mut mailbox));
    assert!(takes_envelope(&mut mailbox));
    slot.deliver(event(2));

    slot.leave(&topic());
    assert!(poll(&mut mailbox).is_none());

    // It has joined again, without a resume.
    slot.deliver(event(3));
    assert!(takes_envelope(&mut mailbox));
}

#[test]
fn what_arrives_wakes_the_task_that_waits_for_it() {
    let mailbox = mailbox();
    let slot = mailbox.slot.clone();
    let (reader, watcher) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    let wakers = [reader.clone(), watcher.clone()].map(Waker::from);
    let wait = || {
        while mailbox
            .poll_event(&mut Context::from_waker(&wakers[0]))
            .is_ready()
        {}
        let cx = &mut Context::from_waker(&wakers[1]);
        while mailbox.poll_signal(cx).is_ready() {}
    };
    let woken = || (reader.take(), watcher.take());
    wait();

    slot.deliver(Envelope::from_bytes("x"));
    assert_eq!(woken(), (1, 0));
    wait();
    slot.miss(Missed::Interrupted {
        gap: Duration::ZERO,
    });
    assert_eq!(woken(), (1, 1));
    wait();
    slot.deliver(Envelope::disconnect(Close::from(Close::NORMAL)).unwrap());
    assert_eq!(woken(), (1, 1));
}

#[test]
fn debug_output_names_the_channel() {
    let mailbox = mailbox();

    assert!(format!("{mailbox:?}").contains(mailbox.name().as_str()));
}
