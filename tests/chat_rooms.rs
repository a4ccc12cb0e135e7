//! Tests of the chat's rooms: the list with unread counts, the history, and the separation of
//! rooms.

use seaway_tests::support::{Browser, Redis, Server, Visitor};
use serde_json::json;
use tower_sessions_sqlx_store::sqlx::{self, SqlitePool};

#[tokio::test]
async fn the_list_counts_unread_messages_live_and_after_a_reload() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::sign_up(&browser, &chat, "Bo").await;
    bo.page
        .wait_for("document.querySelector('#rooms [data-slug=harbour]')")
        .await;

    ana.says("first").await;
    ana.says("second").await;
    ana.sees(&["first", "second"]).await;
    has_unread(&bo, 2).await;
    let preview = "document.querySelector('#rooms .last-text').textContent";
    bo.page.wait_for_value(preview, &json!("second")).await;
    bo.page.screenshot("chat-rooms-unread").await;
    bo.page.goto(&chat.page("/")).await;
    has_unread(&bo, 2).await;

    bo.enters(&chat, "harbour").await;
    bo.sees(&["first", "second"]).await;
    let list = bo.page_in_another_tab(&browser, &chat.page("/")).await;
    has_unread(&list, 0).await;
    bo.page.goto(&chat.page("/")).await;
    has_unread(&bo, 0).await;
    ana.says("third").await;
    has_unread(&bo, 1).await;
    has_unread(&list, 1).await;
}

#[tokio::test]
async fn a_new_room_appears_on_every_list() {
    let redis = Redis::new().await;
    let one = Server::chat_on(&redis).await;
    let two = Server::chat_beside(&one, &redis).await;
    let browser = Browser::new().await;
    let ana = Visitor::sign_up(&browser, &one, "Ana").await;
    let bo = Visitor::sign_up(&browser, &two, "Bo").await;
    bo.is("connected").await;

    ana.creates("Night Watch & Co").await;

    let names =
        "[...document.querySelectorAll('#rooms .room-name')].map((name) => name.textContent)";
    bo.page
        .wait_for_value(names, &json!(["Night Watch & Co"]))
        .await;
    bo.page.click("#rooms a").await;
    bo.page.arrives_at("/rooms/night-watch-co").await;
    bo.is("connected").await;
}

#[tokio::test]
async fn a_rooms_name_is_unique() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    ana.page.goto(&chat.page("/")).await;

    ana.page.type_text("#room-name", "Harbour").await;
    ana.page.click("#create").await;
    ana.page
        .wait_for("document.querySelector('#room-name-problem')?.textContent")
        .await;

    for name in ["", "   ", "x".repeat(41).as_str()] {
        let status = ana.posts("/rooms", &[("name", name)]).await;
        assert_eq!(status, 400, "{name:?}");
    }
}

#[tokio::test]
async fn the_room_rate_limit_shows_when_to_continue() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    let bo = Visitor::sign_up(&browser, &chat, "Bo").await;
    for number in 1..=10 {
        let name = format!("Room {number}");
        assert_eq!(ana.posts("/rooms", &[("name", &name)]).await, 0, "{name}");
    }

    assert_eq!(ana.posts("/rooms", &[("name", "Room 11")]).await, 429);
    ana.page.type_text("#room-name", "Room 11").await;
    ana.page.click("#create").await;

    let problem =
        "document.querySelector('#room-name-problem')?.textContent.includes('Try again in ')";
    ana.page.wait_for(problem).await;
    ana.page.screenshot("chat-rooms-too-many").await;
    let typed = "document.querySelector('#room-name').value";
    assert_eq!(ana.page.eval(typed).await, "Room 11");
    assert_eq!(bo.posts("/rooms", &[("name", "Room 11")]).await, 0);
}

