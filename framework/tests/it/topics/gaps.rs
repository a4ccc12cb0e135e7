//! Gaps on open connections.

use super::{
    lossy::{Fate, Lossy},
    lot, open, place, placed, recovered,
};
use seaway::{Channels, TopicEvent};
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};

#[tokio::test(start_paused = true)]
async fn a_gap_on_an_open_connection_is_read_from_the_history() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut client = open(&channels, "/").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);
    let mut expected = VecDeque::new();
    for (fates, events) in [
        (vec![], 1),
        (vec![Fate::Lost], 2),
        (vec![Fate::Lost, Fate::Lost, Fate::Late], 5),
        (vec![Fate::Late, Fate::Late], 4),
    ] {
        layer.next(fates);
        for _ in 0..events {
            let position = place(&lot, 1).await;
            expected.push_back(placed(&position, 1));
        }
    }

    for event in expected {
        assert_eq!(
            client.receive_json::<Value>().await,
            event,
            "each once, in order"
        );
    }
    client.receive_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_in_an_interruption_is_read_without_a_further_event() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut client = open(&channels, "/").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);

    layer.next([Fate::Lost]);
    let position = place(&lot, 1).await;
    layer.local.interrupted(Duration::from_secs(2));

    assert_eq!(client.receive_text().await, "missed");
    assert_eq!(client.receive_json::<Value>().await, placed(&position, 1));
    client.receive_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_gap_is_reported_in_order() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut client = open(&channels, "/").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);
    let first = place(&lot, 1).await;

    layer.next([Fate::Lost]);
    layer.faults.lock().unwrap().failures = 1;
    place(&lot, 2).await;
    let third = place(&lot, 3).await;
    let fourth = place(&lot, 4).await;

    assert_eq!(client.receive_json::<Value>().await, placed(&first, 1));
    let gap: Value = client.receive_json().await;
    assert_eq!(gap, recovered("lot.7", &first, false));
    assert_eq!(client.receive_json::<Value>().await, placed(&third, 3));
    assert_eq!(client.receive_json::<Value>().await, placed(&fourth, 4));
}

#[tokio::test(start_paused = true)]
async fn events_that_were_read_are_not_received_again_after_a_reading_that_fails() {
    let layer = Lossy::default();
    let channels = Channels::new(layer.clone());
    let lot = lot(&channels);
    let mut listener = lot.listen(None).await.unwrap();
    listener.next().await.unwrap();
    let interrupt = || layer.local.interrupted(Duration::from_secs(2));
    // Two interruptions, between events that wait.
    interrupt();
    place(&lot, 1).await;
    interrupt();
    place(&lot, 2).await;
    place(&lot, 3).await;

    listener.next().await.unwrap_err();
    for offset in 1..=3 {
        let read = listener.next().await.unwrap();
        assert_eq!(read.position().offset(), offset);
    }
    // The history is read from the layer again.
    interrupt();
    layer.faults.lock().unwrap().failures = 1;
    listener.next().await.unwrap_err();
    let gap = listener.next().await.unwrap();
    assert!(matches!(&*gap, TopicEvent::Recovered { all: false, .. }));
    assert_eq!(gap.position().offset(), 3);

    listener.next().await.unwrap_err();
    let next = place(&lot, 4).await;
    assert_eq!(listener.next().await.unwrap().position(), &next);
}
