//! Tests of presence in memory.

use http::{Request, StatusCode};
use seaway::{
    ApplicationExt, BoxApplication, Channels, Context, Event, Group, Handshake, Json, Presence,
    PresenceEvent, Rejection, Result, Shared, WebSocketConsumer,
    channels::InMemoryChannelLayer,
    consumer,
    protocol::WebSocket,
    routing::PathRouter,
    testing::{WebSocketCommunicator, presence},
};
use serde_json::{Value, json};
use std::{future::pending, time::Duration};

const GRACE: Duration = Duration::from_secs(3);

/// The time that `connect` may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn presence_in_memory_conforms() {
    let channels = Channels::in_memory();

    presence::conforms(async || channels.clone()).await;
}

#[derive(Event)]
enum Said {
    Text { text: String },
}

/// The events of a lot: what is said there, and who is there.
#[derive(Event)]
enum LotEvent {
    #[event(include)]
    Said(Said),
    #[event(include)]
    Here(PresenceEvent<u32>),
}

struct Lot {
    said: Group<Said>,
    here: Presence<u32>,
}

impl WebSocketConsumer for Lot {
    type Input = String;
    type Event = LotEvent;

    async fn connect(handshake: &mut Handshake<LotEvent>) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        let said = handshake.join_as("lot.7").await?;
        let here = handshake.present("lot.7", key, 0).await?;
        Ok(Lot { said, here })
    }

    async fn receive(&mut self, ctx: &mut Context<LotEvent>, text: String) -> Result<()> {
        match text.as_str() {
            "leave" => ctx.leave(&self.here).await?,
            "come" => self.here = ctx.present(&self.here, "again", 1).await?,
            _ => match text.parse() {
                Ok(number) => ctx.update(&self.here, number).await?,
                Err(_) => self.said.send(&Said::Text { text }).await?,
            },
        }
        Ok(())
    }

    async fn event(&mut self, ctx: &mut Context<LotEvent>, event: Shared<LotEvent>) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}

fn lot() -> BoxApplication<WebSocket> {
    Lot::application(&Channels::in_memory()).boxed()
}

async fn enter(app: &BoxApplication<WebSocket>, key: &str) -> WebSocketCommunicator {
    let request = Request::get(format!("/ws/lot?key={key}"));
    let mut client = WebSocketCommunicator::open(app, request);
    assert_eq!(client.status().await, 101);
    client
}