#[tokio::test]
async fn a_path_with_invalid_utf_8_responds_404() {
    let (_redis, mut chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;

    for path in ["/rooms/%ff", "/rooms/%ff/messages?before=9"] {
        let status = format!("fetch('{path}').then((answer) => answer.status)");
        assert_eq!(ana.page.eval(&status).await, 404, "{path}");
    }

    assert!(!chat.errors().contains("ERROR"), "{}", chat.errors());
}

#[tokio::test]
async fn a_message_after_the_read_marker_remains_unread() {
    let (_redis, chat, browser) = one_chat().await;
    let list = Visitor::join(&browser, &chat, "Ana").await;
    list.page.goto(&chat.page("/")).await;
    let listen = "new Promise((resolve) => {
        const socket = new WebSocket(`ws://${location.host}/ws/rooms`);
        socket.onmessage = ({ data }) => {
            const frame = JSON.parse(data);
            if (frame.type === 'rooms.seen') window.seen = frame;
        };
        socket.onopen = () => resolve(); })";
    list.page.eval(listen).await;
    let ana = list.another_tab(&browser, &chat, "harbour").await;

    // The server sends the id of the message up to which all is read …
    ana.says("hello").await;
    ana.sees(&["hello"]).await;
    let newest = "Number(document.querySelector('#messages > li:last-child').dataset.id)";
    let seen =
        json!({ "type": "rooms.seen", "room": "harbour", "id": ana.page.eval(newest).await });
    list.page.wait_for_value("window.seen", &seen).await;

    // … and a later one that was received before that remains unread.
    let counted = "import('/static/unread-counts.js').then(({ UnreadCounts }) => {
        const counts = new UnreadCounts();
        const room = 'harbour';
        counts.take(room, 3, 7);
        counts.active({ room, id: 8, user: 2 }, 1);
        counts.active({ room, id: 9, user: 1 }, 1);
        const unread = [counts.of(room)];
        for (const id of [6, 7, 9]) {
            counts.seen({ room, id });
            unread.push(counts.of(room));
        }
        return unread; })";
    assert_eq!(list.page.eval(counted).await, json!([4, 4, 1, 0]));
}

#[tokio::test]
async fn right_to_left_names_are_aligned_with_the_others() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    ana.says("good morning").await;
    ana.sees(&["good morning"]).await;
    ana.page.goto(&chat.page("/")).await;
    ana.creates("غرفة الميناء").await;
    ana.says("صباح الخير").await;
    ana.sees(&["صباح الخير"]).await;

    ana.page.goto(&chat.page("/")).await;

    let starts = "new Set([...document.querySelectorAll('.room-name, .last-text')].map((text) => {
                      const range = document.createRange();
                      range.selectNodeContents(text);
                      return Math.round(range.getBoundingClientRect().left); })).size";
    assert_eq!(
        ana.page
            .eval("document.querySelectorAll('.last-text').length")
            .await,
        2
    );
    assert_eq!(ana.page.eval(starts).await, 1);
    ana.page.screenshot("chat-rooms-right-to-left").await;
}

#[tokio::test]
async fn messages_of_one_room_do_not_appear_in_another() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::sign_up(&browser, &chat, "Bo").await;
    bo.creates("Cabin").await;

    ana.page.type_text("#composer", "for the harbour").await;
    ana.says("for the harbour").await;
    bo.says("for the cabin").await;

    ana.sees(&["for the harbour"]).await;
    bo.sees(&["for the cabin"]).await;
    ana.sees_people(&["Ana"]).await;
    bo.sees_people(&["Bo"]).await;
    for person in [&ana, &bo] {
        let typing = "document.querySelector('#typing-text').textContent";
        assert_eq!(person.page.eval(typing).await, "");
    }
    let past = "fetch('/rooms/harbour/messages?before=1000000').then((answer) => answer.json()) \
                .then((past) => past.messages.map((message) => message.text))";
    assert_eq!(bo.page.eval(past).await, json!(["for the harbour"]));
}

#[tokio::test]
async fn scrolling_up_loads_older_messages_until_the_first() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let said = Vec::from_iter((1..=130).map(|number| format!("message {number}")));
    // The rate limit does not allow so many messages at once.
    let database = format!("sqlite://{}/chat.db", chat.data().display());
    let database = SqlitePool::connect(&database).await.expect("the chat's");
    for text in &said {
        let insert = "INSERT INTO messages (room, user, key, text, at) VALUES (1, 1, ?1, ?1, 0)";
        let inserted = sqlx::query(insert).bind(text).execute(&database).await;
        inserted.expect("Ana and the harbour are the first");
    }
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    ana.sees(&said).await;

    let bo = Visitor::join(&browser, &chat, "Bo").await;
    bo.sees(&said[80..]).await;
    let first = "document.querySelector('#messages > li .text').textContent";
    let scroll = "document.querySelector('#log').scrollTo(0, 0)";
    bo.page
        .wait_for(&format!("({scroll}, {first} === 'message 1')"))
        .await;

    bo.sees(&said).await;
    bo.page
        .wait_for(&format!(
            "({scroll}, document.querySelector('#past').dataset.state === 'beginning')"
        ))
        .await;
    bo.had_no_problems();
}

async fn has_unread(visitor: &Visitor, count: u32) {
    let shown = "document.querySelector('#rooms [data-slug=harbour]')?.dataset.unread";
    let expected = json!(count.to_string());
    visitor.page.wait_for_value(shown, &expected).await;
}

async fn one_chat() -> (Redis, Server, Browser) {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;
    (redis, chat, Browser::new().await)
}
