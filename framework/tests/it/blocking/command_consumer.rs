//! A blocking consumer that executes commands, and a gate that blocks its hooks.

use crate::{
    failing_consumers::Bomb,
    support::{Recorder, trouble},
};
use http::Request;
use seaway::{
    ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, BlockingPool,
    BoxApplication, Channels, Close, Group, Json, Rejection, Result, Shared, block_on,
    middleware::Provide, protocol::WebSocket, testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};
use std::{
    future::Future,
    sync::{Arc, Condvar, Mutex},
};

/// A gate that blocks threads until the test opens it.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(super) fn pass(&self) {
        let (is_open, opened) = &*self.0;
        let shut = is_open.lock().unwrap();
        drop(opened.wait_while(shut, |is_open| !*is_open).unwrap());
    }

    pub(super) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// A guard that opens the gate on drop: a failed test must not leave threads that its runtime waits
/// for.
pub(super) struct OpenAtLast(pub(super) Gate);

impl Drop for OpenAtLast {
    fn drop(&mut self) {
        self.0.open();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Say(String),
    Note(String),
    /// Records that it has started, and waits at the gate.
    Wait,
    Fail,
    Panic,
    /// Waits, and panics with a value whose drop panics.
    Bomb,
    Close(u16),
    Leave,
    Flood(u32),
    Visitor,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "said")]
pub(super) struct ChatEvent {
    pub(super) text: String,
}

impl seaway::Event for ChatEvent {}

pub(super) struct Clerk {
    recorder: Recorder,
    gate: Gate,
    room: Group<ChatEvent>,
}

impl BlockingConsumer for Clerk {
    type Input = Json<Order>;
    type Event = ChatEvent;

    fn connect(handshake: &mut BlockingHandshake<ChatEvent>) -> Result<Self, Rejection> {
        let recorder = handshake.state::<Recorder>()?.clone();
        let gate = handshake.state::<Gate>()?.clone();
        recorder.record("connect");
        let room = handshake.join("room")?;
        match handshake.raw_query("how").as_deref() {
            Some("slowly") => gate.pass(),
            Some("panic") => panic!("a connect that panics"),
            Some("reject") => return Err(Rejection::new(http::StatusCode::FORBIDDEN, "not you")),
            _ => {}
        }
        handshake.choose_subprotocol(&["clerk"]);
        Ok(Self {
            recorder,
            gate,
            room,
        })
    }

    fn opened(&mut self, ctx: &mut BlockingContext<ChatEvent>) -> Result<()> {
        Ok(ctx.send("welcome")?)
    }

    fn receive(&mut self, ctx: &mut BlockingContext<ChatEvent>, order: Json<Order>) -> Result<()> {
        match order.0 {
            Order::Say(text) => Ok(block_on(self.room.send(&ChatEvent { text }))?),
            Order::Note(entry) => {
                // Other threads may run now, but not the next hook.
                std::thread::yield_now();
                self.recorder.record(entry);
                Ok(())
            }
            Order::Wait => {
                self.recorder.record("waiting");
                self.gate.pass();
                self.recorder.record("waited");
                Ok(())
            }
            Order::Fail => Err(trouble().into()),
            Order::Panic => panic!("a hook that panics"),
            Order::Bomb => {
                self.recorder.record("waiting");
                self.gate.pass();
                std::panic::panic_any(Bomb)
            }
            Order::Close(code) => Ok(ctx.close(Close::new(code, "requested by the client"))?),
            Order::Leave => Ok(ctx.leave(&self.room)?),
            Order::Flood(count) => {
                Ok((0..count).try_for_each(|number| ctx.send(number.to_string()))?)
            }
            Order::Visitor => {
                let visitor = ctx.scope().raw_query("name").unwrap_or_default();
                Ok(ctx.send(visitor)?)
            }
        }
    }

    fn event(
        &mut self,
        ctx: &mut BlockingContext<ChatEvent>,
        said: Shared<ChatEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(said))?)
    }

    fn disconnect(self, close: Close) {
        self.recorder.record(format!("disconnect {}", close.code));
    }
}

/// The test's handles to its consumers.
pub(super) struct Office {
    pub(super) recorder: Recorder,
    pub(super) gate: Gate,
    pub(super) pool: BlockingPool,
    pub(super) app: BoxApplication<WebSocket>,
    _open: OpenAtLast,
}

impl Office {
    pub(super) fn of(limit: usize) -> Self {
        let (recorder, gate) = (Recorder::default(), Gate::default());
        let pool = BlockingPool::new(limit);
        let app = Clerk::application(&Channels::in_memory())
            .pool(&pool)
            .with(Provide(recorder.clone()))
            .with(Provide(gate.clone()))
            .boxed();
        Self {
            _open: OpenAtLast(gate.clone()),
            recorder,
            gate,
            pool,
            app,
        }
    }

    pub(super) async fn enter(&self) -> WebSocketCommunicator {
        enter(&self.app).await
    }
}

/// Runs a test on a runtime with one thread for blocking calls.
pub(super) fn with_one_thread(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(test);
}

pub(super) async fn enter(app: &BoxApplication<WebSocket>) -> WebSocketCommunicator {
    let mut client = WebSocketCommunicator::open(app, Request::get("/?name=ana"));
    assert_eq!(client.status().await, 101);
    assert_eq!(client.receive_text().await, "welcome");
    client
}
