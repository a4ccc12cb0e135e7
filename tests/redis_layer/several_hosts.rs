//! Tests of several independent hosts of which one has a fault.

use super::said::{Said, member, next_text, said};
use futures_util::FutureExt;
use seaway::{
    Channels, ErrorKind, Group,
    channels::{Mailbox, redis::RedisConfig},
};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use std::{mem, time::Duration};

#[tokio::test]
async fn a_gap_on_one_of_two_hosts_concerns_its_channels_and_groups_only() {
    let hosts = [Redis::new().await, Redis::new().await];
    let config = RedisConfig::new(hosts[0].url()).host(hosts[1].url());
    let channels = Channels::redis(config).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..32 {
        all.push(channels.open().await.unwrap());
    }

    let (on_first, mut on_second) = notified_by(&hosts[0], all).await;

    assert!(!on_first.is_empty() && on_second.len() >= 2);
    let in_second = on_second.split_off(1);
    let [first, second] = [room_on(&hosts[0], &channels), room_on(&hosts[1], &channels)];
    let (first, second) = (first.await, second.await);
    first.add(on_second[0].name()).await.unwrap();
    for mailbox in &in_second {
        second.add(mailbox.name()).await.unwrap();
    }
    let joined_first = on_second[0].name().clone();
    on_second.extend(in_second);
    let (concerned, others) = notified_by(&hosts[0], on_second).await;

    assert_eq!(concerned.len(), 1);
    assert_eq!(*concerned[0].name(), joined_first);
    second.send(&said("on")).await.unwrap();
    for mut mailbox in others {
        assert_eq!(next_text(&mut mailbox).await, "on");
    }
}

/// Disconnects the subscriptions of a host; returns the mailboxes that are notified, and the others.
async fn notified_by(host: &Redis, mailboxes: Vec<Mailbox>) -> (Vec<Mailbox>, Vec<Mailbox>) {
    host.does(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    let (mut notified, mut others) = (Vec::new(), mailboxes);
    until("a notice", DEADLINE, async || {
        for mut mailbox in mem::take(&mut others) {
            match mailbox.receive().now_or_never() {
                Some(notice) => {
                    assert!(notice.is_err(), "nothing was sent");
                    notified.push(mailbox);
                }
                None => others.push(mailbox),
            }
        }
        (!notified.is_empty()).then_some(())
    })
    .await;
    (notified, others)
}

/// Returns a group that belongs to this host.
async fn room_on(host: &Redis, channels: &Channels) -> Group<Said> {
    let mailbox = channels.open().await.unwrap();
    for number in 0..100 {
        let room = channels.group::<Said>(format!("room-{number}")).unwrap();
        room.add(mailbox.name()).await.unwrap();
        let channel = format!("asgi__group__{}", room.name());
        let subscribed = host.does(&["PUBSUB", "NUMSUB", &channel]).await;
        if subscribed.ends_with("\r\n:1\r\n") {
            return room;
        }
    }
    panic!("no group of 100 is on this host");
}

#[tokio::test]
async fn a_host_that_does_not_respond_delays_no_member_whose_queue_is_on_another() {
    let hosts = [Redis::new().await, Redis::new().await];
    let connect = async || {
        let config = RedisConfig::new(hosts[0].url()).host(hosts[1].url());
        Channels::redis(config.queue()).await.unwrap()
    };
    // Processes with queues on both hosts; the group is on the second.
    let (mut first, mut second) = (None, None);
    while first.is_none() || second.is_none() {
        let channels = connect().await;
        let (mailbox, room) = member(&channels, "room-1").await;
        let (queue, _) = mailbox.name().as_str().split_once('!').expect("a process");
        let hash = crc32fast::hash(format!("{queue}!").as_bytes()) & 0xfff;
        let place = if hash < 0x800 {
            &mut first
        } else {
            &mut second
        };
        *place = Some((channels, mailbox, room));
    }
    let (_channels, mut live, room) = second.expect("one was found");

    hosts[0].freeze();
    let sending = tokio::spawn(async move { room.send(&said("now")).await });

    assert_eq!(next_text(&mut live).await, "now");
    assert!(!sending.is_finished(), "the other host does not respond");
    hosts[0].thaw();
    sending.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_send_is_unconfirmed_if_one_host_is_down_and_another_does_not_reply() {
    let mut hosts = [Redis::new().await, Redis::new().await, Redis::new().await];
    let urls = hosts.each_ref().map(Redis::url);
    let connect = async || {
        let config = RedisConfig::new(&urls[0]).host(&urls[1]).host(&urls[2]);
        let config = config.send_timeout(Duration::from_millis(500));
        Channels::redis(config.queue()).await.unwrap()
    };
    // The group is on the second; the queues are on the first and on the third.
    let mut members = [None, None, None];
    while members[0].is_none() || members[2].is_none() {
        let channels = connect().await;
        let (mailbox, room) = member(&channels, "room-1").await;
        let host = host_of_queue(&mailbox, 3);
        members[host] = Some((channels, mailbox, room));
    }
    members[1] = None;
    let (_, _, room) = members[0].as_ref().expect("one was found");

    hosts[0].stop();
    hosts[2].freeze();
    let error = room.send(&said("now")).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Unconfirmed, "{error:#}");
}

/// Returns the number of the host on which a process has its queue.
fn host_of_queue(mailbox: &Mailbox, hosts: usize) -> usize {
    let (process, _) = mailbox.name().as_str().split_once('!').expect("a process");
    let hash = crc32fast::hash(format!("{process}!").as_bytes()) as usize & 0xfff;
    hash * hosts / 0x1000
}
