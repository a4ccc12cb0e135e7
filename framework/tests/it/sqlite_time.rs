//! Tests of timers beside SQLite, which works on a thread that paused time does not wait for.

use seaway::{
    Channels, Context, Handshake, NoEvent, Rejection, Result, Session, Timer, WebSocketConsumer,
    from_service, middleware::Sessions, routing::ProtocolTypeRouter, testing::TestClient,
};
use std::time::Duration;
use tower_sessions_sqlx_store::{SqliteStore, sqlx::sqlite::SqlitePoolOptions};

const HOUR: Duration = Duration::from_secs(3600);

/// Counts the hours in its session.
struct Hours {
    session: Session,
}

impl WebSocketConsumer for Hours {
    type Input = String;
    type Event = NoEvent;

    const TIMERS: &'static [Timer] = &[Timer::every("hour", HOUR)];

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        session.insert("hours", 0).await?;
        Ok(Self { session })
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send("0").await?)
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }

    async fn timer(&mut self, ctx: &mut Context, _: &Timer) -> Result<()> {
        self.session.load().await?;
        let hours = self.session.get::<u32>("hours").await?.unwrap_or_default() + 1;
        self.session.insert("hours", hours).await?;
        self.session.save().await?;
        Ok(ctx.send(hours.to_string()).await?)
    }
}

async fn hours(session: Session) -> Result<String> {
    let hours: Option<u32> = session.get("hours").await?;
    Ok(format!("{hours:?}"))
}

/// The function of `docs/testing.md`.
async fn jump(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_timer_that_uses_sqlite_runs_after_a_jump() {
    let pool = SqlitePoolOptions::new().max_connections(1);
    let store = SqliteStore::new(pool.connect("sqlite::memory:").await.unwrap());
    store.migrate().await.unwrap();
    let channels = Channels::in_memory();
    let pages = axum::Router::new().route("/", axum::routing::get(hours));
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(Hours::application(&channels))
        .with(Sessions::new(store, &channels));
    let client = TestClient::new(&app);
    let mut socket = client.websocket("/");
    // The timer begins after the handshake response and before `opened`.
    assert_eq!(socket.receive_text().await, "0");

    for hours in ["1", "2"] {
        jump(HOUR).await;
        assert_eq!(socket.receive_text().await, hours);
    }

    assert_eq!(client.get("/").await.text(), "Some(2)");
}
