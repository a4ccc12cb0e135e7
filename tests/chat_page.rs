//! Tests of the chat's page: escaping, layout, keyboard, limits.

use seaway_tests::support::{
    Browser, Page, Redis, Server, Visitor,
    browser_user::PASSWORD,
    page::{DESKTOP, Key, PHONE, SMALL_PHONE},
};
use serde_json::json;

#[tokio::test]
async fn script_in_any_input_is_shown_as_text() {
    // Each has at most the length of a name.
    const NAME: &str = "<img src=x onerror=owned=1>";
    const ROOM: &str = "<script>owned=1</script>\"'><svg>";
    const TEXT: &str =
        "<script>owned = 1</script><img src=x onerror='owned = 1'>&amp; javascript:owned=1";
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    let mallory = Visitor::sign_up(&browser, &chat, NAME).await;
    mallory.creates(ROOM).await;
    let path = mallory.page.eval("location.pathname").await;
    let path = path.as_str().expect("a path");

    ana.page.goto(&chat.page(path)).await;
    ana.is("connected").await;
    mallory.says(TEXT).await;
    mallory.page.type_text("#composer", "<b>").await;

    let text = |selector: &str| format!("document.querySelector('{selector}').textContent");
    for person in [&ana, &mallory] {
        person.sees(&[TEXT]).await;
        person.sees_people(&[NAME, "Ana"]).await;
        assert_eq!(person.page.eval(&text("#room-name")).await, ROOM);
        is_clean(person).await;
    }
    assert_eq!(ana.page.eval(&text("#messages .author")).await, NAME);
    ana.page.goto(&chat.page("/")).await;
    assert_eq!(ana.page.eval(&text("#rooms .room-name")).await, ROOM);
    assert_eq!(ana.page.eval(&text("#rooms .last-text")).await, TEXT);
    mallory.page.goto(&chat.page("/")).await;
    assert_eq!(mallory.page.eval(&text("#user-name")).await, NAME);
    for person in [&ana, &mallory] {
        is_clean(person).await;
    }

    // Values that a form shows again after an error, and values in the URL.
    for (page, name) in [
        ("/login", "\"><img src=x onerror=owned=1>"),
        ("/signup", NAME),
    ] {
        let query = "?next=%22%3E%3Cscript%3Eowned%3D1%3C%2Fscript%3E";
        let stranger = Visitor {
            page: browser.page().await,
        };
        stranger
            .page
            .goto(&chat.page(&format!("{page}{query}")))
            .await;
        stranger.fills_in(name, "not the password").await;
        stranger
            .page
            .wait_for("document.querySelector('#problem')?.textContent")
            .await;
        is_clean(&stranger).await;
    }
    ana.page
        .goto(&chat.page("/rooms/%3Cimg%20src=x%20onerror=owned=1%3E"))
        .await;
    ana.page.wait_for("document.querySelector('#home')").await;
    is_clean(&ana).await;
}

/// Checks that no user input has become markup or script.
async fn is_clean(visitor: &Visitor) {
    let made = "document.querySelectorAll('img, svg svg, body script').length";
    assert_eq!(visitor.page.eval(made).await, 0);
    assert_eq!(visitor.page.eval("typeof owned").await, "undefined");
    visitor.had_no_problems();
}

#[tokio::test]
async fn the_message_rate_limit_shows_when_to_continue() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::join(&browser, &chat, "Bo").await;

    // Typed by hand, they might be slow enough for the limit.
    ana.says_at_once(36).await;

    let refused = "document.querySelector('#messages > [data-state=refused] .delivery')";
    let words = format!("{refused}?.textContent.includes('too many messages, try again in 1 s')");
    ana.page.wait_for(&words).await;
    ana.page.screenshot("chat-messages-too-many").await;
    bo.says("I may").await;
    bo.page
        .wait_for("document.querySelector('#messages > .mine[data-state=sent]')")
        .await;
    ana.retries().await;
    let shown = "document.querySelectorAll('#messages > li').length";
    bo.page.wait_for_value(shown, &json!(37)).await;
}

#[tokio::test]
async fn only_links_are_clickable() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;

    ana.says("see https://example.org/a?b=c#d, or http://example.org; not javascript:alert(1) or ftp://x.example")
        .await;

    let links = "[...document.querySelectorAll('#messages .text a')].map((link) => \
                 [link.href, link.target, link.rel.includes('noopener')])";
    let expected = json!([
        ["https://example.org/a?b=c#d", "_blank", true],
        ["http://example.org/", "_blank", true],
    ]);
    ana.page.wait_for_value(links, &expected).await;
}

#[tokio::test]
async fn an_invalid_message_closes_its_websocket_alone() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::join(&browser, &chat, "Bo").await;

    for (nonsense, code) in [
        ("'not JSON'", 1007),
        ("'{\"type\":\"sing\"}'", 1007),
        ("'{\"type\":\"say\"}'", 1007),
        ("new Uint8Array([1, 2, 3])", 1007),
        ("'x'.repeat(200000)", 1009),
    ] {
        let script = format!(
            "new Promise((resolve) => {{
                 const socket = new WebSocket('/ws/rooms/harbour');
                 socket.onopen = () => socket.send({nonsense});
                 socket.onclose = ({{ code }}) => resolve(code);
             }})"
        );
        assert_eq!(bo.page.eval(&script).await, code, "{nonsense}");
    }

    bo.says("still here").await;
    ana.sees(&["still here"]).await;
}

