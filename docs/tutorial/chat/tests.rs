#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, header, request};
    use seaway::{
        BoxApplication,
        protocol::{Http, WebSocket},
        session::MemoryStore,
        testing::{HttpCommunicator, WebSocketCommunicator},
    };
    use std::time::Duration;
    use tokio::time::sleep;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn two_people_talk_under_their_own_names() {
        let stage = Stage::new();
        let mut ana = stage.enter("lobby", "ana").await;
        let mut bo = stage.enter("lobby", "bo").await;
        assert_eq!(ana.receive_text().await, joined("bo"));

        bo.send(r#"{"type":"say","text":"ahoy"}"#).await;

        let ahoy = r#"{"type":"chat.message","from":"bo","text":"ahoy"}"#;
        assert_eq!(ana.receive_text().await, ahoy);
        assert_eq!(bo.receive_text().await, ahoy);
        bo.disconnect().await.unwrap();
        assert_eq!(ana.receive_text().await, left("bo"));
    }

    #[tokio::test]
    async fn a_stranger_is_sent_to_the_log_in_and_gets_no_socket() {
        let stage = Stage::new();

        let page = stage.ask(Request::get("/?room=attic"), "").await;
        let mut socket = stage.open_room("lobby", "session=AAAAAAAAAAAAAAAAAAAAAA");

        assert_eq!(page.status(), StatusCode::SEE_OTHER);
        assert_eq!(page.headers()["location"], "/login?next=%2F%3Froom%3Dattic");
        assert_eq!(socket.status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_wrong_key_logs_nobody_in() {
        let stage = Stage::new();

        let page = stage.ask(form("/login"), "key=guessed").await;

        assert_eq!(page.status(), StatusCode::UNAUTHORIZED);
        assert!(!page.headers().contains_key("set-cookie"));
    }

    #[tokio::test]
    async fn a_log_out_closes_the_sockets_and_tells_the_room() {
        let stage = Stage::new();
        let cookie = stage.log_in("ana").await;
        let mut ana = stage.open_room("lobby", &cookie);
        assert_eq!(ana.receive_text().await, joined("ana"));
        let mut bo = stage.enter("lobby", "bo").await;

        let log_out = form("/logout").header("cookie", &cookie);
        stage.ask(log_out, "").await;

        assert_eq!(ana.receive_text().await, joined("bo"));
        assert_eq!(ana.receive_close().await.code, Close::UNAUTHORIZED);
        ana.vanish().await.unwrap();
        assert_eq!(bo.receive_text().await, left("ana"));
        let mut again = stage.open_room("lobby", &cookie);
        assert_eq!(again.status().await, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_for_half_an_hour_is_sent_away() {
        let stage = Stage::new();
        let mut ana = stage.enter("lobby", "ana").await;

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
            let way = Way {
                next: Some(next.to_owned()),
            };
            assert_eq!(way.on(), expected, "{next:?}");
        }
    }

    /// The whole application, in memory.
    struct Stage {
        pages: BoxApplication<Http>,
        sockets: BoxApplication<WebSocket>,
    }

    impl Stage {
        fn new() -> Self {
            let accounts = ["ana", "bo"].map(|name| Account {
                name: name.to_owned(),
                key: format!("key-of-{name}"),
            });
            let files = Files {
                room: "the room".to_owned(),
                login: "the test".to_owned(),
            };
            let (channels, store) = (Channels::in_memory(), MemoryStore::default());
            let app = app(&channels, store, Accounts(accounts.into()), files);
            Self {
                pages: app.get::<Http>().unwrap().clone(),
                sockets: app.get::<WebSocket>().unwrap().clone(),
            }
        }

        async fn ask(
            &self,
            request: request::Builder,
            body: &str,
        ) -> axum::http::Response<seaway::bytes::Bytes> {
            let request = request.body(body.to_owned()).unwrap();
            let response = HttpCommunicator::request(&self.pages, request).await;
            response.unwrap()
        }

        /// Logs in, and returns the cookie.
        async fn log_in(&self, name: &str) -> String {
            let shown = format!("key=key-of-{name}");
            let page = self.ask(form("/login"), &shown).await;
            assert_eq!(page.status(), StatusCode::SEE_OTHER);
            let line = page.headers()[header::SET_COOKIE].to_str().unwrap();
            let (cookie, _) = line.split_once(';').unwrap();
            cookie.to_owned()
        }

        fn open_room(&self, room: &str, cookie: &str) -> WebSocketCommunicator {
            let request = Request::get(format!("/ws/chat/{room}")).header("cookie", cookie);
            WebSocketCommunicator::open(&self.sockets, request)
        }

        /// Connects a client, and waits until it has joined.
        async fn enter(&self, room: &str, name: &str) -> WebSocketCommunicator {
            let cookie = self.log_in(name).await;
            let mut visitor = self.open_room(room, &cookie);
            assert_eq!(visitor.receive_text().await, joined(name));
            visitor
        }
    }

    fn form(path: &str) -> request::Builder {
        Request::post(path).header("content-type", "application/x-www-form-urlencoded")
    }

    fn joined(name: &str) -> String {
        format!(r#"{{"type":"chat.joined","name":"{name}"}}"#)
    }

    fn left(name: &str) -> String {
        format!(r#"{{"type":"chat.left","name":"{name}"}}"#)
    }
}