async fn json_of(client: &mut WebSocketCommunicator) -> Value {
    serde_json::from_str(&client.receive_text().await).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_the_list_first_and_then_each_change_beside_other_events() {
    let app = lot();
    let mut ana = enter(&app, "ana").await;
    assert_eq!(
        json_of(&mut ana).await,
        json!({"presence": "lot.7", "state": [{"key": "ana", "count": 1, "meta": 0}]})
    );

    let mut bo = enter(&app, "bo").await;
    assert_eq!(
        json_of(&mut ana).await,
        json!({"presence": "lot.7", "joined": [{"key": "bo", "count": 1, "meta": 0}]})
    );
    bo.send("7").await;
    assert_eq!(
        json_of(&mut ana).await,
        json!({"presence": "lot.7", "updated": [{"key": "bo", "count": 1, "meta": 7}]})
    );
    bo.send("hello").await;
    assert_eq!(
        json_of(&mut ana).await,
        json!({"type": "said.text", "text": "hello"})
    );
}

/// Is present at once, and then accepts or not, as the query asks.
struct Guarded;

impl WebSocketConsumer for Guarded {
    type Input = String;
    type Event = LotEvent;

    async fn connect(handshake: &mut Handshake<LotEvent>) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        handshake.present("lot.7", &key, 0).await?;
        match key.as_str() {
            "refused" => Err(Rejection::from_status(StatusCode::FORBIDDEN)),
            "panicking" => panic!("on purpose"),
            "slow" => pending().await,
            _ => Ok(Self),
        }
    }

    async fn receive(&mut self, _: &mut Context<LotEvent>, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_rejected_after_present_is_not_announced() {
    let channels = Channels::in_memory();
    let lot = Lot::application(&channels).boxed();
    let guarded = Guarded::application(&channels).boxed();
    let mut ana = enter(&lot, "ana").await;
    json_of(&mut ana).await;

    for (key, status) in [("refused", 403), ("panicking", 500), ("slow", 503)] {
        let request = Request::get(format!("/ws/lot?key={key}"));
        let mut client = WebSocketCommunicator::open(&guarded, request);
        tokio::time::sleep(CONNECT_TIMEOUT).await;
        assert_eq!(client.status().await, status, "{key}");
    }

    let _bo = enter(&guarded, "bo").await;
    let changes = json!({"presence": "lot.7", "joined": [{"key": "bo", "count": 1, "meta": 0}]});
    assert_eq!(json_of(&mut ana).await, changes);
    let presence = channels.presence::<u32>("lot.7").unwrap();
    assert_eq!(presence.count().await.unwrap().people, 2);
}

#[tokio::test(start_paused = true)]
async fn a_person_without_a_connection_leaves_after_the_grace_time() {
    let app = lot();
    let (mut ana, bo) = (enter(&app, "ana").await, enter(&app, "bo").await);
    while json_of(&mut ana).await["joined"].is_null() {}
    let left_at = tokio::time::Instant::now();

    bo.disconnect().await.unwrap();

    let none = json_of(&mut ana).await;
    assert_eq!(
        none["updated"],
        json!([{"key": "bo", "count": 0, "meta": 0}])
    );
    tokio::time::sleep(GRACE - Duration::from_millis(200)).await;
    let left = json_of(&mut ana).await;
    assert_eq!(left, json!({"presence": "lot.7", "left": [{"key": "bo"}]}));
    let after = left_at.elapsed();
    assert!(after >= GRACE && after < GRACE * 2, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_within_the_grace_time_is_no_leave() {
    let app = lot();
    let (mut ana, bo) = (enter(&app, "ana").await, enter(&app, "bo").await);
    while json_of(&mut ana).await["joined"].is_null() {}

    bo.disconnect().await.unwrap();
    assert_eq!(json_of(&mut ana).await["updated"][0]["count"], 0);
    tokio::time::sleep(GRACE - Duration::from_millis(500)).await;
    let mut bo = enter(&app, "bo").await;

    assert_eq!(json_of(&mut ana).await["updated"][0]["count"], 1);
    tokio::time::sleep(GRACE * 2).await;
    bo.send("still here").await;
    assert_eq!(json_of(&mut ana).await["type"], "said.text");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_leave_and_come_back_while_its_connection_is_open() {
    let app = lot();
    let mut ana = enter(&app, "ana").await;
    assert!(json_of(&mut ana).await["state"].is_array());

    ana.send("leave").await;
    tokio::time::sleep(GRACE * 2).await;
    ana.send("come").await;

    assert_eq!(
        json_of(&mut ana).await["state"],
        json!([{"key": "again", "count": 1, "meta": 1}])
    );
}

/// Filled and forwarded by macros.
#[derive(WebSocketConsumer)]
struct Written {
    #[param]
    lot: u32,
    #[query]
    key: String,
    #[presence("lot.{lot}", key = key, meta = lot + 1)]
    here: Presence<u32>,
}

#[consumer(forward)]
impl Written {
    async fn receive(&mut self, text: String) -> Result<()> {
        assert_eq!(self.here.name().as_str(), format!("lot.{}", self.lot));
        Ok(self
            .here
            .update(u32::try_from(text.len() + self.key.len())?)
            .await?)
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_of_a_consumer_may_be_a_presence() {
    let written = Written::application(&Channels::in_memory());
    let app = PathRouter::new().route("/{lot}", written).boxed();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/7?key=ana"));
    assert_eq!(
        json_of(&mut ana).await,
        json!({"presence": "lot.7", "state": [{"key": "ana", "count": 1, "meta": 8}]})
    );
    ana.send("ab").await;
    assert_eq!(json_of(&mut ana).await["updated"][0]["meta"], 5);
}

#[tokio::test(start_paused = true)]
async fn people_can_be_kept_for_the_longest_grace_time() {
    let layer = InMemoryChannelLayer::default().presence_grace(Duration::MAX);
    let app = Lot::application(&Channels::new(layer)).boxed();
    let (mut ana, bo) = (enter(&app, "ana").await, enter(&app, "bo").await);
    while json_of(&mut ana).await["joined"].is_null() {}

    bo.disconnect().await.unwrap();

    assert_eq!(json_of(&mut ana).await["updated"][0]["count"], 0);
}

#[test]
fn a_presence_whose_runtime_has_ended_goes_on_in_the_next_one() {
    let channels = Channels::in_memory();
    let app = Lot::application(&channels).boxed();
    for key in ["ana", "bo"] {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut client = enter(&app, key).await;

            assert!(json_of(&mut client).await["state"].is_array(), "{key}");
            let lot: Presence<u32> = channels.presence("lot.7").unwrap();
            assert_eq!(lot.count().await.unwrap().connections, 1, "{key}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn no_grace_time_is_one_too() {
    let layer = InMemoryChannelLayer::default().presence_grace(Duration::ZERO);
    let app = Lot::application(&Channels::new(layer)).boxed();
    let (mut ana, bo) = (enter(&app, "ana").await, enter(&app, "bo").await);
    while json_of(&mut ana).await["joined"].is_null() {}

    bo.disconnect().await.unwrap();

    loop {
        let event = json_of(&mut ana).await;
        if event["left"] == json!([{"key": "bo"}]) {
            break;
        }
        assert_eq!(event["updated"][0]["count"], 0, "{event}");
    }
}

#[tokio::test]
async fn a_key_or_meta_that_is_too_large_is_a_failure_of_the_server() {
    struct Large;
    impl WebSocketConsumer for Large {
        type Input = String;
        type Event = PresenceEvent<String>;
        async fn connect(handshake: &mut Handshake<Self::Event>) -> Result<Self, Rejection> {
            let (key, meta): (usize, usize) = (handshake.query("key")?, handshake.query("meta")?);
            let entering = handshake.present("lot.7", "k".repeat(key), "m".repeat(meta));
            entering.await?;
            Ok(Large)
        }
        async fn receive(&mut self, _: &mut Context<Self::Event>, _: String) -> Result<()> {
            Ok(())
        }
    }
    let app = Large::application(&Channels::in_memory()).boxed();
    for (key, meta, status) in [(256, 16_000, 101), (257, 0, 500), (1, 17_000, 500)] {
        let request = Request::get(format!("/?key={key}&meta={meta}"));
        let mut client = WebSocketCommunicator::open(&app, request);
        assert_eq!(client.status().await, status, "{key} {meta}");
    }
}

/// Is present in the same group as [`Lot`], with the type of meta of another release.
struct NewRelease;

#[consumer(forward)]
impl NewRelease {
    async fn connect(handshake: &mut Handshake<PresenceEvent<String>>) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        handshake.present("lot.7", key, "a name".to_owned()).await?;
        Ok(Self)
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_whose_meta_is_of_another_type_is_left_out_and_everyone_else_is_there() {
    let channels = Channels::in_memory();
    let (old, new) = (
        Lot::application(&channels).boxed(),
        NewRelease::application(&channels).boxed(),
    );
    let mut ana = enter(&old, "ana").await;
    let person = |key: &str, meta: Value| json!({ "key": key, "count": 1, "meta": meta });
    let state = |people: &[Value]| json!({ "presence": "lot.7", "state": people });
    assert_eq!(json_of(&mut ana).await, state(&[person("ana", json!(0))]));

    let mut cy = enter(&new, "cy").await;
    assert_eq!(
        json_of(&mut cy).await,
        state(&[person("cy", json!("a name"))])
    );
    assert_eq!(json_of(&mut ana).await, json!({ "presence": "lot.7" }));
    let mut bo = enter(&old, "bo").await;
    let mut people = json_of(&mut bo).await["state"].take();
    let people = people.as_array_mut().unwrap();
    people.sort_by_key(|person| person["key"].to_string());
    assert_eq!(*people, [person("ana", json!(0)), person("bo", json!(0))]);
    assert_eq!(
        json_of(&mut ana).await["joined"],
        json!([person("bo", json!(0))])
    );

    let here = channels.presence::<u32>("lot.7").unwrap();
    let listed = here.list().await.unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(here.count().await.unwrap().people, 3);
    // For ana the joining, for bo the list, for cy ana at first and bo later, and the list above.
    assert_eq!(channels.undecodable(), 5);

    bo.close(1000).await.unwrap();
    loop {
        let event = json_of(&mut ana).await;
        if event["left"] == json!([{ "key": "bo" }]) {
            break;
        }
    }
    cy.close(1000).await.unwrap();
    while json_of(&mut ana).await["left"] != json!([{ "key": "cy" }]) {}
}
