//! The event of these tests, and members that receive it.

use seaway::{
    Channels, Group,
    channels::{Mailbox, redis::RedisConfig},
};
use seaway_tests::support::{Redis, wait::DEADLINE};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
pub(super) struct Said {
    pub(super) text: String,
}

impl seaway::Event for Said {}

pub(super) fn said(text: &str) -> Said {
    Said {
        text: text.to_owned(),
    }
}

pub(super) async fn queue(redis: &Redis) -> Channels {
    let config = RedisConfig::new(redis.url()).queue();
    Channels::redis(config).await.expect("Redis is there")
}

pub(super) async fn connect(redis: &Redis) -> Channels {
    Channels::redis(redis.url()).await.expect("Redis is there")
}

pub(super) async fn member(channels: &Channels, group: &str) -> (Mailbox, Group<Said>) {
    let (mailbox, group) = (channels.open().await, channels.group(group));
    let (mailbox, group) = (mailbox.unwrap(), group.unwrap());
    group.add(mailbox.name()).await.unwrap();
    (mailbox, group)
}

pub(super) async fn next_is_a_notice(mailbox: &mut Mailbox) {
    let next = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    assert!(next.is_err(), "it may have missed something");
}

pub(super) async fn next_text(mailbox: &mut Mailbox) -> String {
    let next = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    next.unwrap().decode::<Said>().unwrap().text.clone()
}
