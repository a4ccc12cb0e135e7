//! The conformance suite of presence.

use super::soon;
use crate::{
    channels::{Channels, Mailbox, Presence, PresenceEvent, Present},
    error::ErrorKind,
};
use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    task::{Context, Waker},
};

/// Checks that the presence of a channel layer conforms to the rules.
///
/// `connect` is called once per simulated process. For a layer without a transport, return clones
/// of one handle. The suite waits for the grace time to end, so set a short one.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use seaway::{Channels, channels::InMemoryChannelLayer, testing::presence};
/// use std::time::Duration;
///
/// let layer = InMemoryChannelLayer::default().presence_grace(Duration::from_millis(300));
/// let channels = Channels::new(layer);
/// presence::conforms(async || channels.clone()).await;
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
    the_whole_list_comes_first(&here, &there).await;
    connections_of_one_key_are_one_person(&here, &there).await;
    a_user_who_reconnects_within_the_grace_time_has_not_left(&here, &there).await;
    a_user_who_does_not_reconnect_leaves_once(&here, &there).await;
    the_newest_meta_counts(&here, &there).await;
    a_connection_that_ends_its_presence_receives_nothing_more(&here, &there).await;
    a_connection_has_one_key_in_a_group(&here, &there).await;
    a_connection_that_is_present_again_gets_the_list_again(&here, &there).await;
    groups_share_nothing(&here, &there).await;
    many_come_and_go(&here, &there).await;
    a_process_that_has_just_started_knows_everyone(&here, &connect().await).await;
    only_own_connections_are_present(&here, &there).await;
}

async fn the_whole_list_comes_first(here: &Channels, there: &Channels) {
    let mut ana = Follower::enter(here, "exam.first", "ana", "1").await;
    ana.sees("her own person", &[("ana", 1, "1")]).await;
    let mut bo = Follower::enter(there, "exam.first", "bo", "2").await;
    let both = [("ana", 1, "1"), ("bo", 1, "2")];

    bo.sees("everyone", &both).await;
    ana.sees("the other process", &both).await;

    for channels in [here, there] {
        let presence = handle(channels, "exam.first");
        assert_eq!(listed(&presence).await, list(&both), "a list is whole");
        let count = presence.count().await.expect("a count");
        assert_eq!((count.people, count.connections), (2, 2));
    }
}

async fn connections_of_one_key_are_one_person(here: &Channels, there: &Channels) {
    let mut first = Follower::enter(here, "exam.person", "ana", "m").await;
    first.sees("one connection", &[("ana", 1, "m")]).await;
    let second = Follower::enter(here, "exam.person", "ana", "m").await;
    first.sees("two of one process", &[("ana", 2, "m")]).await;
    let third = Follower::enter(there, "exam.person", "ana", "m").await;
    first.sees("a third of another", &[("ana", 3, "m")]).await;

    let count = handle(here, "exam.person").count().await.expect("a count");
    assert_eq!((count.people, count.connections), (1, 3));

    drop(second);
    first.sees("one of them ends", &[("ana", 2, "m")]).await;
    drop(third);
    first.sees("another ends", &[("ana", 1, "m")]).await;
    assert_eq!(first.joins, 1, "a person joins once");
}

async fn a_user_who_reconnects_within_the_grace_time_has_not_left(
    here: &Channels,
    there: &Channels,
) {
    for (group, back) in [("exam.grace-1", there), ("exam.grace-2", here)] {
        let mut witnesses = [
            Follower::enter(here, group, "w1", "w").await,
            Follower::enter(there, group, "w2", "w").await,
        ];
        let ana = Follower::enter(there, group, "ana", "a").await;
        let all = |count| [("ana", count, "a"), ("w1", 1, "w"), ("w2", 1, "w")];
        for witness in &mut witnesses {
            witness.sees("everyone", &all(1)).await;
        }

        drop(ana);
        for (channels, witness) in [here, there].into_iter().zip(&mut witnesses) {
            witness.sees("no connection", &all(0)).await;
            let listed = listed(&handle(channels, group)).await;
            assert_eq!(listed, list(&all(0)), "as its consumers received it");
        }
        let _ana = Follower::enter(back, group, "ana", "a").await;

        for witness in &mut witnesses {
            witness.sees("the person back", &all(1)).await;
            let counts = (witness.joins, witness.leaves);
            assert_eq!(counts, (3, 0), "no one has left");
        }
    }
}

