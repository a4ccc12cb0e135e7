//! Tests of the whole auction, without a server.

use crate::{accounts::Account, app, auction::Auction, bidder::Bidder};
use seaway::{Channels, testing::TestClient, testing::WebSocketCommunicator, typescript::Schema};
use serde_json::{Value, json};
use sqlx::{query_as, sqlite::SqlitePoolOptions};

/// Returns an auction with lot 1, which is due.
async fn auction() -> Auction {
    // Each connection to `:memory:` has a database of its own.
    let one = SqlitePoolOptions::new().max_connections(1);
    let database = one.connect("sqlite::memory:").await.unwrap();
    let auction = Auction::open(database, Channels::in_memory()).await;
    let auction = auction.unwrap();
    auction.open_lot("compass", 0).await.unwrap();
    auction
}

/// Returns the browser of someone who is logged in. Ana is the auctioneer.
async fn log_in(auction: &Auction, name: &str) -> TestClient {
    let sign_up = "INSERT INTO accounts VALUES (?1, '', ?1 = 'ana', FALSE) RETURNING *";
    let sign_up = query_as::<_, Account>(sign_up).bind(name);
    let account = sign_up.fetch_one(&auction.database).await.unwrap();
    let client = TestClient::new(&app(auction.clone()));
    client.log_in_as(&account).await;
    client
}

/// Sends a request, and returns its reply.
async fn ask(socket: &mut WebSocketCommunicator, request: Value) -> Value {
    socket.send_json(&request).await;
    hear(socket, "id").await
}

/// Returns the next message with this field.
async fn hear(socket: &mut WebSocketCommunicator, field: &str) -> Value {
    loop {
        let message: Value = socket.receive_json().await;
        if message.get(field).is_some() {
            return message;
        }
    }
}

#[test]
fn the_types_for_the_browser_are_those_of_the_program() {
    Schema::of::<Bidder>("Auction").assert_in("static/auction.ts");
}

#[tokio::test]
async fn a_bid_reaches_those_who_watch_the_lot_and_those_who_reconnect() {
    let auction = auction().await;
    let mut bo = log_in(&auction, "bo").await.websocket("/");
    let mut cy = log_in(&auction, "cy").await.websocket("/");
    let watch = |lot, since| json!({ "type": "watch", "id": 7, "lot": lot, "since": since });
    let bid = |cents: i64| json!({ "type": "bid", "id": "a", "lot": 1, "cents": cents });

    let reply = ask(&mut bo, watch(1, None)).await;
    assert_eq!((&reply["id"], &reply["ok"][1]), (&json!(7), &json!(1)));
    assert_eq!(ask(&mut cy, bid(500)).await["ok"]["bidder"], "cy");
    let seen = hear(&mut bo, "event").await;
    assert_eq!(seen["event"]["type"], "lot.raised");
    let too_low = json!({ "too_low": { "cents": 500 } });
    assert_eq!(ask(&mut bo, bid(500)).await["error"], too_low);
    assert_eq!(ask(&mut bo, bid(i64::MAX)).await["error"], "too_high");
    assert_eq!(ask(&mut bo, watch(2, None)).await["error"], "no_such_lot");
    assert_eq!(ask(&mut cy, bid(600)).await["id"], "a");
    bo.receive_nothing().await;
    bo.send_json(&watch(1, Some(seen))).await;
    assert_eq!(hear(&mut bo, "event").await["event"]["cents"], 600);
}

#[tokio::test]
async fn a_due_lot_ends_once_for_everybody() {
    let auction = auction().await;
    let mut bo = log_in(&auction, "bo").await.websocket("/");
    assert_eq!(bo.status().await, 101);
    let mut feed = TestClient::new(&app(auction.clone())).get("/feed").open();
    assert!(feed.receive_event().await.data.contains("compass"));

    auction.end_due_lots().await.unwrap();
    auction.end_due_lots().await.unwrap();

    assert!(feed.receive_event().await.data.contains("lot.ended"));
    assert_eq!(hear(&mut bo, "event").await["event"]["type"], "lot.ended");
    let bid = json!({ "type": "bid", "id": 1, "lot": 1, "cents": 500 });
    assert_eq!(ask(&mut bo, bid).await["error"], "ended");
}
