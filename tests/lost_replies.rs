//! Tests of presence and topics, over a Redis behind a proxy that loses or adds replies: all of them
//! share one connection.

use seaway::{Channels, Event, Position, Result, TopicEvent};
use seaway_tests::support::{
    Redis, ReplyProxy, Roster, Server,
    presence_list::arena,
    reply_proxy::Fault::{self, Lose, LoseFirst, Repeat},
    wait::DEADLINE,
};
use serde::{Deserialize, Serialize};
use tokio::{join, time::timeout};

/// A Redis, and a process that reaches it through a proxy.
struct Setup {
    redis: Redis,
    proxy: ReplyProxy,
    here: Channels,
}

impl Setup {
    async fn new() -> Self {
        let redis = Redis::new().await;
        let proxy = ReplyProxy::before(&redis).await;
        let here = Channels::redis(redis.url_through(proxy.port())).await;
        Self {
            redis,
            proxy,
            here: here.expect("the proxy forwards all"),
        }
    }

    /// Runs both, and returns their outcomes. The fault is that of the first one, whose commands
    /// contain this text; if it gets no reply, the other one sends its commands meanwhile.
    async fn run<T>(
        &self,
        fault: Fault,
        text: &str,
        first: impl Future<Output = T>,
        other: impl Future<Output = T>,
    ) -> (T, T) {
        self.proxy.plan(fault, text);
        let both = async {
            let other = async {
                self.proxy.has_arrived().await;
                other.await
            };
            match fault {
                Lose | LoseFirst => join!(first, other),
                Repeat => (first.await, other.await),
            }
        };
        timeout(DEADLINE, both).await.expect("in time")
    }
}

/// Returns the keys of the people in a presence.
async fn people(channels: &Channels, group: &str) -> Result<Vec<String>> {
    let list = channels
        .presence::<serde_json::Value>(group)?
        .list()
        .await?;
    Ok(list.into_iter().map(|present| present.key).collect())
}

/// Starts a process with one person in each of two presences: both have the name of theirs.
async fn ana_and_bo(redis: &Redis) -> (Server, [Roster; 2]) {
    let server = arena(redis).await;
    let ana = Roster::connect(server.port(), "ana", "ana").await;
    let bo = Roster::connect(server.port(), "bo", "bo").await;
    (server, [ana, bo])
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_gets_the_list_of_another_presence_if_a_proxy_loses_or_adds_a_reply() {
    for fault in [Lose, Repeat] {
        let setup = Setup::new().await;
        let _present = ana_and_bo(&setup.redis).await;
        let read = async |group| people(&setup.here, group).await;

        let (ana, bo) = setup
            .run(fault, "asgi:presence:ana", read("ana"), read("bo"))
            .await;

        let mut errors = Vec::new();
        for (group, list) in [("ana", ana), ("bo", bo)] {
            match list {
                Ok(list) => assert_eq!(list, [group], "{fault:?}"),
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        let [error] = &errors[..] else {
            panic!("{fault:?}: {errors:?}");
        };
        assert!(error.contains("the list of another presence"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_read_of_a_presence_fails_after_a_proxy_has_lost_a_reply() {
    let setup = Setup::new().await;
    let _present = ana_and_bo(&setup.redis).await;
    let read = async |group| people(&setup.here, group).await;

    let (ana, bo) = setup
        .run(LoseFirst, "asgi:presence:ana", read("ana"), read("bo"))
        .await;

    let error = ana.unwrap_err().to_string();
    assert!(error.contains("a malformed reply"), "{error}");
    assert_eq!(bo.unwrap(), ["bo"]);
    assert_eq!(read("ana").await.unwrap(), ["ana"]);
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "said")]
struct Said {
    text: String,
}

impl Event for Said {}

/// Sends an event of a topic, and returns its position.
async fn send(channels: &Channels, topic: &str) -> Result<Position> {
    let text = topic.to_owned();
    Ok(channels.topic(topic)?.send(&Said { text }).await?)
}

/// Reads a topic, and returns its position.
async fn read(channels: &Channels, topic: &str) -> Result<Position> {
    let unknown = Position::new(0, "unknown")?;
    let topic = channels.topic::<Said>(topic)?;
    let mut events = topic.listen(Some(unknown)).await?;
    match &*events.next().await.expect("nothing is sent") {
        TopicEvent::Recovered { position, .. } => Ok(position.clone()),
        event @ TopicEvent::Event { .. } => panic!("nothing is known since: {event:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_gets_the_position_of_another_topic_if_a_proxy_loses_or_adds_a_reply() {
    for fault in [Lose, Repeat] {
        let setup = Setup::new().await;
        let here = &setup.here;
        let mut known = Vec::new();
        for topic in ["ana", "bo"] {
            known.push(send(here, topic).await.unwrap());
            read(here, topic).await.unwrap();
        }

        let topic = "asgi:topic:ana";
        let sent = (send(here, "ana"), send(here, "bo"));
        let sent = setup.run(fault, topic, sent.0, sent.1).await;
        let listened = (read(here, "ana"), read(here, "bo"));
        let listened = setup.run(fault, topic, listened.0, listened.1).await;

        for (what, (ana, bo)) in [("send", sent), ("read", listened)] {
            let mut errors = 0;
            for (outcome, known) in [ana, bo].into_iter().zip(&known) {
                match outcome {
                    Ok(position) => assert_eq!(position.epoch(), known.epoch(), "{what} {fault:?}"),
                    Err(_) => errors += 1,
                }
            }
            assert!(errors > 0, "{what} {fault:?}: nothing is noticed");
        }
    }
}
