//! Tests of hooks that are recognized by their names, and of timers.

use super::{open, stage, status};
use crate::support::Recorder;
use seaway::{
    ApplicationExt, Channels, Close, Context, Error, Event, Group, Handshake, Json, Message,
    Rejection, Result, Shared, Timer, WebSocketConsumer, consumer, consumer::Trigger,
    middleware::Provide,
};
use std::time::Duration;

#[derive(Event)]
enum WardEvent {
    Knock,
}

/// A consumer with every hook, each without its context.
#[derive(WebSocketConsumer)]
struct Ward {
    #[state]
    recorder: Recorder,
    #[group("ward")]
    ward: Group<WardEvent>,
}

#[consumer]
impl Ward {
    fn opened(&mut self) {
        self.recorder.record("opened");
    }

    async fn receive(&mut self, Json(number): Json<u8>) -> Result<()> {
        self.recorder.record(format!("receive {number}"));
        match number {
            0 => Err(Error::user("zero").into()),
            _ => Ok(self.ward.send(&WardEvent::Knock).await?),
        }
    }

    async fn event(&mut self, _: Shared<WardEvent>) {
        self.recorder.record("event");
    }

    async fn malformed(&mut self, error: Error, message: Message) {
        let text = format!("malformed: {error:#} in {message:?}");
        self.recorder.record(text);
    }

    fn failed(&mut self, error: Error, trigger: Trigger) -> Result<()> {
        let text = format!("failed: {error} on {trigger}");
        self.recorder.record(text);
        Ok(())
    }

    fn disconnect(self, close: Close) {
        self.recorder.record(format!("disconnect {}", close.code));
    }
}

#[tokio::test]
async fn hooks_are_recognized_by_their_names() {
    let recorder = Recorder::default();
    let ward = Ward::application(&Channels::in_memory());
    let mut client = open(&ward.with(Provide(recorder.clone())).boxed(), "/");

    for (message, noted) in [("1", 3), ("0", 5), ("x", 6)] {
        client.send(message).await;
        recorder.wait_for(noted).await;
    }
    client.close(1000).await.unwrap();

    assert_eq!(
        recorder.entries(),
        [
            "opened",
            "receive 1",
            "event",
            "receive 0",
            "failed: zero on message",
            r#"malformed: unexpected JSON: expected value at line 1 column 1 in Text("x")"#,
            "disconnect 1000",
        ]
    );
}

/// A consumer with its own `connect`, which uses the derived code.
#[derive(WebSocketConsumer)]
#[consumer(event = WardEvent)]
struct Guarded {
    #[query]
    word: String,
}

#[consumer]
impl Guarded {
    async fn connect(handshake: &mut Handshake<WardEvent>) -> Result<Self, Rejection> {
        let guarded = <Self as seaway::FromHandshake>::from_handshake(handshake).await?;
        match guarded.word.as_str() {
            "sesame" => Ok(guarded),
            _ => Err(Rejection::from_status(http::StatusCode::FORBIDDEN)),
        }
    }
}

#[tokio::test]
async fn a_hand_written_connect_is_used() {
    let app = stage::<Guarded>();

    assert_eq!(status(&app, "/ws/lobby").await, 400);
    assert_eq!(status(&app, "/ws/lobby?word=oats").await, 403);
    assert_eq!(status(&app, "/ws/lobby?word=sesame").await, 101);
}

#[tokio::test]
async fn the_consumer_macro_works_without_derive() {
    struct Plain;
    #[consumer]
    impl Plain {
        fn connect(_: &mut Handshake) -> impl Future<Output = Result<Self, Rejection>> + Send {
            std::future::ready(Ok(Plain))
        }
    }

    struct WithRejection;
    #[consumer(event = WardEvent)]
    impl WithRejection {
        async fn connect(handshake: &mut Handshake<WardEvent>) -> Result<Self, Rejection> {
            handshake.join("ward").await?;
            Ok(WithRejection)
        }
    }

    assert_eq!(status(&stage::<Plain>(), "/ws/lobby").await, 101);
    assert_eq!(status(&stage::<WithRejection>(), "/ws/lobby").await, 101);
}

const SLOW: u64 = 1;

#[derive(WebSocketConsumer)]
struct Clock;

#[consumer]
impl Clock {
    #[every(millis = 250)]
    async fn quarter(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send("quarter").await?)
    }

    #[every(seconds = 2 * 30)]
    fn minute(&mut self) {}

    #[every(minutes = SLOW)]
    async fn slow(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send("slow").await?)
    }
}

#[tokio::test(start_paused = true)]
async fn timer_intervals_accept_every_unit() {
    let expected = [("quarter", 250), ("minute", 60_000), ("slow", 60_000)];
    let expected = expected.map(|(name, millis)| Timer::every(name, Duration::from_millis(millis)));
    assert_eq!(Clock::TIMERS, expected);
    let mut clock = open(&stage::<Clock>(), "/ws/lobby");
    assert_eq!(clock.status().await, 101);

    for _ in 0..3 {
        assert_eq!(clock.receive_text().await, "quarter");
    }
}

#[tokio::test]
async fn a_method_may_return_any_error() {
    #[derive(WebSocketConsumer)]
    struct Lenient;

    #[consumer]
    impl Lenient {
        async fn opened(&mut self, ctx: &mut Context) -> Result<(), Error> {
            ctx.send("hello").await
        }

        async fn receive(&mut self, text: String) -> anyhow::Result<()> {
            anyhow::ensure!(text == "ahoy", "that is no greeting");
            Ok(())
        }

        async fn failed(&mut self, ctx: &mut Context, error: Error) -> Result<(), Error> {
            ctx.send(format!("{error:#}")).await
        }
    }
    let mut client = open(&stage::<Lenient>(), "/ws/lobby");

    assert_eq!(client.receive_text().await, "hello");
    client.send("hi").await;
    let failure = client.receive_text().await;
    assert_eq!(failure, "that is no greeting");
}
