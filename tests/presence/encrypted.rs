//! Tests of people whose meta cannot be decrypted.

use super::connect;
use std::collections::BTreeSet;

use http::Request;
use seaway::{
    ApplicationExt, Channels, Handshake, PresenceEvent, Rejection, WebSocketConsumer,
    channels::redis::RedisConfig, consumer, testing::WebSocketCommunicator,
};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use serde_json::Value;
use tokio::time::timeout;

/// Is present with a meta that may be absent, which one that cannot be decoded is not.
struct Member;

#[consumer(forward)]
impl Member {
    async fn connect(
        handshake: &mut Handshake<PresenceEvent<Option<String>>>,
    ) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        handshake.present("lot", &key, Some(key.clone())).await?;
        Ok(Self)
    }
}

/// A connection of a [`Member`], and the people that it has been sent.
struct Viewer {
    client: WebSocketCommunicator,
    people: BTreeSet<String>,
}

impl Viewer {
    async fn enter(channels: &Channels, key: &str) -> Self {
        let app = Member::application(channels).boxed();
        let request = Request::get(format!("/?key={key}"));
        let mut client = WebSocketCommunicator::open(&app, request);
        assert_eq!(client.status().await, 101);
        Self {
            client,
            people: BTreeSet::new(),
        }
    }

    /// Receives events until these people are there.
    async fn sees(&mut self, people: &[&str]) {
        let expected: BTreeSet<_> = people.iter().map(|key| (*key).to_owned()).collect();
        let receiving = async {
            while self.people != expected {
                let event: Value = self.client.receive_json().await;
                for list in ["state", "joined", "updated"] {
                    let people = event[list].as_array().into_iter().flatten();
                    for person in people {
                        assert_eq!(person["meta"], person["key"], "{event}");
                        self.people
                            .insert(person["key"].as_str().unwrap().to_owned());
                    }
                }
                for left in event["left"].as_array().into_iter().flatten() {
                    self.people.remove(left["key"].as_str().unwrap());
                }
            }
        };
        let received = timeout(DEADLINE, receiving).await;
        received.unwrap_or_else(|_| panic!("not {expected:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_meta_cannot_be_decrypted_is_left_out_and_nobody_stays_listed() {
    let redis = Redis::new().await;
    let encrypted = async |keys: &[&str]| {
        let config = RedisConfig::new(redis.url());
        connect(config.symmetric_encryption_keys(keys)).await
    };
    for (old, other, rotated) in [
        (
            encrypted(&["old"]).await,
            encrypted(&["old"]).await,
            encrypted(&["new", "old"]).await,
        ),
        (
            connect(RedisConfig::new(redis.url())).await,
            connect(RedisConfig::new(redis.url())).await,
            encrypted(&["new"]).await,
        ),
    ] {
        let mut ana = Viewer::enter(&old, "ana").await;
        let bo = Viewer::enter(&other, "bo").await;
        ana.sees(&["ana", "bo"]).await;
        let cyd = Viewer::enter(&rotated, "cyd").await;
        let mut dan = Viewer::enter(&old, "dan").await;
        let mut eve = Viewer::enter(&other, "eve").await;

        ana.sees(&["ana", "bo", "dan", "eve"]).await;
        dan.sees(&["ana", "bo", "dan", "eve"]).await;
        eve.sees(&["ana", "bo", "dan", "eve"]).await;
        let here = old.presence::<Option<String>>("lot").unwrap();
        assert_eq!(here.list().await.unwrap().len(), 4);
        assert_eq!(here.count().await.unwrap().people, 5);

        drop((bo, cyd));
        ana.sees(&["ana", "dan", "eve"]).await;
        dan.sees(&["ana", "dan", "eve"]).await;
        until("the end of everyone else", DEADLINE, async || {
            (here.count().await.ok()?.people == 3).then_some(())
        })
        .await;
        drop((ana, dan, eve));
        until("the end of everyone", DEADLINE, async || {
            (here.count().await.ok()?.people == 0).then_some(())
        })
        .await;
    }
}
