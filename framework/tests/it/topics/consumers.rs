//! What consumers receive of topics over WebSockets.

use super::{ChatEvent, Desk, HallEvent, lot, open, place, placed, recovered};
use http::Request;
use seaway::{ApplicationExt, Channels, WebSocketConsumer, testing::WebSocketCommunicator};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_consumer_receives_topics_and_groups_of_several_types() {
    let channels = Channels::in_memory();
    let (lot, chat) = (
        lot(&channels),
        channels.topic::<ChatEvent>("chat.3").unwrap(),
    );
    let first = place(&lot, 1).await;
    let second = place(&lot, 2).await;
    let said = |text: &str| ChatEvent::Said { text: text.into() };
    let before = chat.send(&said("a")).await.unwrap();
    let after = chat.send(&said("b")).await.unwrap();

    let mut client = open(&channels, &format!("/?resume=lot.7:{first}")).await;
    assert_eq!(client.receive_json::<Value>().await, placed(&second, 2));
    let end: Value = client.receive_json().await;
    assert_eq!(end, recovered("lot.7", &second, true));

    client.send(before.to_string()).await;
    let missed: Value = client.receive_json().await;
    assert_eq!(missed["event"]["text"], "b");
    let end: Value = client.receive_json().await;
    assert_eq!(end, recovered("chat.3", &after, true));

    let hall = channels.group::<HallEvent>("hall").unwrap();
    hall.send(&HallEvent::Closing).await.unwrap();
    let closing: Value = client.receive_json().await;
    assert_eq!(closing, json!({"type": "hall.closing"}));

    client.send("leave").await;
    client.receive_nothing().await;
    chat.send(&said("c")).await.unwrap();
    let third = place(&lot, 3).await;
    assert_eq!(client.receive_json::<Value>().await, placed(&third, 3));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_list_of_places_is_refused_with_the_reason() {
    let channels = Channels::in_memory();
    let app = Desk::application(&channels).boxed();
    let many: Vec<_> = (0..101).map(|topic| format!("t{topic}:1:a")).collect();
    let many = many.join(",");
    for list in [
        "lot.7",
        "lot.7:x:a",
        "lot.7:1",
        "lot.7:1:a-b",
        "a%20b:1:a",
        &many,
    ] {
        let request = Request::get(format!("/?resume={list}"));
        let mut client = WebSocketCommunicator::open(&app, request);

        assert_eq!(client.status().await, 400, "{list}");
        assert!(client.response().await.body().contains("resume"), "{list}");
    }
    let mut client = open(&channels, "/?resume=").await;
    assert_eq!(client.receive_json::<Value>().await["recovered"], true);
}
