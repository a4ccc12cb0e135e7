//! Tests of clients that send without a pause.

use crate::support::eventually;
use seaway::{
    Accepted, Application, ApplicationExt, Channels, Context, Handshake, Listener, NoEvent,
    Rejection, Result, Scope, Timer, WebSocketConsumer, application_fn,
    protocol::{Upgrade, WebSocket, WebSocketConfig},
    routing::ProtocolTypeRouter,
    serve,
};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::has_budget_remaining,
};

const HANDSHAKE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// The text `flood`, and a ping, with a masking key of zeros.
const FRAMES: &[u8] = b"\x81\x85\0\0\0\0flood\x89\x80\0\0\0\0";

/// A client from which there is always more to read, until it is told to stop. It reads all that it
/// is sent.
#[derive(Clone, Default)]
struct Flood {
    has_begun: Arc<AtomicBool>,
    has_stopped: Arc<AtomicBool>,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Flood {
    /// Waits until the client has received these bytes.
    async fn receives(&self, bytes: &[u8]) {
        let mut tail = Vec::new();
        eventually(|| {
            tail.append(&mut self.received.lock().unwrap());
            let found = tail.windows(bytes.len()).any(|place| place == bytes);
            tail.drain(..tail.len().saturating_sub(bytes.len()));
            found.then_some(())
        })
        .await;
    }
}

/// Ends the flood, also if the test fails.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.has_begun.swap(true, Relaxed) {
            buffer.put_slice(HANDSHAKE);
        } else if !self.has_stopped.load(Relaxed) {
            while buffer.remaining() >= FRAMES.len() {
                buffer.put_slice(FRAMES);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // As a socket does.
        if !has_budget_remaining() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.received.lock().unwrap().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A listener with one client.
struct Once(Option<Flood>);

impl Listener for Once {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match self.0.take() {
            Some(flood) => Ok(Accepted::new(flood, None)),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok("memory".to_owned())
    }
}

/// Serves a client that floods this application.
fn flood(app: impl Application<WebSocket>) -> (Flood, Stop) {
    let flood = Flood::default();
    let listener = Once(Some(flood.clone()));
    tokio::spawn(async move {
        let app = ProtocolTypeRouter::new().websocket(app);
        serve(listener, app).stop_on(std::future::pending()).await
    });
    let stop = Stop(flood.has_stopped.clone());
    (flood, stop)
}

/// Replies to the first message alone, and sends `tick` in between.
#[derive(Default)]
struct Replier {
    has_replied: bool,
}

impl WebSocketConsumer for Replier {
    type Input = String;
    type Event = NoEvent;
    const TIMERS: &'static [Timer] = &[Timer::every("tick", Duration::from_millis(50))];

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self::default())
    }

    async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
        match std::mem::replace(&mut self.has_replied, true) {
            true => Ok(()),
            false => Ok(ctx.send("reply").await?),
        }
    }

    async fn timer(&mut self, ctx: &mut Context, _: &Timer) -> Result<()> {
        Ok(ctx.send("tick").await?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_timers_and_pongs_reach_a_client_that_never_pauses() {
    let (client, _stop) = flood(Replier::application(&Channels::in_memory()));

    client.receives(b"\x81\x05reply").await;
    client.receives(b"\x81\x04tick").await;
    client.receives(b"\x8a\x00").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_maximum_age_ends_the_connection_of_a_client_that_never_pauses() {
    let limits = WebSocketConfig::new().max_age(Duration::from_millis(50));
    let (client, _stop) = flood(Replier::application(&Channels::in_memory()).with(limits));

    client
        .receives(b"the connection has reached its maximum age")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_that_receives_from_a_client_that_never_pauses_can_send_to_it() {
    let app = application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async move {
        let mut socket = upgrade.accept().await?;
        _ = socket.receive().await;
        socket.sender().send("reply").await?;
        while socket.receive().await.is_some() {}
        Ok(())
    });
    let (client, _stop) = flood(app);

    client.receives(b"\x81\x05reply").await;
    client.receives(b"\x8a\x00").await;
}
