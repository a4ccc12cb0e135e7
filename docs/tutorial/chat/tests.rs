#[cfg(test)]
mod tests {
    use super::*;
    use seaway::{
        session::MemoryStore,
        testing::{TestClient, WebSocketCommunicator},
    };
    use std::time::Duration;
    use tokio::time::sleep;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn two_people_talk_under_their_own_names() {
        let test_app = TestApp::new();
        let mut ana = test_app.connect("lobby", "ana").await;
        let mut bo = test_app.connect("lobby", "bo").await;
        assert_eq!(ana.receive_text().await, joined("bo"));

        bo.send(r#"{"type":"say","text":"ahoy"}"#).await;

        let ahoy = r#"{"type":"chat.message","from":"bo","text":"ahoy"}"#;
        assert_eq!(ana.receive_text().await, ahoy);
        assert_eq!(bo.receive_text().await, ahoy);
        bo.disconnect().await.unwrap();
        assert_eq!(ana.receive_text().await, left("bo"));
    }

    #[tokio::test]
    async fn an_anonymous_client_is_redirected_and_gets_no_websocket() {
        let client = TestApp::new().client();
        client.set_cookie("session", "AAAAAAAAAAAAAAAAAAAAAA");

        let page = client.get("/?room=attic").await;
        let mut socket = client.websocket("/ws/chat/lobby");

        assert_eq!(page.status(), StatusCode::SEE_OTHER);
        assert_eq!(page.header("location"), Some("/login?next=%2F%3Froom%3Dattic"));
        assert_eq!(socket.status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn only_the_right_key_logs_in() {
        let client = TestApp::new().client();

        let page = client.post("/login").form(&[("key", "guessed")]).await;
        assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(client.cookie("session"), None);

        let page = client.post("/login").form(&[("key", "key-of-ana")]).await;
        assert_eq!(page.header("location"), Some("/"));
        assert_eq!(client.get("/").await.text(), "the room");
    }

    #[tokio::test]
    async fn a_logout_closes_the_sockets_and_notifies_the_room() {
        let test_app = TestApp::new();
        let client = test_app.log_in("ana").await;
        let mut ana = client.websocket("/ws/chat/lobby");
        assert_eq!(ana.receive_text().await, joined("ana"));
        let mut bo = test_app.connect("lobby", "bo").await;

        client.post("/logout").await;

        assert_eq!(ana.receive_text().await, joined("bo"));
        assert_eq!(ana.receive_close().await.code, Close::UNAUTHORIZED);
        ana.drop_connection().await.unwrap();
        assert_eq!(bo.receive_text().await, left("ana"));
        let mut again = client.websocket("/ws/chat/lobby");
        assert_eq!(again.status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_silent_for_half_an_hour_is_disconnected() {
        let test_app = TestApp::new();
        let mut ana = test_app.connect("lobby", "ana").await;

        sleep(MINUTE * 29 + MINUTE / 2).await;
        ana.send(r#"{"type":"say","text":"still here"}"#).await;
        ana.receive_text().await;
        sleep(MINUTE * 29).await;
        ana.receive_nothing().await;
        sleep(MINUTE).await;

        assert_eq!(ana.receive_close().await.code, 4000);
    }

    #[test]
    fn only_paths_of_this_site_are_followed() {
        for (next, expected) in [
            ("/", "/"),
            ("/?room=attic", "/?room=attic"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("", "/"),
        ] {
            let query = LogInQuery {
                next: Some(next.to_owned()),
            };
            assert_eq!(query.local_path(), expected, "{next:?}");
        }
    }

    /// The whole application, in memory.
    struct TestApp(ProtocolTypeRouter);

    impl TestApp {
        fn new() -> Self {
            let accounts = ["ana", "bo"].map(account);
            let files = Files {
                room: "the room".to_owned(),
                login: "the test".to_owned(),
            };
            let (channels, store) = (Channels::in_memory(), MemoryStore::default());
            Self(app(&channels, store, Accounts(accounts.into()), files))
        }

        /// A client without cookies.
        fn client(&self) -> TestClient {
            TestClient::new(&self.0)
        }

        async fn log_in(&self, name: &str) -> TestClient {
            let client = self.client();
            client.log_in_as(&account(name)).await;
            client
        }

        /// Connects a client, and waits until it has joined.
        async fn connect(&self, room: &str, name: &str) -> WebSocketCommunicator {
            let client = self.log_in(name).await;
            let mut socket = client.websocket(&format!("/ws/chat/{room}"));
            assert_eq!(socket.receive_text().await, joined(name));
            socket
        }
    }

    fn account(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            key: format!("key-of-{name}"),
        }
    }

    fn joined(name: &str) -> String {
        format!(r#"{{"type":"chat.joined","name":"{name}"}}"#)
    }

    fn left(name: &str) -> String {
        format!(r#"{{"type":"chat.left","name":"{name}"}}"#)
    }
}