async fn a_user_who_does_not_reconnect_leaves_once(here: &Channels, there: &Channels) {
    let mut witnesses = [
        Follower::enter(here, "exam.leave", "w1", "w").await,
        Follower::enter(there, "exam.leave", "w2", "w").await,
    ];
    let ana = Follower::enter(there, "exam.leave", "ana", "a").await;
    for witness in &mut witnesses {
        let all = [("ana", 1, "a"), ("w1", 1, "w"), ("w2", 1, "w")];
        witness.sees("everyone", &all).await;
    }

    drop(ana);

    for witness in &mut witnesses {
        witness
            .sees("the others", &[("w1", 1, "w"), ("w2", 1, "w")])
            .await;
        assert_eq!(witness.leaves, 1, "a leave is sent once");
    }
    let count = handle(here, "exam.leave").count().await.expect("a count");
    assert_eq!((count.people, count.connections), (2, 2));
}

async fn the_newest_meta_counts(here: &Channels, there: &Channels) {
    let mut one = Follower::enter(here, "exam.meta", "ana", "first").await;
    one.sees("a meta", &[("ana", 1, "first")]).await;
    let mut other = Follower::enter(there, "exam.meta", "ana", "second").await;
    one.sees("that of a later connection", &[("ana", 2, "second")])
        .await;

    one.presence
        .update("third".to_owned())
        .await
        .expect("updated");
    other.sees("an update", &[("ana", 2, "third")]).await;
    one.sees("an update", &[("ana", 2, "third")]).await;

    drop(one);
    other.sees("what remains", &[("ana", 1, "third")]).await;
    let error = handle(here, "exam.meta").update("fourth".to_owned()).await;
    let kind = error.expect_err("not a connection").kind();
    assert_eq!(kind, ErrorKind::User, "only a connection has a meta");
}

async fn a_connection_that_ends_its_presence_receives_nothing_more(
    here: &Channels,
    there: &Channels,
) {
    let mut ana = Follower::enter(here, "exam.end", "ana", "a").await;
    ana.sees("herself", &[("ana", 1, "a")]).await;
    ana.presence.end(ana.mailbox.name()).expect("ended");
    let mut bo = Follower::enter(there, "exam.end", "bo", "b").await;
    bo.sees("himself alone", &[("bo", 1, "b")]).await;

    assert!(!ana.receives_now(), "nothing after the end");
    let error = ana.presence.update("again".to_owned()).await;
    assert_eq!(error.expect_err("it has ended").kind(), ErrorKind::User);
}

async fn a_connection_has_one_key_in_a_group(here: &Channels, there: &Channels) {
    let mut witness = Follower::enter(there, "exam.key", "w", "w").await;
    let ana = Follower::enter(here, "exam.key", "guest", "g").await;
    witness
        .sees("a guest", &[("guest", 1, "g"), ("w", 1, "w")])
        .await;

    enter(here, &ana.mailbox, "exam.key", "ana", "a").await;

    witness
        .sees("the same under a name", &[("ana", 1, "a"), ("w", 1, "w")])
        .await;
}

async fn a_connection_that_is_present_again_gets_the_list_again(here: &Channels, there: &Channels) {
    let mut ana = Follower::enter(here, "exam.again", "ana", "a").await;
    ana.sees("herself", &[("ana", 1, "a")]).await;
    let _bo = Follower::enter(there, "exam.again", "bo", "b").await;
    ana.sees("both", &[("ana", 1, "a"), ("bo", 1, "b")]).await;

    ana.list = None;
    enter(here, &ana.mailbox, "exam.again", "ana", "a").await;

    ana.sees("the whole list", &[("ana", 1, "a"), ("bo", 1, "b")])
        .await;
}

async fn groups_share_nothing(here: &Channels, there: &Channels) {
    let mut one = Follower::enter(here, "exam.group-1", "ana", "1").await;
    let mut two = Follower::enter(there, "exam.group-2", "ana", "2").await;

    one.sees("one group", &[("ana", 1, "1")]).await;
    two.sees("the other", &[("ana", 1, "2")]).await;
    assert!(!one.receives_now() && !two.receives_now());
    assert_eq!(listed(&handle(here, "exam.group-3")).await, list(&[]));
}

/// More than are declared at once.
const MANY: usize = 600;

async fn many_come_and_go(here: &Channels, there: &Channels) {
    let mut witness = Follower::enter(there, "exam.many", "w", "w").await;
    let enter_all = (0..MANY).map(|number| {
        let channels = if number % 2 == 0 { here } else { there };
        let key = (number % (MANY / 2)).to_string();
        let channels = channels.clone();
        tokio::spawn(async move { Follower::enter(&channels, "exam.many", &key, "m").await })
    });
    let entering: Vec<_> = enter_all.collect();
    let mut crowd = Vec::new();
    for follower in entering {
        crowd.push(follower.await.expect("present"));
    }
    let keys: Vec<String> = (0..MANY / 2).map(|key| key.to_string()).collect();
    let people = keys.iter().map(|key| (key.as_str(), 2, "m"));
    let everyone: Vec<_> = people.chain([("w", 1, "w")]).collect();
    witness.sees("everyone", &everyone).await;
    for follower in &mut crowd {
        follower.sees("everyone", &everyone).await;
    }

    crowd.truncate(1);

    let rest = [("0", 1, "m"), ("w", 1, "w")];
    witness.sees("those who remain", &rest).await;
    assert_eq!(
        (witness.joins, witness.leaves),
        (MANY / 2 + 1, MANY / 2 - 1)
    );
    crowd[0].sees("those who remain", &rest).await;
}

