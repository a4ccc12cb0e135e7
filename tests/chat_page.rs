//! The page of the chat by itself: what it shows, to whom, and how it is used.

use seaway_tests::support::{
    Browser, Page, Redis, Server, Visitor,
    page::{DESK, Key, PHONE, SMALL_PHONE},
    visitor::ROOM,
};
use serde_json::json;

#[tokio::test]
async fn script_in_a_name_or_a_text_is_shown_as_text() {
    const NAME: &str = "<img src=x onerror=owned=1>";
    const TEXT: &str = "<script>owned = 1</script><img src=x onerror='owned = 1'>&amp;";
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let mallory = Visitor::join(&browser, &chat, NAME).await;

    mallory.says(TEXT).await;

    for person in [&ana, &mallory] {
        person.sees(&[TEXT]).await;
        let made = person
            .page
            .eval("document.querySelectorAll('#deck img, #deck script').length")
            .await;
        assert_eq!(made, 0);
        assert_eq!(person.page.eval("typeof owned").await, "undefined");
        person.had_no_problems();
    }
    let author = ana
        .page
        .eval("document.querySelector('#messages .author').textContent")
        .await;
    assert_eq!(author, NAME);
    ana.sees_people(&["Ana", NAME]).await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor {
        page: browser.page().await,
    };
    ana.page.show_on(PHONE, "light").await;
    ana.page.goto(&chat.page(ROOM)).await;

    has_focus(&ana.page, "name").await;
    ana.page.press(Key::Enter).await;
    ana.page
        .wait_for("document.querySelector('#name-problem').textContent")
        .await;
    has_focus(&ana.page, "name").await;
    ana.page.type_here("Ana").await;
    ana.page.press(Key::Enter).await;
    ana.is("connected").await;

    has_focus(&ana.page, "composer").await;
    ana.page.type_here("hands off the mouse").await;
    ana.page.press(Key::Enter).await;
    ana.sees(&["hands off the mouse"]).await;
    has_focus(&ana.page, "composer").await;

    tab_to(&ana.page, "people-toggle").await;
    ana.page.press(Key::Enter).await;
    has_focus(&ana.page, "panel-title").await;
    ana.page.screenshot("chat-people-phone-light").await;
    ana.page.press(Key::Escape).await;
    has_focus(&ana.page, "people-toggle").await;

    ana.page.press(Key::Tab).await;
    has_focus(&ana.page, "leave").await;
    ana.page.press(Key::Enter).await;
    has_focus(&ana.page, "room").await;
}

#[tokio::test]
async fn a_reload_stays_in_the_room_and_knows_what_was_mine() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    ana.says("mine").await;
    ana.sees(&["mine"]).await;

    ana.page.goto(&chat.page(ROOM)).await;

    ana.is("connected").await;
    ana.sees(&["mine"]).await;
    ana.page
        .wait_for("document.querySelector('#messages .mine')")
        .await;
}

#[tokio::test]
async fn the_page_fits_a_desk_and_a_phone_by_day_and_by_night() {
    let (_redis, chat, browser) = one_chat().await;
    let newcomer = browser.page().await;
    newcomer.goto(&chat.page(ROOM)).await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let idris = Visitor::join(&browser, &chat, "Idris").await;
    let talk = [
        (
            &idris,
            "Morning. Wind is south-west four, going round to the west by noon, with some swell left over.",
        ),
        (&idris, "Nothing that should stop us."),
        (&ana, "Good. I am on the quay already."),
        (&ana, "Shall I bring the sail bag along, or is it on board?"),
        (
            &idris,
            "On board: https://example.org/a/long/address/without/a/place/to/break/it/in/two/parts?at=all",
        ),
    ];
    for (said, (person, text)) in talk.iter().enumerate() {
        person.says(text).await;
        let so_far: Vec<&str> = talk[..=said].iter().map(|(_, text)| *text).collect();
        ana.sees(&so_far).await;
    }
    ana.sees_people(&["Ana", "Idris"]).await;

    for (screen, screen_name) in [
        (DESK, "desk"),
        (PHONE, "phone"),
        (SMALL_PHONE, "small-phone"),
    ] {
        for colours in ["light", "dark"] {
            show(
                &newcomer,
                screen,
                colours,
                &format!("chat-join-{screen_name}-{colours}"),
            )
            .await;
            show(
                &ana.page,
                screen,
                colours,
                &format!("chat-room-{screen_name}-{colours}"),
            )
            .await;
        }
    }
    ana.had_no_problems();
}

async fn one_chat() -> (Redis, Server, Browser) {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;
    (redis, chat, Browser::new().await)
}

async fn has_focus(page: &Page, id: &str) {
    page.wait_for_value("document.activeElement.id", &json!(id))
        .await;
}

/// Moves the focus on, around the page, until it is there.
async fn tab_to(page: &Page, id: &str) {
    for _ in 0..20 {
        page.press(Key::Tab).await;
        if page.eval("document.activeElement.id").await == id {
            return;
        }
    }
    panic!("the Tab key never leads to {id}");
}

/// Takes a screenshot on a screen, where nothing may stick out sideways.
async fn show(page: &Page, screen: (u32, u32, bool), colours: &str, name: &str) {
    page.show_on(screen, colours).await;
    page.wait_for(&format!("innerWidth === {}", screen.0)).await;
    let width = page.eval("document.documentElement.scrollWidth").await;
    assert_eq!(width, screen.0, "{name} sticks out");
    page.screenshot(name).await;
}
