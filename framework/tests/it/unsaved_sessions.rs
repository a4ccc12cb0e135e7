//! Changes of a session in an open connection, which no response saves.

use crate::log::Log;
use seaway::{
    ApplicationExt, Channels, Handshake, Rejection, Result, Session, WebSocketConsumer, consumer,
    middleware::{Provide, Sessions},
    routing::ProtocolTypeRouter,
    session::{MemoryStore, SessionStore},
    testing::TestClient,
};

const LOST: &str = "lost changes of a session";

/// Stores each text in the session, unless it is the name of something else to do.
struct Draft {
    session: Session,
    store: MemoryStore,
}

#[consumer]
impl Draft {
    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        if handshake.query("begin")? {
            session.insert("draft", "").await?;
        }
        let store = handshake.state::<MemoryStore>()?.clone();
        Ok(Self { session, store })
    }

    async fn receive(&mut self, text: String) -> Result<()> {
        match text.as_str() {
            "log out" => self.session.flush().await?,
            "save" => self.session.save().await?,
            "fail to save" => drop(self.session.save().await.unwrap_err()),
            "delete" => self.store.delete(&self.session.id().unwrap()).await?,
            _ => self.session.insert("draft", &text).await?,
        }
        Ok(())
    }
}

async fn write(texts: &[&str]) -> Vec<String> {
    write_to("/?begin=true", texts).await
}

async fn write_to(path: &str, texts: &[&str]) -> Vec<String> {
    let log = Log::listen();
    let channels = Channels::in_memory();
    let store = MemoryStore::default();
    let sessions = Sessions::new(store.clone(), &channels);
    let drafts = Draft::application(&channels)
        .with(sessions)
        .with(Provide(store));
    let client = TestClient::new(&ProtocolTypeRouter::new().websocket(drafts));
    let mut socket = client.websocket(path);
    for text in texts {
        socket.send(*text).await;
    }
    socket.disconnect().await.unwrap();
    drop(client);
    log.lines(LOST)
}

#[tokio::test]
async fn a_change_that_was_not_saved_is_logged_when_the_connection_ends() {
    assert_eq!(write(&["ahoy", "ahoy again"]).await.len(), 1);
    assert_eq!(write(&["ahoy", "save", "ahoy again"]).await.len(), 1);
}

#[tokio::test]
async fn changes_that_were_stored_or_ended_with_the_session_are_not_logged() {
    assert_eq!(write(&[]).await, [] as [&str; 0]);
    assert_eq!(write(&["ahoy", "log out"]).await, [] as [&str; 0]);
    assert_eq!(write(&["ahoy", "save"]).await, [] as [&str; 0]);
}

#[tokio::test]
async fn changes_are_not_logged_if_their_save_has_said_that_there_is_no_session() {
    let none = [] as [&str; 0];
    assert_eq!(write(&["delete", "ahoy", "fail to save"]).await, none);
    assert_eq!(
        write_to("/?begin=false", &["ahoy", "fail to save"]).await,
        none
    );
}

#[tokio::test]
async fn a_change_after_a_save_that_has_said_that_there_is_no_session_is_logged() {
    let texts = ["delete", "ahoy", "fail to save", "ahoy again"];
    assert_eq!(write(&texts).await.len(), 1);
}
