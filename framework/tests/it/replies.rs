//! What becomes of a session when the reply goes wrong.

use crate::{log::Log, site::asking};
use axum::{Router, routing::get};
use seaway::{
    ApplicationExt, BoxApplication, Channels, Result, Session, WebSocketConsumer, from_service,
    middleware::Sessions,
    protocol::Http,
    session::{
        Id, Record, SessionStore,
        session_store::{Error as StoreError, Result as StoreResult},
    },
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use std::time::Duration;

fn ask(house: &BoxApplication<Http>, path: &str, cookie: &str) -> HttpCommunicator {
    let request = asking(&path.replace(' ', "%20"), &[("cookie", cookie)]).body(String::new());
    HttpCommunicator::open(house, request.unwrap())
}

/// A store that takes for ever to begin a session.
#[derive(Debug)]
struct Swamp;

#[async_trait::async_trait]
impl SessionStore for Swamp {
    async fn create(&self, _: &mut Record) -> StoreResult<()> {
        std::future::pending().await
    }
    async fn save(&self, _: &Record) -> StoreResult<()> {
        Err(StoreError::Backend("it is never asked".to_owned()))
    }
    async fn load(&self, _: &Id) -> StoreResult<Option<Record>> {
        Ok(None)
    }
    async fn delete(&self, _: &Id) -> StoreResult<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hold_the_reply_for_ever() {
    let channels = Channels::in_memory();
    let note = async |session: Session| {
        session
            .insert("note", "kept")
            .await
            .map_err(seaway::Error::from)
    };
    let pages = from_service(Router::new().route("/", get(note)))
        .with(Sessions::new(Swamp, &channels))
        .boxed();
    let sockets = Noting::application(&channels)
        .with(Sessions::new(Swamp, &channels))
        .boxed();
    let log = Log::listen();

    let mut page = ask(&pages, "/", "");
    tokio::time::sleep(Duration::from_secs(11)).await;

    assert_eq!(page.status().await, 503);
    let line = log.line("WARN");
    assert!(line.contains("reply hooks took longer than 10 s"), "{line}");
    let mut socket = WebSocketCommunicator::open(&sockets, asking("/", &[]));
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(socket.status().await, 503);
}

/// Begins a session at the door.
struct Noting;

impl WebSocketConsumer for Noting {
    type Input = String;
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut seaway::Handshake) -> Result<Self, seaway::Reject> {
        let session: Session = handshake.extract().await?;
        session
            .insert("note", "kept")
            .await
            .map_err(seaway::Error::from)?;
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut seaway::Context, _: String) -> Result<()> {
        Ok(())
    }
}
