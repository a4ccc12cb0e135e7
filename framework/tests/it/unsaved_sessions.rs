//! Changes of a session in an open connection, which no response saves.

use crate::log::Log;
use seaway::{
    ApplicationExt, Channels, Handshake, Rejection, Result, Session, WebSocketConsumer, consumer,
    middleware::Sessions, routing::ProtocolTypeRouter, session::MemoryStore, testing::TestClient,
};

const LOST: &str = "lost changes of a session";

/// Stores each text in the session, unless it is the name of something else to do.
struct Draft(Session);

#[consumer]
impl Draft {
    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        session.insert("draft", "").await?;
        Ok(Self(session))
    }

    async fn receive(&mut self, text: String) -> Result<()> {
        match text.as_str() {
            "log out" => self.0.flush().await?,
            "save" => self.0.save().await?,
            _ => self.0.insert("draft", &text).await?,
        }
        Ok(())
    }
}

async fn write(texts: &[&str]) -> Vec<String> {
    let log = Log::listen();
    let channels = Channels::in_memory();
    let sessions = Sessions::new(MemoryStore::default(), &channels);
    let drafts = Draft::application(&channels).with(sessions);
    let client = TestClient::new(&ProtocolTypeRouter::new().websocket(drafts));
    let mut socket = client.websocket("/");
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
