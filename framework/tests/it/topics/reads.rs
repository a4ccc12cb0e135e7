//! How often a process reads a topic for its clients, and reads that fail.

use super::{
    lossy::{Fate, Lossy},
    lot, place,
};
use futures_util::poll;
use seaway::{Channels, ErrorKind, Position, TopicEvent};
use std::{pin::pin, time::Duration};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn clients_that_come_back_at_once_are_one_read() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let first = place(&lot, 0).await;
    for cents in 1..=20 {
        place(&lot, cents).await;
    }
    let channel = channels.open().await.unwrap();
    lot.group().add(channel.name()).await.unwrap();

    let resumes = (0..1_000).map(|_| lot.listen(Some(first.clone())));
    let mut listeners = futures_util::future::try_join_all(resumes).await.unwrap();
    let last = place(&lot, 21).await;

    assert_eq!(layer.faults.lock().unwrap().reads, 1);
    for listener in &mut listeners {
        for _ in 0..21 {
            listener.next().await.unwrap();
        }
        assert_eq!(listener.next().await.unwrap().position(), &last);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_with_unknown_positions_do_not_have_the_topic_read_again() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let first = place(&lot, 0).await;
    for cents in 1..=20 {
        place(&lot, cents).await;
    }
    let _member = lot.listen(None).await.unwrap();
    let _resumed = lot.listen(Some(first.clone())).await.unwrap();
    let events_read = || layer.faults.lock().unwrap().read;
    assert_eq!(events_read(), 21);

    for unknown in ["5:bad".to_owned(), format!("999:{}", first.epoch())] {
        let unknown: Position = unknown.parse().unwrap();
        for _ in 0..3 {
            // Later than the last query.
            tokio::time::advance(Duration::from_secs(1)).await;
            let before = layer.faults.lock().unwrap().reads;
            let all = (0..10).map(|_| lot.listen(Some(unknown.clone())));
            let listeners = futures_util::future::try_join_all(all).await.unwrap();

            for mut listener in listeners {
                let gap = listener.next().await.unwrap();
                assert!(matches!(&*gap, TopicEvent::Recovered { all: false, .. }));
                assert_eq!(gap.position().offset(), 21);
            }
            let reads = layer.faults.lock().unwrap().reads - before;
            assert_eq!(reads, 1, "{unknown}: one for all that ask at once");
        }
        let before = layer.faults.lock().unwrap().reads;
        let mut honest = lot.listen(Some(first.clone())).await.unwrap();
        assert_eq!(honest.next().await.unwrap().position().offset(), 2);
        assert_eq!(layer.faults.lock().unwrap().reads, before, "{unknown}");
    }
    assert_eq!(events_read(), 21, "only positions");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_or_is_dropped_lets_others_read() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    place(&lot, 1).await;
    layer.faults.lock().unwrap().failures = 1;

    let (one, two) = tokio::join!(lot.listen(None), lot.listen(None));

    assert_eq!(one.unwrap_err().kind(), ErrorKind::Layer);
    drop(two.unwrap());
}

/// A consumer is not polled for events while one of its hooks runs.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_not_polled_while_it_reads_a_topic_delays_nobody() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let first = place(&lot, 0).await;
    let mut slow = lot.listen(None).await.unwrap();
    assert!(matches!(
        &*slow.next().await.unwrap(),
        TopicEvent::Recovered { .. }
    ));
    layer.faults.lock().unwrap().delay = Duration::from_secs(1);
    layer.next([Fate::Lost]);
    place(&lot, 1).await;
    place(&lot, 2).await;
    assert!(
        poll!(pin!(slow.next())).is_pending(),
        "it reads what was lost"
    );

    let resumed = timeout(Duration::from_secs(2), lot.listen(Some(first))).await;

    let mut resumed = resumed.expect("the read goes on").unwrap();
    for listener in [&mut resumed, &mut slow] {
        for offset in [2, 3] {
            assert_eq!(listener.next().await.unwrap().position().offset(), offset);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_fails_leaves_the_membership_as_it_was() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mailbox = channels.open().await.unwrap();

    for is_member in [false, true] {
        if is_member {
            lot.group().add(mailbox.name()).await.unwrap();
        }
        layer.faults.lock().unwrap().failures = 1;
        lot.resume(mailbox.name(), None).await.unwrap_err();

        assert_eq!(layer.local.members(lot.name()), usize::from(is_member));
    }
}
