//! Tests of `#[on_message]` and `#[on]`: dispatch by type.

use super::{open, stage};
use seaway::{
    Channels, Close, Context, Event, Group, Json, Message, Result, Shared, WebSocketConsumer,
    consumer, testing::WebSocketCommunicator,
};
use serde::Deserialize;

#[derive(WebSocketConsumer)]
pub struct Painter;

#[derive(Deserialize)]
struct Line {
    from: (i32, i32),
    to: (i32, i32),
}

#[consumer]
impl Painter {
    #[on_message("dot")]
    async fn dot(
        &mut self,
        context: &mut Context,
        x: i32,
        mut y: i32,
        #[serde(default)] ctx: Option<String>,
        #[serde(rename = "penWidth", default)] _pen_width: u8,
    ) -> Result<()> {
        y += 1;
        Ok(context.send(format!("{x} {y} {ctx:?}")).await?)
    }

    #[on_message("line")]
    async fn line(&mut self, ctx: &Context, Json(line): Json<Line>) -> Result<()> {
        Ok(ctx.send(format!("{:?} {:?}", line.from, line.to)).await?)
    }

    #[on_message("move")]
    async fn r#move(&mut self, ctx: &mut Context, r#where: String, _by: u8) -> Result<()> {
        Ok(ctx.send(r#where).await?)
    }

    #[on_message("find")]
    async fn find(&mut self, _match: String, _gen: u8) {}

    /// A direct call by its name works as well.
    #[on_message("clear")]
    async fn clear(&mut self, ctx: &mut Context) -> Result<()> {
        self.r#move(ctx, "cleared".to_owned(), 0).await
    }

    #[on_message("idle")]
    fn idle(&self) {}

    #[on_message("fail")]
    fn fail(&self, reason: String) -> Result<()> {
        Err(seaway::Error::user(reason).into())
    }
}

async fn paint(message: impl Into<Message>) -> WebSocketCommunicator {
    let mut painter = open(&stage::<Painter>(), "/ws/lobby");
    painter.send(message).await;
    painter
}

#[tokio::test]
async fn a_message_that_is_a_list_is_malformed() {
    let mut painter = paint(r#"["move","here",1]"#).await;

    assert_eq!(painter.receive_close().await.code, Close::INVALID);
}

#[tokio::test]
async fn the_parameters_of_a_method_are_the_fields_of_its_message() {
    for (message, expected) in [
        (r#"{"type":"dot","x":1,"y":1}"#, "1 2 None"),
        (r#"{"y":1,"ctx":"c","x":1,"type":"dot"}"#, "1 2 Some(\"c\")"),
        (
            r#"{"type":"dot","x":1,"y":1,"penWidth":3,"more":0}"#,
            "1 2 None",
        ),
        (
            r#"{"type":"line","from":[0,1],"to":[2,3]}"#,
            "(0, 1) (2, 3)",
        ),
        (r#"{"type":"move","where":"there","by":1}"#, "there"),
        (r#"{"type":"clear"}"#, "cleared"),
    ] {
        assert_eq!(paint(message).await.receive_text().await, expected);
    }
}

#[tokio::test]
async fn an_unused_parameter_may_have_a_keyword_as_its_field() {
    let mut painter = paint(r#"{"type":"find","match":"red","_gen":1}"#).await;
    let missing = painter.receive_close().await;
    let mut painter = paint(r#"{"type":"find","match":"red","gen":1}"#).await;
    painter.send(r#"{"type":"clear"}"#).await;

    assert!(missing.reason().contains("missing field `gen`"));
    assert_eq!(painter.receive_text().await, "cleared");
}

#[tokio::test]
async fn a_method_need_be_neither_async_nor_fallible() {
    let mut painter = paint(r#"{"type":"idle"}"#).await;
    painter.send(r#"{"type":"clear"}"#).await;
    assert_eq!(painter.receive_text().await, "cleared");

    painter.send(r#"{"type":"fail","reason":"no paint"}"#).await;
    assert_eq!(painter.receive_close().await.code, 1011);
}

#[tokio::test]
async fn a_message_that_matches_no_method_is_malformed() {
    for (message, expected) in [
        (
            Message::text(r#"{"type":"wipe"}"#),
            "expected one of `dot`, `line`, `move`",
        ),
        (Message::text(r#"{"x":1}"#), "missing field `type`"),
        (Message::text("7"), "a message with a `type`"),
        (
            Message::text(r#"{"type":"dot","x":1}"#),
            "missing field `y`",
        ),
        (
            Message::text(r#"{"type":"dot","x":"1","y":1}"#),
            "invalid type: string",
        ),
        (Message::text("{oops"), "unexpected JSON"),
        (Message::binary("{}"), "expected a text message"),
    ] {
        let close = paint(message).await.receive_close().await;

        assert_eq!(close.code, 1007);
        assert!(close.reason().contains(expected), "{close:?}");
    }
}

#[tokio::test]
async fn a_consumer_without_message_methods_rejects_messages() {
    #[derive(WebSocketConsumer)]
    struct Deaf;
    #[consumer]
    impl Deaf {}
    let mut client = open(&stage::<Deaf>(), "/ws/lobby");

    client.send("anyone?").await;

    assert_eq!(
        client.receive_close().await,
        Close::new(1007, "this consumer accepts no messages")
    );
}

#[derive(Event)]
enum CallEvent {
    Ring,
    Ended,
    Missed { by: String },
    Held { by: String },
}

#[derive(WebSocketConsumer)]
struct Phone {
    #[group("phones")]
    _phones: Group<CallEvent>,
}

#[consumer]
impl Phone {
    #[on("call.ring")]
    async fn ring(&mut self, ctx: &mut Context<CallEvent>) -> Result<()> {
        Ok(ctx.send("ring").await?)
    }

    #[on("call.ended")]
    #[on("call.missed")]
    async fn over(&mut self, ctx: &mut Context<CallEvent>, call: Shared<CallEvent>) -> Result<()> {
        Ok(ctx.send(Json(call)).await?)
    }

    async fn event(&mut self, ctx: &mut Context<CallEvent>, _: Shared<CallEvent>) -> Result<()> {
        Ok(ctx.send("something else").await?)
    }
}

#[tokio::test]
async fn each_event_runs_its_method_and_all_others_run_event() {
    let channels = Channels::in_memory();
    let app = seaway::ApplicationExt::boxed(Phone::application(&channels));
    let mut phone = open(&app, "/");
    assert_eq!(phone.status().await, 101);
    let phones = channels.group::<CallEvent>("phones").unwrap();
    let by = || "bo".to_owned();

    for (event, expected) in [
        (CallEvent::Ring, "ring"),
        (CallEvent::Ended, r#"{"type":"call.ended"}"#),
        (
            CallEvent::Missed { by: by() },
            r#"{"type":"call.missed","by":"bo"}"#,
        ),
        (CallEvent::Held { by: by() }, "something else"),
    ] {
        phones.send(&event).await.unwrap();
        assert_eq!(phone.receive_text().await, expected);
    }
}