#[tokio::test]
async fn an_anonymous_client_gets_no_websocket() {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;

    for path in ["/ws/rooms", "/ws/rooms/harbour", "/ws/rooms/nowhere"] {
        assert_eq!(
            chat.raw_client().await.upgrade(path, "").await,
            401,
            "{path}"
        );
    }
}

#[tokio::test]
async fn every_page_is_usable_by_keyboard() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor {
        page: browser.page().await,
    };
    ana.page.show_on(PHONE, "light").await;
    ana.page.goto(&chat.page("/signup")).await;

    has_focus(&ana.page, "name").await;
    ana.page.type_here("Ana").await;
    ana.page.press(Key::Tab).await;
    ana.page.type_here(PASSWORD).await;
    ana.page.press(Key::Enter).await;
    ana.page.arrives_at("/").await;
    tab_to(&ana.page, "room-name").await;
    ana.page.type_here("Harbour").await;
    ana.page.press(Key::Enter).await;
    ana.page.arrives_at("/rooms/harbour").await;
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

    tab_to(&ana.page, "leave").await;
    ana.page.press(Key::Enter).await;
    ana.page.arrives_at("/").await;
}

#[tokio::test]
async fn a_reload_remains_in_the_room_and_recognizes_own_messages() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    ana.says("mine").await;
    ana.sees(&["mine"]).await;

    ana.enters(&chat, "harbour").await;

    ana.sees(&["mine"]).await;
    ana.page
        .wait_for("document.querySelector('#messages .mine')")
        .await;
}

#[tokio::test]
async fn every_page_fits_a_desktop_and_a_phone_in_light_and_dark() {
    let (_redis, chat, browser) = one_chat().await;
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
    let stranger = Visitor {
        page: browser.page().await,
    };
    let list = idris.page_in_another_tab(&browser, &chat.page("/")).await;
    let lost = idris
        .page_in_another_tab(&browser, &chat.page("/rooms/nowhere"))
        .await;

    for (screen, screen_name) in [
        (DESKTOP, "desktop"),
        (PHONE, "phone"),
        (SMALL_PHONE, "small-phone"),
    ] {
        for colours in ["light", "dark"] {
            let look = format!("{screen_name}-{colours}");
            for page in ["login", "signup"] {
                stranger.page.goto(&chat.page(&format!("/{page}"))).await;
                show(
                    &stranger.page,
                    screen,
                    colours,
                    &format!("chat-{page}-{look}"),
                )
                .await;
            }
            for (page, name) in [(&list, "rooms"), (&lost, "error"), (&ana, "room")] {
                show(&page.page, screen, colours, &format!("chat-{name}-{look}")).await;
            }
        }
    }
    for person in [&ana, &stranger, &list, &lost] {
        person.had_no_problems();
    }
}

#[tokio::test]
async fn the_bars_texts_do_not_wrap_on_a_small_phone() {
    let (_redis, mut chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana Maria Fernández de la Cruz").await;
    let list = ana.page_in_another_tab(&browser, &chat.page("/")).await;
    list.is("connected").await;
    for page in [&ana.page, &list.page] {
        page.show_on(SMALL_PHONE, "light").await;
        page.wait_for(&format!("innerWidth === {}", SMALL_PHONE.0))
            .await;
    }

    chat.kill();

    let lines = |selector: &str| {
        format!(
            "(() => {{ const element = document.querySelector('{selector}');
                 const line = parseFloat(getComputedStyle(element).lineHeight);
                 return Math.round(element.offsetHeight / line); }})()"
        )
    };
    for (visitor, part) in [(&list, ".brand"), (&list, ".who"), (&ana, "#room-title")] {
        visitor.is("waiting").await;
        for part in [part, "#status-text"] {
            assert_eq!(visitor.page.eval(&lines(part)).await, 1, "{part}");
        }
        visitor
            .page
            .screenshot(&format!("chat-waiting-small-phone-{}", &part[1..]))
            .await;
    }
}

#[tokio::test]
async fn a_sentence_with_a_name_keeps_its_text_direction() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bakr = Visitor::join(&browser, &chat, "أبو بكر").await;

    bakr.page.type_text("#composer", "نعم").await;

    let typing = "document.querySelector('#typing-text')";
    ana.page
        .wait_for(&format!("{typing}.textContent.includes('is typing')"))
        .await;
    let direction = format!("getComputedStyle({typing}).direction");
    assert_eq!(ana.page.eval(&direction).await, "ltr");
    ana.page.screenshot("chat-typing-right-to-left").await;
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

/// Moves the focus with Tab until this element has it.
async fn tab_to(page: &Page, id: &str) {
    for _ in 0..20 {
        page.press(Key::Tab).await;
        if page.eval("document.activeElement.id").await == id {
            return;
        }
    }
    panic!("the Tab key never leads to {id}");
}

/// Takes a screenshot on a screen, where nothing may overflow horizontally.
async fn show(page: &Page, screen: (u32, u32, bool), colours: &str, name: &str) {
    page.show_on(screen, colours).await;
    page.wait_for(&format!("innerWidth === {}", screen.0)).await;
    let width = page.eval("document.documentElement.scrollWidth").await;
    assert_eq!(width, screen.0, "{name} sticks out");
    page.screenshot(name).await;
}
