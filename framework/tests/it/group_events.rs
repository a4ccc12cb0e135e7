//! Tests of `Channels::listen`: the events of a group outside consumers.

use crate::support::eventually;
use futures_util::StreamExt;
use seaway::{
    Channels, Close, ErrorKind, Event, GroupName, Missed,
    channels::{Envelope, GroupEvents, InMemoryChannelLayer},
};
use std::{borrow::Cow, sync::Arc};

#[derive(Debug, PartialEq, Event)]
enum Price {
    Changed { cents: u64 },
}

#[derive(Event)]
enum Weather {
    Rain { millimetres: u64 },
}

async fn send(channels: &Channels, cents: u64) {
    let prices = channels.group::<Price>("prices").unwrap();
    prices.send(&Price::Changed { cents }).await.unwrap();
}

async fn cents(listener: &mut GroupEvents<Price>) -> u64 {
    let Price::Changed { cents } = &*listener.next().await.unwrap();
    *cents
}

#[tokio::test]
async fn a_listener_receives_the_events_of_its_group_in_order() {
    let channels = Channels::in_memory();
    let mut listener = channels.listen::<Price>("prices").await.unwrap();

    for number in 0..10 {
        send(&channels, number).await;
    }

    for number in 0..10 {
        assert_eq!(cents(&mut listener).await, number);
    }
}

#[tokio::test]
async fn a_listener_is_a_stream() {
    let channels = Channels::in_memory();
    let listener = channels.listen::<Price>("prices").await.unwrap();
    for number in 0..3 {
        send(&channels, number).await;
    }

    let events: Vec<_> = listener.take(3).collect().await;

    let last = events[2].as_ref().unwrap();
    assert_eq!(**last, Price::Changed { cents: 2 });
}

#[tokio::test]
async fn a_listener_skips_and_counts_events_of_other_types_and_bytes_that_are_none() {
    let channels = Channels::in_memory();
    let mut listener = channels.listen::<Price>("prices").await.unwrap();
    let group = GroupName::new("prices").unwrap();

    let foreign = channels.group::<Weather>("prices").unwrap();
    foreign
        .send(&Weather::Rain { millimetres: 7 })
        .await
        .unwrap();
    let bytes = Envelope::from_bytes("not MessagePack");
    channels.layer().group_send(&group, bytes).await.unwrap();
    send(&channels, 995).await;

    assert_eq!(cents(&mut listener).await, 995);
    assert_eq!(listener.skipped(), 2);
    assert_eq!(channels.undecodable(), 2);
}

#[tokio::test]
async fn a_slow_reader_gets_the_number_of_dropped_events_and_continues() {
    let channels = Channels::new(InMemoryChannelLayer::with_mailbox_capacity(2));
    let mut listener = channels.listen::<Price>("prices").await.unwrap();

    for number in 0..5 {
        send(&channels, number).await;
    }

    assert_eq!(cents(&mut listener).await, 0);
    assert_eq!(cents(&mut listener).await, 1);
    let missed = listener.next().await.unwrap_err();
    assert_eq!(missed, Missed::Overflowed { events: 3 });
    assert_eq!((listener.dropped(), channels.missed()), (3, 1));
    send(&channels, 5).await;
    assert_eq!(cents(&mut listener).await, 5);
}

#[tokio::test]
async fn a_dropped_listener_leaves_its_group() {
    let channels = Channels::in_memory();
    let listener = channels.listen::<Price>("prices").await.unwrap();
    let task = tokio::spawn(listener.for_each(|_| async {}));
    let group = GroupName::new("prices").unwrap();
    assert_eq!(channels.local_members(&group).unwrap(), 1);

    task.abort();

    eventually(|| (channels.local_members(&group).unwrap() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_request_to_disconnect_the_group_does_not_concern_a_listener() {
    let channels = Channels::in_memory();
    let mut listener = channels.listen::<Price>("prices").await.unwrap();
    let group = channels.group::<Price>("prices").unwrap();

    group.disconnect(Close::new(4000, "closed")).await.unwrap();
    send(&channels, 995).await;

    assert_eq!(cents(&mut listener).await, 995);
    assert_eq!(listener.skipped(), 0);
}

#[tokio::test]
async fn a_text_a_name_and_every_handle_name_a_group() {
    let channels = Channels::in_memory();
    let name = GroupName::new("prices").unwrap();
    let group = channels.group::<Price>(&name).unwrap();
    let topic = channels.topic::<Price>(&group).unwrap();
    let presence = channels.presence::<()>(&topic).unwrap();
    let text = String::from("prices");

    for named in [
        channels.group::<Price>(&presence),
        channels.group(&text),
        channels.group(text.as_str()),
        channels.group(["prices"].iter().next().unwrap()),
        channels.group(Cow::from("prices")),
        channels.group(Arc::<str>::from("prices")),
        channels.group(text),
        channels.group(group.name()),
        channels.group(name.clone()),
    ] {
        assert_eq!(*named.unwrap().name(), name);
    }
    let invalid = channels.members(String::from("no group")).await;
    assert_eq!(invalid.unwrap_err().kind(), ErrorKind::Name);
}
