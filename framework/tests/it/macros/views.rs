//! Tests of consumers whose events are not exactly those of one group: two groups, a narrower view,
//! and events that are forwarded.

use super::open;
use seaway::{
    ApplicationExt, BoxApplication, Channels, Context, Event, Group, Includes, Json, Result,
    Shared, WebSocketConsumer, channels::Envelope, consumer, protocol::WebSocket,
    routing::PathRouter,
};
use serde::{Deserialize, Serialize};

#[derive(Event, Debug, PartialEq)]
enum LotEvent {
    Placed { cents: u64 },
    Sold,
}

#[derive(Event, Debug, PartialEq)]
enum HallEvent {
    Notice { text: String },
}

/// The events of a lot and of the hall, and one more.
#[derive(Event, Debug, PartialEq)]
enum BidderEvent {
    #[event(include)]
    Lot(LotEvent),
    #[event(include)]
    Hall(HallEvent),
    Kick {
        reason: String,
    },
}

/// Only what others include.
#[derive(Event, Debug, PartialEq)]
enum Everything {
    #[event(include)]
    Bidder(BidderEvent),
}

#[derive(WebSocketConsumer)]
#[consumer(event = BidderEvent)]
struct Bidder {
    #[group("lot.{lot}")]
    lot: Group<LotEvent>,
    #[group("hall")]
    _hall: Group<HallEvent>,
    #[group("bidders")]
    own: Group<BidderEvent>,
}

#[consumer(event = BidderEvent, forward(Hall))]
impl Bidder {
    async fn receive(&mut self, ctx: &mut Context<BidderEvent>, text: String) -> Result<()> {
        match text.as_str() {
            "kick" => {
                let reason = "kicked".to_owned();
                Ok(self.own.send(&BidderEvent::Kick { reason }).await?)
            }
            "leave" => Ok(ctx.leave(&self.lot).await?),
            "enter" => {
                ctx.join_as::<LotEvent>("lot.7").await?;
                Ok(())
            }
            _ => Ok(self.lot.send(&LotEvent::Placed { cents: 995 }).await?),
        }
    }

    #[on(Lot)]
    async fn lot(&mut self, ctx: &mut Context<BidderEvent>, event: &LotEvent) -> Result<()> {
        Ok(ctx.send(format!("lot: {event:?}")).await?)
    }

    #[on("bidder.kick")]
    async fn kick(&mut self, ctx: &mut Context<BidderEvent>) -> Result<()> {
        Ok(ctx.send("kicked").await?)
    }
}

fn app<C: WebSocketConsumer>(channels: &Channels) -> BoxApplication<WebSocket> {
    let consumer = C::application(channels);
    PathRouter::new().route("/ws/{lot}", consumer).boxed()
}

#[tokio::test]
async fn a_consumer_receives_the_events_of_groups_with_two_types() {
    let channels = Channels::in_memory();
    let mut bidder = open(&app::<Bidder>(&channels), "/ws/7");
    bidder.send("bid").await;
    assert_eq!(bidder.receive_text().await, "lot: Placed { cents: 995 }");

    let hall = channels.group::<HallEvent>("hall").unwrap();
    let text = "closing".to_owned();
    hall.send(&HallEvent::Notice { text }).await.unwrap();
    let notice = r#"{"type":"hall.notice","text":"closing"}"#;
    assert_eq!(bidder.receive_text().await, notice);

    bidder.send("kick").await;
    assert_eq!(bidder.receive_text().await, "kicked");
    let lot = channels.group::<LotEvent>("lot.7").unwrap();
    lot.send(&LotEvent::Sold).await.unwrap();
    assert_eq!(bidder.receive_text().await, "lot: Sold");
    assert_eq!(channels.undecodable(), 0);
}

#[tokio::test]
async fn a_consumer_joins_and_leaves_groups_of_an_included_type() {
    let channels = Channels::in_memory();
    let mut bidder = open(&app::<Bidder>(&channels), "/ws/7");
    let lot = channels.group::<LotEvent>("lot.7").unwrap();

    bidder.send("leave").await;
    bidder.send("kick").await;
    assert_eq!(bidder.receive_text().await, "kicked");
    lot.send(&LotEvent::Sold).await.unwrap();
    bidder.send("enter").await;
    bidder.send("bid").await;

    assert_eq!(bidder.receive_text().await, "lot: Placed { cents: 995 }");
}

#[test]
fn included_events_are_encoded_as_they_are_and_decoded_by_their_type() {
    let sold = BidderEvent::Lot(LotEvent::Sold);
    let kick = BidderEvent::Kick {
        reason: "rude".to_owned(),
    };
    assert_eq!(
        Envelope::encode(&sold).unwrap().as_bytes(),
        Envelope::encode(&LotEvent::Sold).unwrap().as_bytes()
    );
    for event in [sold, kick] {
        let envelope = Envelope::encode(&event).unwrap();
        assert_eq!(*envelope.clone().decode::<BidderEvent>().unwrap(), event);
        let everything = envelope.decode::<Everything>().unwrap();
        assert_eq!(*everything, Everything::Bidder(event));
    }
    for unknown in [
        r#"{"type":"lot.lost"}"#,
        r#"{"type":"lot.placed"}"#,
        r#"{"cents":7}"#,
    ] {
        assert!(
            serde_json::from_str::<BidderEvent>(unknown).is_err(),
            "{unknown}"
        );
    }
}