async fn a_process_that_has_just_started_knows_everyone(here: &Channels, new: &Channels) {
    let mut ana = Follower::enter(here, "exam.new", "ana", "a").await;
    ana.sees("herself", &[("ana", 1, "a")]).await;
    assert_eq!(
        listed(&handle(new, "exam.new")).await,
        list(&[("ana", 1, "a")])
    );

    let mut bo = Follower::enter(new, "exam.new", "bo", "b").await;

    bo.sees("everyone", &[("ana", 1, "a"), ("bo", 1, "b")])
        .await;
}

async fn only_own_connections_are_present(here: &Channels, there: &Channels) {
    let gone = there.open().await.expect("a channel").name().clone();
    let outcome = here.present("exam.own", &gone, "x".to_owned(), &()).await;

    let error = outcome.expect_err("the channel is closed");
    assert_eq!(error.kind(), ErrorKind::Layer);
    assert_eq!(listed(&handle(here, "exam.own")).await, list(&[]));
}

type List = BTreeMap<String, (u32, String)>;

fn list(people: &[(&str, u32, &str)]) -> List {
    let people = people.iter();
    people
        .map(|(key, count, meta)| ((*key).to_owned(), (*count, (*meta).to_owned())))
        .collect()
}

fn handle(channels: &Channels, group: &str) -> Presence<String> {
    channels.presence(group).expect("a valid name")
}

async fn listed(presence: &Presence<String>) -> List {
    let people = presence.list().await.expect("a list");
    collect(people)
}

fn collect(people: Vec<Present<String>>) -> List {
    let people = people.into_iter();
    people
        .map(|Present { key, count, meta }| (key, (count, meta)))
        .collect()
}

async fn enter(
    channels: &Channels,
    mailbox: &Mailbox,
    group: &str,
    key: &str,
    meta: &str,
) -> Presence<String> {
    let meta = meta.to_owned();
    let entering = channels.present(group, mailbox.name(), key.to_owned(), &meta);
    soon("a presence", entering).await.expect("present")
}

/// A connection that is present, and keeps the list from its events.
struct Follower {
    presence: Presence<String>,
    mailbox: Mailbox,
    /// `None` until the whole list has come.
    list: Option<List>,
    joins: usize,
    leaves: usize,
}

impl Follower {
    async fn enter(channels: &Channels, group: &str, key: &str, meta: &str) -> Self {
        let mailbox = channels.open().await.expect("a channel");
        Self {
            presence: enter(channels, &mailbox, group, key, meta).await,
            mailbox,
            list: None,
            joins: 0,
            leaves: 0,
        }
    }

    /// Receives events until the list is this one.
    #[track_caller]
    fn sees(
        &mut self,
        what: &'static str,
        people: &[(&str, u32, &str)],
    ) -> impl Future<Output = ()> {
        let expected = list(people);
        soon(what, async move {
            while self.list.as_ref() != Some(&expected) {
                let envelope = self.mailbox.receive().await.expect("nothing is missed");
                let event = envelope.decode::<PresenceEvent<String>>();
                self.take((*event.expect("an event of presence")).clone());
            }
        })
    }

    fn receives_now(&mut self) -> bool {
        let receiving = pin!(self.mailbox.receive());
        let mut cx = Context::from_waker(Waker::noop());
        receiving.poll(&mut cx).is_ready()
    }

    fn take(&mut self, event: PresenceEvent<String>) {
        match (event, &mut self.list) {
            (PresenceEvent::State { group, people }, list @ None) => {
                assert_eq!(group, *self.presence.name());
                let people = collect(people);
                self.joins += people.len();
                *list = Some(people);
            }
            (PresenceEvent::State { .. }, Some(_)) => panic!("the whole list came twice"),
            (PresenceEvent::Changes { .. }, None) => panic!("changes came before the whole list"),
            (
                PresenceEvent::Changes {
                    joined,
                    updated,
                    left,
                    ..
                },
                Some(list),
            ) => {
                for (key, person) in collect(joined) {
                    self.joins += 1;
                    let before = list.insert(key.clone(), person);
                    assert!(before.is_none(), "{key} joined twice");
                }
                for (key, person) in collect(updated) {
                    let before = list.insert(key.clone(), person);
                    assert!(before.is_some(), "{key} was updated before joining");
                }
                for left in left {
                    self.leaves += 1;
                    assert!(list.remove(&left.key).is_some(), "{} left twice", left.key);
                }
            }
        }
    }
}
