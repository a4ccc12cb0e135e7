//! The example with the site that it starts.

use super::site::{beside, beside_with, site_with};
use seaway_tests::support::{
    Client, RawClient, Redis, child::Process, django::SECRET_KEY, raw, server::program,
    wait::DEADLINE,
};
use serde_json::json;
use std::{fs, path::Path};

#[tokio::test]
async fn the_example_serves_the_rooms_of_a_site_that_it_starts() {
    let redis = Redis::new().await;
    let hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher";
    let mut site = site_with(&redis, "db", json!({ "PASSWORD_HASHERS": [hasher] })).await;
    let superuser = json!({ "is_superuser": true, "is_staff": true });
    site.call_with("sign_up", json!(["root"]), superuser).await;
    let root = site.log_in_again("root").await;
    let beside = beside(&site, &redis).await;
    let port = beside.port();
    let (cookie, origin) = (
        format!("sessionid={root}"),
        format!("http://127.0.0.1:{port}"),
    );
    let headers = [("cookie", &*cookie), ("origin", &*origin)];
    let style = raw::ask(port, "GET /static/admin/css/base.css", &[], "").await;
    assert!(style.starts_with("HTTP/1.1 200"), "{style:.200}");

    // The same room, in Rust and in Python.
    let rust = Client::connect_with(port, "/ws/chat/lobby", &headers).await;
    let python = Client::connect_with(port, "/python/chat/lobby", &headers).await;
    let mut members = [rust, python];
    for (number, text) in ["from Rust", "from Python"].into_iter().enumerate() {
        members[number].send_json(&json!({ "text": text })).await;
        assert_receive(&mut members, "root", text).await;
    }
    let announced = site.call("announce", json!([root, "lobby", "from a view"]));
    assert_eq!(announced.await, 302);
    assert_receive(&mut members, "root", "from a view").await;
    site.call("command", json!(["announce", "lobby", "from a command"]))
        .await;
    assert_receive(&mut members, "announcement", "from a command").await;
    let added = site.call(
        "announce_in_admin",
        json!([root, "lobby", "from the admin"]),
    );
    assert_eq!(added.await, 302);
    assert_receive(&mut members, "announcement", "from the admin").await;

    // What the guide says about the differences.
    for (path, status) in [("/ws/chat/lobby", 401), ("/python/chat/lobby", 403)] {
        let mut stranger = RawClient::connect(port).await;
        let origin = format!("Origin: {origin}\r\n");
        assert_eq!(stranger.upgrade(path, &origin).await, status);
    }
    let [mut rust, _] = members;
    rust.send_json(&json!({ "txt": "mistyped" })).await;
    assert_eq!(rust.closed().await.0, 1007);
}

#[tokio::test]
async fn the_example_passes_its_fallback_keys_to_the_site_that_it_starts() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let cookie = format!("Cookie: sessionid={cookie}");
    let rotated = ["--secret-key", "the next key of the site"];
    for (fallback, user) in [
        (
            &[
                "--secret-key-fallback",
                "older",
                "--secret-key-fallback",
                SECRET_KEY,
            ][..],
            "ana",
        ),
        (&[], "nobody"),
    ] {
        let beside = beside_with(&site, &redis, &[&rotated, fallback].concat()).await;

        let page = raw::ask(beside.port(), "GET /", &[&cookie], "").await;

        assert!(page.contains(&format!("The page knows: {user}")), "{page}");
    }
}

#[tokio::test]
async fn the_example_refuses_a_fallback_key_that_its_site_would_take_for_two() {
    let mut command = program("beside-django");
    command.args(["--port", "0", "--secret-key-fallback", "a,b"]);
    let mut refused = Process::start("beside-django", &mut command, "it is not built");

    let status = refused.ended(DEADLINE).await;

    assert!(!status.success());
    let errors = refused.errors();
    assert!(errors.contains("a fallback key has a comma"), "{errors}");
}

#[test]
fn the_guide_shows_the_code_of_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).expect(file);
    let guide = read("docs/from-django.md");
    for file in ["consumers.py", "seaway.py", "signals.py"] {
        let python = read(&format!("examples/beside-django/site/chat/{file}"));
        let (_, code) = python.split_once("\"\"\"\n\n").expect("a docstring first");
        assert!(guide.contains(code), "{file}");
    }
    let rust = read("examples/beside-django/src/main.rs");
    let consumer = rust
        .split_once("#[consumer(forward)]\nimpl Chat {")
        .expect("the chat")
        .1;
    let (consumer, _) = consumer.split_once("\n}\n").expect("its end");
    assert!(guide.contains(consumer));
}

/// Checks that all members of a room receive this message next.
async fn assert_receive(members: &mut [Client], author: &str, text: &str) {
    for member in members {
        let received = member.json("chat.message").await;
        let expected = json!({ "type": "chat.message", "author": author, "text": text });
        assert_eq!(received, expected);
    }
}
