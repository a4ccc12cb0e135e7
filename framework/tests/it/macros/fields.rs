//! Tests of `#[derive(WebSocketConsumer)]`: the sources of fields, and rejections.

use super::{open, stage, status};
use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Cookies, Result, WebSocketConsumer, consumer,
    middleware::Provide, routing::PathRouter, testing::WebSocketCommunicator,
};
use std::{fmt::Debug, sync::Arc};

#[derive(WebSocketConsumer)]
struct Visitor {
    #[param]
    room: u8,
    #[param("room")]
    same: Option<String>,
    #[param]
    floor: Option<u8>,
    #[query]
    name: String,
    #[query("from")]
    since: Option<i64>,
    #[query]
    r#type: Option<String>,
    #[query]
    handshake: Option<u8>,
    #[state]
    greeting: Arc<str>,
    cookies: Cookies,
    #[default]
    said: u64,
    #[default(name.len() + usize::from(room))]
    length: usize,
}

#[consumer]
impl Visitor {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        let cookie = self.cookies.get("theme").unwrap_or_default().to_owned();
        let fields = format!(
            "{:?}",
            (
                (self.room, &self.same, self.floor, &self.name),
                (self.since, &self.r#type, self.handshake),
                (&self.greeting, cookie, self.said, self.length),
            )
        );
        Ok(ctx.send(fields).await?)
    }
}

fn state() -> seaway::BoxApplication<seaway::protocol::WebSocket> {
    let visitor = Visitor::application(&Channels::in_memory());
    let greeting: Arc<str> = "hello".into();
    let app = PathRouter::new().route("/ws/{room}", visitor);
    app.with(Provide(greeting)).boxed()
}

#[tokio::test]
async fn every_field_is_filled_from_its_source() {
    let app = state();
    let path = "/ws/7?name=ana+b&from=-3&type=guest&handshake=1";
    let request = Request::get(path).header("cookie", "theme=dark");

    let mut visitor = WebSocketCommunicator::open(&app, request);

    assert_eq!(
        visitor.receive_text().await,
        r#"((7, Some("7"), None, "ana b"), (Some(-3), Some("guest"), Some(1)), ("hello", "dark", 0, 12))"#
    );
}

#[tokio::test]
async fn optional_fields_may_be_absent() {
    let mut visitor = open(&state(), "/ws/7?name=ana");

    assert_eq!(
        visitor.receive_text().await,
        r#"((7, Some("7"), None, "ana"), (None, None, None), ("hello", "", 0, 10))"#
    );
}

#[tokio::test]
async fn a_field_that_cannot_be_filled_rejects_with_its_status() {
    let app = state();

    for (path, expected) in [
        ("/ws/7?name=ana", 101),
        ("/ws/lobby?name=ana", 404),
        ("/ws/300?name=ana", 404),
        ("/ws/7", 400),
        ("/ws/7?name=ana&from=yesterday", 400),
        ("/ws/7?name=ana&from=", 400),
        ("/ws/7?name=ana&handshake=300", 400),
    ] {
        assert_eq!(status(&app, path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn missing_state_responds_500() {
    assert_eq!(status(&stage::<Visitor>(), "/ws/7?name=ana").await, 500);
}

#[tokio::test]
async fn a_consumer_without_fields_needs_nothing() {
    #[derive(WebSocketConsumer)]
    struct Empty {}

    #[consumer]
    impl Empty {}

    #[derive(WebSocketConsumer)]
    struct Unit;

    #[consumer]
    impl Unit {}

    assert_eq!(status(&stage::<Empty>(), "/ws/7").await, 101);
    assert_eq!(status(&stage::<Unit>(), "/ws/7").await, 101);
}

#[tokio::test]
async fn a_consumer_may_have_type_parameters() {
    #[derive(WebSocketConsumer)]
    struct Typed<T>
    where
        T: Default + Debug + Send + 'static,
    {
        #[default]
        value: T,
    }

    #[consumer]
    impl<T: Default + Debug + Send + 'static> Typed<T> {
        async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
            Ok(ctx.send(format!("{:?}", self.value)).await?)
        }
    }
    let mut client = open(&stage::<Typed<u8>>(), "/ws/lobby");

    client.send("?").await;

    assert_eq!(client.receive_text().await, "0");
}

/// The methods read no field, and the compiler reports only the one that nothing else reads.
mod read_by_attributes {
    use seaway::{Presence, WebSocketConsumer, consumer};

    #[deny(dead_code)]
    #[derive(WebSocketConsumer)]
    pub(super) struct Guest {
        #[param]
        lot: u32,
        #[query]
        r#type: String,
        #[query]
        name: String,
        #[query]
        seat: Option<String>,
        #[expect(dead_code, reason = "nothing reads it")]
        #[query]
        color: Option<String>,
        #[presence("lot.{lot}.{type}", key = name, meta = Seat { seat: seat.clone(), color: 7 })]
        here: Presence<Seat>,
    }

    #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
    pub(super) struct Seat {
        pub(super) seat: Option<String>,
        pub(super) color: u32,
    }

    #[consumer]
    impl Guest {}
}
