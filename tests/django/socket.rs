//! A socket that sends whom it knows.

use seaway_tests::support::{
    Client, Server,
    wait::{DEADLINE, until},
};
use serde_json::Value;

/// Opens a socket with these `Cookie` headers, and returns whom it knows.
pub(super) async fn who(server: &Server, cookies: &[String]) -> (Client, Value) {
    let headers: Vec<_> = cookies
        .iter()
        .map(|cookie| ("cookie", cookie.as_str()))
        .collect();
    let mut socket = Client::connect_with(server.port(), "/ws/whoami", &headers).await;
    let known = serde_json::from_str(&socket.text().await).expect("JSON");
    (socket, known)
}

/// Opens a socket with this session cookie, and returns the name of its user.
pub(super) async fn who_is(server: &Server, cookie: &str) -> (Client, Value) {
    let (socket, mut known) = who(server, &[format!("sessionid={cookie}")]).await;
    (socket, known["user"].take())
}

/// Checks that a socket is open after an exchange with the server.
pub(super) async fn assert_open(socket: &mut Client) {
    socket.answers_ping().await;
}

/// Waits until the server has logged that it could not check a user, whom it keeps.
pub(super) async fn warns_of_a_failed_check(server: &mut Server) {
    until("a warning", DEADLINE, async || {
        let log = server.errors();
        log.contains("could not recheck a user of Django")
            .then_some(())
    })
    .await;
}
