//! What topics in memory drop, and when.

use super::{LotEvent, lot, place};
use bytes::Bytes;
use seaway::{Channels, Topic};
use std::time::Duration;
use tokio::time::advance;

const MINUTE: Duration = Duration::from_secs(60);

/// The bytes of an event that a topic has stored.
struct Stored(Bytes);

impl Stored {
    async fn by(lot: &Topic<LotEvent>, channels: &Channels) -> Self {
        let mut member = channels.open().await.unwrap();
        lot.group().add(member.name()).await.unwrap();
        place(lot, 1).await;
        // Members receive the bytes that are stored.
        Self(member.receive().await.unwrap().as_bytes().clone())
    }

    fn is_still(&self) -> bool {
        !self.0.is_unique()
    }
}

#[tokio::test(start_paused = true)]
async fn expired_events_of_an_idle_topic_are_dropped_if_another_topic_is_used() {
    let channels = Channels::in_memory();
    let idle = channels.topic::<LotEvent>("lot.8").unwrap();
    let idle = idle.history_age(10 * MINUTE);
    let stored = Stored::by(&idle, &channels).await;

    advance(9 * MINUTE).await;
    place(&lot(&channels), 1).await;
    assert!(stored.is_still());

    advance(2 * MINUTE).await;
    place(&lot(&channels), 1).await;
    assert!(!stored.is_still());
}

#[tokio::test(start_paused = true)]
async fn expired_events_of_a_topic_that_is_only_resumed_are_dropped() {
    let channels = Channels::in_memory();
    let lot = lot(&channels).history_age(10 * MINUTE);
    let stored = Stored::by(&lot, &channels).await;

    for _ in 0..11 {
        assert!(stored.is_still());
        advance(MINUTE).await;
        drop(lot.listen(None).await.unwrap());
    }

    assert!(!stored.is_still());
}

#[tokio::test(start_paused = true)]
async fn expired_events_of_many_topics_are_dropped_by_several_calls() {
    let channels = Channels::in_memory();
    let mut stored = Vec::new();
    for number in 100..200 {
        let idle = channels.topic(format!("lot.{number}")).unwrap();
        stored.push(Stored::by(&idle, &channels).await);
    }
    advance(61 * MINUTE).await;

    let other = lot(&channels);
    place(&other, 1).await;
    let left = stored.iter().filter(|event| event.is_still()).count();
    assert!(
        (1..100).contains(&left),
        "a call takes a short time: {left}"
    );

    for _ in 0..10 {
        place(&other, 1).await;
    }
    assert!(!stored.iter().any(Stored::is_still));
}

#[tokio::test(start_paused = true)]
async fn the_position_of_a_topic_expires_a_day_after_its_events() {
    let channels = Channels::in_memory();
    let idle = lot(&channels);
    let other = channels.topic::<LotEvent>("lot.8").unwrap();
    let first = place(&idle, 1).await;

    advance(24 * 60 * MINUTE).await;
    place(&other, 1).await;
    let second = place(&idle, 1).await;
    assert_eq!((second.offset(), second.epoch()), (2, first.epoch()));

    advance(26 * 60 * MINUTE).await;
    place(&other, 1).await;
    let anew = place(&idle, 1).await;
    assert_eq!(anew.offset(), 1);
    assert_ne!(anew.epoch(), first.epoch());
}

#[tokio::test(start_paused = true)]
async fn the_last_10000_keys_of_a_topic_are_stored_for_10_minutes() {
    let channels = Channels::in_memory();
    let lot = lot(&channels).history_size(1);
    let bid = async |key: u64| {
        let event = LotEvent::Placed { cents: key };
        lot.send_once(&key.to_string(), &event)
            .await
            .unwrap()
            .offset()
    };
    for key in 1..=10_001 {
        assert_eq!(bid(key).await, key);
    }

    assert_eq!(bid(2).await, 2);
    assert_eq!(bid(1).await, 10_002);
    advance(11 * MINUTE).await;
    assert_eq!(bid(10_001).await, 10_003);
}
