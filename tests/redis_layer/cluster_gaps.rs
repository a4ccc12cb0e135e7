//! Tests of gaps on a primary of a Cluster that holds the groups of a process, but not its queue.

use super::said::{Said, said};
use seaway::{
    Channels, Group,
    channels::{Mailbox, redis::RedisConfig},
};
use seaway_tests::support::{
    Cluster,
    wait::{DEADLINE, until},
};
use tokio::time::timeout;

/// A process that has a member of a group in a Cluster, with queues.
struct Process {
    cluster: Cluster,
    channels: Channels,
    /// A primary without the queue of this process.
    primary: usize,
    /// A group on that primary, and its member.
    room: Group<Said>,
    mailbox: Mailbox,
}

impl Process {
    async fn new() -> Self {
        let cluster = Cluster::new().await;
        let config = RedisConfig::new(cluster.url()).queue();
        let channels = Channels::redis(config).await.expect("a Cluster");
        let mut primary = None;
        until("a queue that is read", DEADLINE, async || {
            for number in 0..3 {
                let clients = cluster.node(number).ask(&["INFO", "clients"]).await?;
                if !clients.contains("blocked_clients:0\r") {
                    primary = Some((number + 1) % 3);
                }
            }
            primary.map(drop)
        })
        .await;
        let primary = primary.expect("one was found");
        let mailbox = channels.open().await.unwrap();
        for number in 0..100 {
            let room = channels.group::<Said>(format!("room-{number}")).unwrap();
            room.add(mailbox.name()).await.unwrap();
            if is_member(&cluster, primary, &room).await {
                return Self {
                    cluster,
                    channels,
                    primary,
                    room,
                    mailbox,
                };
            }
            room.discard(mailbox.name()).await.unwrap();
        }
        panic!("no group of 100 is on primary {primary}");
    }

    /// Sends an event; returns whether it arrives before any notice of a gap.
    async fn receives_at_once(&mut self) -> bool {
        until("a send", DEADLINE, async || {
            self.room.send(&said("again")).await.ok()
        })
        .await;
        let next = timeout(DEADLINE, self.mailbox.receive()).await;
        next.expect("an event or a notice").is_ok()
    }

    /// Sends events until one is received: more than one notice may precede it.
    async fn receives_after_all_notices(&mut self) {
        until("an event after the notices", DEADLINE, async || {
            self.receives_at_once().await.then_some(())
        })
        .await;
    }
}

/// Returns whether a primary has a member of the group.
async fn is_member(cluster: &Cluster, primary: usize, room: &Group<Said>) -> bool {
    let keys = format!("*group:{}", room.name());
    let keys = cluster.node(primary).ask(&["KEYS", &keys]).await;
    keys.is_some_and(|keys| keys.starts_with("*1\r\n"))
}

#[tokio::test]
async fn a_process_is_notified_of_a_primary_that_was_replaced() {
    let mut process = Process::new().await;

    process.cluster.fail_over(process.primary).await;

    let next = timeout(DEADLINE, process.mailbox.receive()).await;
    assert!(next.expect("a notice").is_err(), "it is not known");
    process.receives_after_all_notices().await;
}

#[tokio::test]
async fn a_process_is_not_notified_of_a_killed_primary_through_which_nothing_was_sent() {
    // On a busy machine, the process cannot exclude that it did not notice a run of Redis.
    for _ in 0..3 {
        let mut process = Process::new().await;

        process.cluster.kill_primary(process.primary).await;

        if process.receives_at_once().await {
            return;
        }
    }
    panic!("a notice of a gap after each of three kills");
}

#[tokio::test]
async fn a_member_from_after_the_loss_is_not_notified_of_what_was_sent_then() {
    let mut process = Process::new().await;
    // What Redis counts as an event that another process has sent, though it is refused.
    let replica = process.cluster.replica(process.primary);
    let reply = replica.ask(&["ZCOUNT", "any", "0", "1"]).await;
    assert!(reply.is_some(), "the replica counts it");
    process.cluster.kill(process.primary);
    until("the loss", DEADLINE, async || {
        process.channels.health().err()
    })
    .await;
    let mut late = process.channels.open().await.unwrap();
    process.cluster.until_promoted(process.primary).await;

    let next = timeout(DEADLINE, process.mailbox.receive()).await;
    assert!(next.expect("a notice").is_err(), "it was a member before");
    process.room.add(late.name()).await.unwrap();
    process.receives_after_all_notices().await;
    let next = timeout(DEADLINE, late.receive()).await;
    assert!(next.expect("an event").is_ok(), "it was no member before");
}

#[tokio::test]
async fn a_process_is_not_notified_of_a_reconnection_that_left_its_memberships() {
    let mut process = Process::new().await;
    assert!(process.receives_at_once().await);

    let node = process.cluster.node(process.primary);
    node.does(&["CLIENT", "KILL", "TYPE", "normal"]).await;

    assert!(process.receives_at_once().await);
}
