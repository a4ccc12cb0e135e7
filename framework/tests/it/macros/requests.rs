//! Tests of `#[on_message("…", reply)]`: requests and their replies.

use super::{open, stage};
use seaway::{
    Close, Context, Error, ErrorKind, Json, NoEvent, Result, WebSocketConsumer, consumer,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[derive(WebSocketConsumer)]
struct Bidder {
    #[default(100)]
    highest: u64,
    #[query]
    stays: Option<bool>,
}

#[derive(Serialize)]
struct Placed {
    cents: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Refusal {
    TooLow { highest: u64 },
}

#[derive(Deserialize)]
struct Note {
    text: String,
}

#[consumer]
impl Bidder {
    #[on_message("bid", reply)]
    async fn bid(&mut self, cents: u64) -> Result<Placed, Refusal> {
        if cents <= self.highest {
            let highest = self.highest;
            return Err(Refusal::TooLow { highest });
        }
        self.highest = cents;
        Ok(Placed { cents })
    }

    /// Its own errors reach the client, those of the database do not.
    #[on_message("sell", reply)]
    async fn sell(&mut self, outcome: String) -> Result<Result<(), Refusal>> {
        match outcome.as_str() {
            "sold" => Ok(Ok(())),
            "too low" => Ok(Err(Refusal::TooLow { highest: 1 })),
            _ => Err(database_error().into()),
        }
    }

    #[on_message("fail", reply)]
    fn fail(&mut self, as_closed: bool) -> Result<()> {
        match as_closed {
            true => Err(Error::new(ErrorKind::Closed, "somebody else is gone").into()),
            false => Err(database_error().into()),
        }
    }

    #[on_message("unwritable", reply)]
    fn unwritable(&mut self) -> Result<HashMap<(u8, u8), u8>> {
        Ok(HashMap::from([((1, 2), 3)]))
    }

    #[on_message("note", reply)]
    async fn note(&mut self, ctx: &mut Context<NoEvent>, Json(note): Json<Note>) -> Result<usize> {
        ctx.send(format!("noted {}", note.text)).await?;
        Ok(note.text.len())
    }

    /// Not a request: its `id` is a field.
    #[on_message("forget")]
    async fn forget(&mut self, ctx: &mut Context<NoEvent>, id: Vec<u8>) -> Result<()> {
        Ok(ctx.send(format!("forgot {id:?}")).await?)
    }

    async fn failed(&mut self, _: &mut Context<NoEvent>, error: Error) -> Result<()> {
        match self.stays {
            Some(true) => Ok(()),
            _ => Err(error.into()),
        }
    }
}

fn database_error() -> Error {
    Error::user(std::io::Error::other("secret: password of the database"))
}

#[tokio::test]
async fn a_request_gets_a_reply_under_its_id() {
    let mut client = open(&stage::<Bidder>(), "/ws/7");

    for (request, reply) in [
        (
            r#"{"type":"bid","id":7,"cents":200}"#,
            r#"{"type":"reply","id":7,"ok":{"cents":200}}"#,
        ),
        (
            r#"{"id":"a-1","cents":150,"type":"bid"}"#,
            r#"{"type":"reply","id":"a-1","error":{"too_low":{"highest":200}}}"#,
        ),
        (
            r#"{"type":"bid","id":-1,"cents":201}"#,
            r#"{"type":"reply","id":-1,"ok":{"cents":201}}"#,
        ),
        (
            r#"{"type":"bid","id":18446744073709551615,"cents":202}"#,
            r#"{"type":"reply","id":18446744073709551615,"ok":{"cents":202}}"#,
        ),
        (
            r#"{"type":"sell","id":0,"outcome":"sold"}"#,
            r#"{"type":"reply","id":0,"ok":null}"#,
        ),
        (
            r#"{"type":"sell","id":1,"outcome":"too low"}"#,
            r#"{"type":"reply","id":1,"error":{"too_low":{"highest":1}}}"#,
        ),
    ] {
        client.send(request).await;
        assert_eq!(client.receive_text().await, reply);
    }
}

#[tokio::test]
async fn a_handler_sends_before_its_reply_and_takes_the_whole_message() {
    let mut client = open(&stage::<Bidder>(), "/ws/7");

    client.send(r#"{"type":"note","id":1,"text":"ahoy"}"#).await;

    assert_eq!(client.receive_text().await, "noted ahoy");
    let reply = r#"{"type":"reply","id":1,"ok":4}"#;
    assert_eq!(client.receive_text().await, reply);
}

#[tokio::test]
async fn a_request_without_an_id_is_handled_and_gets_no_reply() {
    let mut client = open(&stage::<Bidder>(), "/ws/7");

    client.send(r#"{"type":"bid","cents":300}"#).await;
    client.send(r#"{"type":"bid","cents":300}"#).await;
    client.send(r#"{"type":"bid","id":null,"cents":301}"#).await;

    client.send(r#"{"type":"bid","id":1,"cents":301}"#).await;
    let reply = r#"{"type":"reply","id":1,"error":{"too_low":{"highest":301}}}"#;
    assert_eq!(client.receive_text().await, reply);
}

#[tokio::test]
async fn a_malformed_request_gets_a_reply_under_its_id_and_the_connection_stays_open() {
    let mut client = open(&stage::<Bidder>(), "/ws/7");

    for (request, reason) in [
        (r#"{"type":"bid","id":1}"#, "missing field `cents`"),
        (r#"{"type":"bid","id":1,"cents":"x"}"#, "invalid type"),
        (r#"{"type":"bidd","id":1}"#, "unknown variant `bidd`"),
        (r#"{"id":1,"cents":1}"#, "missing field `type`"),
    ] {
        client.send(request).await;

        let reply: serde_json::Value = serde_json::from_str(&client.receive_text().await).unwrap();
        assert_eq!(reply["type"], "reply", "{request}");
        assert_eq!(reply["id"], 1, "{request}");
        assert_eq!(reply["fault"]["kind"], "malformed", "{request}");
        let actual = reply["fault"]["reason"].as_str().unwrap();
        assert!(actual.contains(reason), "{request}: {actual}");
    }
}

/// The browser client probes a silent connection so, and gives it up without an answer.
#[tokio::test]
async fn the_probe_of_the_browser_client_gets_a_reply_from_a_consumer_without_a_method_for_it() {
    let mut client = open(&stage::<Bidder>(), "/ws/7");

    client.send(r#"{"type":"ping","id":0}"#).await;

    let reply: serde_json::Value = client.receive_json().await;
    assert_eq!((&reply["type"], &reply["id"]), (&"reply".into(), &0.into()));
    assert_eq!(reply["fault"]["kind"], "malformed");
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_malformed_message_without_a_usable_id_is_malformed() {
    for message in [
        r#"{"type":"bid"}"#,
        r#"{"type":"bid","id":{},"cents":1}"#,
        r#"{"type":"bid","id":1.5,"cents":1}"#,
        r#"{"type":"bid","id":1,"id":2,"cents":1000}"#,
        r#"{"type":"forget","id":1}"#,
        r#"["fail",false]"#,
        r#"["bid",7]"#,
        "7",
        "ahoy",
    ] {
        let mut client = open(&stage::<Bidder>(), "/ws/7");

        client.send(message).await;

        assert_eq!(
            client.receive_close().await.code,
            Close::INVALID,
            "{message}"
        );
    }
}

#[tokio::test]
async fn an_id_is_a_field_of_messages_that_are_no_requests() {
    let mut client = open(&stage::<Bidder>(), "/ws/7");

    client.send(r#"{"type":"forget","id":[1,2]}"#).await;

    assert_eq!(client.receive_text().await, "forgot [1, 2]");
}

#[tokio::test]
async fn a_failed_request_gets_a_reply_without_its_error_which_then_goes_to_failed() {
    for request in [
        r#"{"type":"fail","id":1,"as_closed":false}"#,
        r#"{"type":"fail","id":1,"as_closed":true}"#,
        r#"{"type":"sell","id":1,"outcome":"lost"}"#,
        r#"{"type":"unwritable","id":1}"#,
    ] {
        let mut client = open(&stage::<Bidder>(), "/ws/7");
        client.send(request).await;
        let reply = r#"{"type":"reply","id":1,"fault":{"kind":"failed"}}"#;
        assert_eq!(client.receive_text().await, reply, "{request}");
        assert_eq!(client.receive_close().await.code, Close::ERROR, "{request}");

        let mut client = open(&stage::<Bidder>(), "/ws/7?stays=true");
        client.send(request).await;
        assert_eq!(client.receive_text().await, reply, "{request}");
        client.send(r#"{"type":"bid","id":2,"cents":1}"#).await;
        assert!(client.receive_text().await.contains(r#""id":2"#));
    }
}
