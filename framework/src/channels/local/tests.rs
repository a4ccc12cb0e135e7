//! Tests of delivery inside this process.

use super::*;
use futures_util::FutureExt;
use std::sync::Mutex;

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

#[test]
fn a_dropped_mailbox_leaves_its_groups_and_empty_groups_are_reported() {
    let emptied = Arc::new(Mutex::new(Vec::new()));
    let log = emptied.clone();
    let local = LocalChannels::new(8, move |group| {
        log.lock().unwrap().push(group.to_string());
    });
    let (one, two) = (local.open("a").unwrap(), local.open("a").unwrap());
    assert_eq!(
        local.join(&group("x"), one.name()).unwrap(),
        Membership::First
    );
    assert_eq!(
        local.join(&group("x"), two.name()).unwrap(),
        Membership::Further
    );
    local.join(&group("y"), two.name()).unwrap();

    drop(one);
    assert_eq!(local.members(&group("x")), 1);
    assert!(emptied.lock().unwrap().is_empty());
    drop(two);

    assert_eq!(local.members(&group("x")), 0);
    assert_eq!(local.groups(), []);
    let mut log = emptied.lock().unwrap().clone();
    log.sort();
    assert_eq!(log, ["x", "y"]);
}

/// The groups and channels whose names contain a `1`, on one of several servers.
struct One;

impl LostPart for One {
    fn has_group(&self, group: &GroupName) -> bool {
        group.as_str().contains('1')
    }

    fn has_channel(&self, channel: &ChannelName) -> bool {
        channel.as_str().contains('1')
    }

    fn misses_from_start(&self) -> bool {
        true
    }
}

#[test]
fn an_interruption_concerns_the_channels_and_groups_of_its_part() {
    let local = LocalChannels::default();
    let open = |name: &str, joined: &str| {
        let mailbox = local.open(name).unwrap();
        local.join(&group(joined), mailbox.name()).unwrap();
        mailbox
    };
    // The name of the second channel ends in `!1`.
    let mut early = [
        open("host2", "room2"),
        open("host2", "room2"),
        open("host1", "room2"),
        open("host2", "room1"),
    ];
    let opened = local.opened();
    let mut late = [open("host1", "room2"), open("host2", "room1")];

    local.interrupted_before(opened, Duration::from_secs(2), &One);

    let is_notified = |mailbox: &mut Mailbox| mailbox.receive().now_or_never().is_some();
    assert_eq!(early.each_mut().map(is_notified), [false, true, true, true]);
    assert_eq!(late.each_mut().map(is_notified), [true, false]);
}

#[test]
fn a_full_mailbox_never_stops_the_sender() {
    let local = LocalChannels::new(2, |_| {});
    let (slow, name) = (local.open("slow").unwrap(), group("room"));
    local.join(&name, slow.name()).unwrap();

    for _ in 0..5 {
        local.deliver_group(&name, &Envelope::from_bytes("x"));
    }

    assert_eq!(local.dropped(), 3);
    assert_eq!(slow.dropped(), 3);
}

#[test]
fn a_channel_of_another_process_cannot_join() {
    let local = LocalChannels::default();
    let elsewhere = ChannelName::new("other!1").unwrap();

    let error = local.join(&group("room"), &elsewhere).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Layer);
    assert_eq!(local.members(&group("room")), 0);
}
