//! Accounts of the chat, in a real browser: who comes in, who stays out, and how one leaves.

use seaway_tests::support::{Browser, Redis, Server, Visitor, visitor::PASSWORD};
use serde_json::json;

#[tokio::test]
async fn somebody_signs_up_logs_out_and_logs_in_again() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    ana.page.click("#logout").await;
    ana.page.arrives_at("/login").await;

    ana.fills_in("Ana", "a wrong password").await;
    ana.page
        .wait_for("document.querySelector('#problem')?.textContent")
        .await;
    ana.page.screenshot("chat-login-wrong").await;
    ana.fills_in("ana", PASSWORD).await;

    ana.page.arrives_at("/").await;
    let name = ana
        .page
        .eval("document.querySelector('#user-name').textContent");
    assert_eq!(name.await, "Ana");
    ana.had_no_problems();
}

#[tokio::test]
async fn a_stranger_is_sent_to_the_log_in_and_from_there_to_where_he_wanted() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    ana.page.click("#logout").await;
    ana.page.arrives_at("/login").await;

    ana.page.open(&chat.page("/rooms/harbour")).await;
    ana.page.arrives_at("/login?next=%2Frooms%2Fharbour").await;
    ana.fills_in("Ana", PASSWORD).await;

    ana.page.arrives_at("/rooms/harbour").await;
    ana.is("connected").await;
}

#[tokio::test]
async fn the_way_back_leads_nowhere_else() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    for elsewhere in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "javascript:alert(1)",
    ] {
        ana.page.goto(&chat.page("/")).await;
        ana.page.click("#logout").await;
        ana.page.arrives_at("/login").await;
        let login = format!("/login?next={}", encoded(elsewhere));
        ana.page.open(&chat.page(&login)).await;

        ana.fills_in("Ana", PASSWORD).await;

        ana.page.arrives_at("/").await;
    }
    ana.had_no_problems();
}

#[tokio::test]
async fn a_log_out_in_one_tab_closes_the_others_of_that_session_on_both_servers_and_nobody_elses() {
    let redis = Redis::new().await;
    let one = Server::chat_on(&redis).await;
    let two = Server::chat_beside(&one, &redis).await;
    let browser = Browser::new().await;
    let ana = Visitor::join(&browser, &one, "Ana").await;
    let here = ana.another_tab(&browser, &one, "harbour").await;
    let there = ana.another_tab(&browser, &two, "harbour").await;
    let bo = Visitor::join(&browser, &two, "Bo").await;
    let elsewhere = Visitor {
        page: browser.page().await,
    };
    elsewhere
        .page
        .goto(&one.page("/login?next=%2Frooms%2Fharbour"))
        .await;
    elsewhere.fills_in("Ana", PASSWORD).await;
    elsewhere.is("connected").await;

    ana.page.click("#logout").await;

    ana.page.arrives_at("/login").await;
    for tab in [&here, &there] {
        tab.page.arrives_at("/login?next=%2Frooms%2Fharbour").await;
    }
    bo.says("who is still here?").await;
    elsewhere.sees(&["who is still here?"]).await;
    bo.sees_people(&["Ana", "Bo"]).await;
}

#[tokio::test]
async fn a_name_is_taken_once_however_it_is_written() {
    let (_redis, chat, browser) = one_chat().await;
    Visitor::sign_up(&browser, &chat, "Ana").await;
    let other = Visitor {
        page: browser.page().await,
    };

    for name in ["Ana", "aNA", "  ana "] {
        other.page.goto(&chat.page("/signup")).await;
        other.fills_in(name, PASSWORD).await;
        let problem =
            "document.querySelector('#problem')?.textContent.includes('has this name already')";
        other.page.wait_for(problem).await;
    }
}

#[tokio::test]
async fn nobody_tries_all_passwords() {
    let redis = Redis::new().await;
    let one = Server::chat_on(&redis).await;
    let two = Server::chat_beside(&one, &redis).await;
    let browser = Browser::new().await;
    let ana = Visitor::sign_up(&browser, &one, "Ana").await;
    ana.page.click("#logout").await;
    ana.page.arrives_at("/login").await;

    // Half of them at each server: they count together.
    for server in [&one, &two] {
        ana.page.goto(&server.page("/login")).await;
        let csrf = ana.csrf().await;
        for guess in ["guess one", "guess two", "guess three", "guess four"] {
            let fields = [
                ("csrf", csrf.as_str()),
                ("name", "Ana"),
                ("password", guess),
                ("next", ""),
            ];
            ana.posts("/login", &fields).await;
        }
    }
    ana.fills_in("Ana", PASSWORD).await;

    let problem = "document.querySelector('#problem')?.textContent";
    ana.page.wait_for(problem).await;
    ana.page.arrives_at("/login").await;
    ana.page.screenshot("chat-login-too-often").await;
    let csrf = ana.csrf().await;
    let fields = [
        ("csrf", csrf.as_str()),
        ("name", "Ana"),
        ("password", PASSWORD),
        ("next", ""),
    ];
    assert_eq!(ana.posts("/login", &fields).await, 429);
}

#[tokio::test]
async fn a_form_that_another_site_sends_is_refused() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    let csrf = ana.csrf().await;
    let mallory = Visitor::sign_up(&browser, &chat, "Mallory").await;
    let mallorys = mallory.csrf().await;

    for secret in ["", "guessed", mallorys.as_str()] {
        let room = [("csrf", secret), ("name", "Pirates")];
        assert_eq!(ana.posts("/rooms", &room).await, 403, "{secret}");
        assert_eq!(ana.posts("/logout", &[("csrf", secret)]).await, 403);
        let login = [
            ("csrf", secret),
            ("name", "Mallory"),
            ("password", PASSWORD),
            ("next", ""),
        ];
        assert_eq!(ana.posts("/login", &login).await, 403);
        let sign_up = [
            ("csrf", secret),
            ("name", "Eve"),
            ("password", PASSWORD),
            ("next", ""),
        ];
        assert_eq!(ana.posts("/signup", &sign_up).await, 403);
    }

    assert_eq!(
        ana.posts("/rooms", &[("csrf", csrf.as_str()), ("name", "Crew")])
            .await,
        0
    );
    ana.enters(&chat, "crew").await;
}

#[tokio::test]
async fn a_form_complains_of_one_thing_at_a_time() {
    let (_redis, chat, browser) = one_chat().await;
    Visitor::sign_up(&browser, &chat, "Ana").await;
    let other = Visitor {
        page: browser.page().await,
    };
    other.page.goto(&chat.page("/signup")).await;
    let complaints =
        "[...document.querySelectorAll('.problem')].map((one) => one.textContent).filter(Boolean)";

    other.fills_in("Ana", PASSWORD).await;
    let taken = json!(["Somebody has this name already."]);
    other.page.wait_for_value(complaints, &taken).await;
    other.page.click("#submit").await;

    let missing = json!(["Please choose a password."]);
    other.page.wait_for_value(complaints, &missing).await;
}

async fn one_chat() -> (Redis, Server, Browser) {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;
    (redis, chat, Browser::new().await)
}

/// A value in a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