/// A narrower view of a lot: it knows one of its events.
#[derive(Event, Debug, PartialEq)]
#[event(prefix = "lot")]
enum SoldEvent {
    Sold,
    #[serde(other)]
    Other,
}

#[derive(WebSocketConsumer)]
struct Watcher {
    #[group("lot.{lot}")]
    _lot: Group<SoldEvent>,
}

#[consumer]
impl Watcher {
    #[on("lot.sold")]
    async fn sold(&mut self, ctx: &mut Context<SoldEvent>) -> Result<()> {
        Ok(ctx.send("sold").await?)
    }

    #[on("lot.other")]
    fn other(&mut self) {}
}

#[derive(WebSocketConsumer)]
struct SoldFeed {
    #[group("lot.{lot}")]
    _lot: Group<SoldEvent>,
}

#[consumer(forward)]
impl SoldFeed {}

#[tokio::test]
async fn a_narrower_view_of_a_group_skips_what_it_does_not_know() {
    let channels = Channels::in_memory();
    let mut watcher = open(&app::<Watcher>(&channels), "/ws/7");
    let mut feed = open(&app::<SoldFeed>(&channels), "/ws/7");
    assert_eq!(watcher.status().await, 101);
    assert_eq!(feed.status().await, 101);
    let lot = channels.group::<LotEvent>("lot.7").unwrap();

    lot.send(&LotEvent::Placed { cents: 7 }).await.unwrap();
    lot.send(&LotEvent::Sold).await.unwrap();

    assert_eq!(watcher.receive_text().await, "sold");
    assert_eq!(feed.receive_text().await, r#"{"type":"lot.sold"}"#);
    assert_eq!(channels.undecodable(), 0);
}

#[test]
fn an_event_of_an_unknown_type_is_another_also_in_an_included_enum() {
    #[derive(Event)]
    enum Mixed {
        #[event(include)]
        Sold(SoldEvent),
    }

    let known: Mixed = serde_json::from_str(r#"{"type":"lot.sold"}"#).unwrap();
    let unknown: Mixed = serde_json::from_str(r#"{"type":"lot.placed","cents":7}"#).unwrap();

    assert!(!known.is_other());
    assert!(unknown.is_other());
    assert!(!LotEvent::Sold.is_other());
}

#[derive(WebSocketConsumer)]
struct LotFeed {
    #[group("lot.{lot}")]
    _lot: Group<LotEvent>,
}

#[consumer(forward)]
impl LotFeed {
    #[on("lot.sold")]
    async fn sold(&mut self, ctx: &mut Context<LotEvent>) -> Result<()> {
        Ok(ctx.send("sold").await?)
    }
}

#[derive(WebSocketConsumer)]
struct SomeOfALot {
    #[group("lot.{lot}")]
    _lot: Group<LotEvent>,
}

#[consumer(forward("lot.placed"))]
impl SomeOfALot {
    async fn event(&mut self, ctx: &mut Context<LotEvent>, event: Shared<LotEvent>) -> Result<()> {
        Ok(ctx.send(Json(["rest", &format!("{:?}", *event)])).await?)
    }
}

#[tokio::test]
async fn events_that_are_forwarded_need_no_method() {
    let channels = Channels::in_memory();
    let mut all = open(&app::<LotFeed>(&channels), "/ws/7");
    let mut some = open(&app::<SomeOfALot>(&channels), "/ws/7");
    assert_eq!(all.status().await, 101);
    assert_eq!(some.status().await, 101);
    let lot = channels.group::<LotEvent>("lot.7").unwrap();

    lot.send(&LotEvent::Placed { cents: 7 }).await.unwrap();
    lot.send(&LotEvent::Sold).await.unwrap();

    let placed = r#"{"type":"lot.placed","cents":7}"#;
    assert_eq!(all.receive_text().await, placed);
    assert_eq!(all.receive_text().await, "sold");
    assert_eq!(some.receive_text().await, placed);
    assert_eq!(some.receive_text().await, r#"["rest","Sold"]"#);
}

/// Written by hand, with the same meaning as the derived one.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ByHand {
    Lot(LotEvent),
    Hall(HallEvent),
}

impl Event for ByHand {}
impl Includes<LotEvent> for ByHand {}
impl Includes<HallEvent> for ByHand {}

#[derive(WebSocketConsumer)]
#[consumer(event = ByHand)]
struct HandWritten {
    #[group("lot.{lot}")]
    _lot: Group<LotEvent>,
    #[group("hall")]
    _hall: Group<HallEvent>,
}

#[consumer(event = ByHand, forward)]
impl HandWritten {}

#[tokio::test]
async fn an_event_type_that_is_written_by_hand_includes_and_is_forwarded() {
    let channels = Channels::in_memory();
    let mut client = open(&app::<HandWritten>(&channels), "/ws/7");
    assert_eq!(client.status().await, 101);

    let lot = channels.group::<LotEvent>("lot.7").unwrap();
    lot.send(&LotEvent::Sold).await.unwrap();

    assert_eq!(client.receive_text().await, r#"{"type":"lot.sold"}"#);
}
