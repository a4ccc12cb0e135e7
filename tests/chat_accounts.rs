//! Tests of the chat's accounts in a real browser: sign-up, login, rate limits, logout.

use seaway_tests::support::{Browser, Redis, Server, Visitor, browser_user::PASSWORD};
use serde_json::{Value, json};

#[tokio::test]
async fn a_user_signs_up_logs_out_and_logs_in_again() {
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
    assert_eq!(user_name(&ana).await, "Ana");
    ana.had_no_problems();
}

#[tokio::test]
async fn an_anonymous_user_is_redirected_to_the_login_and_back() {
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
async fn the_redirect_after_login_leads_to_no_other_site() {
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
async fn a_logout_closes_all_tabs_of_its_session_on_both_servers_and_no_others() {
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
async fn a_name_is_unique_in_any_spelling() {
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
async fn login_attempts_are_limited_across_servers() {
    let redis = Redis::new().await;
    let one = Server::chat_on(&redis).await;
    let two = Server::chat_beside(&one, &redis).await;
    let browser = Browser::new().await;
    let ana = Visitor::sign_up(&browser, &one, "Ana").await;
    ana.page.click("#logout").await;
    ana.page.arrives_at("/login").await;

    // Half of them on each server: the servers count together.
    for server in [&one, &two] {
        ana.page.goto(&server.page("/login")).await;
        for guess in ["guess one", "guess two", "guess three", "guess four"] {
            let fields = [("name", "Ana"), ("password", guess)];
            ana.posts("/login", &fields).await;
        }
    }
    ana.fills_in("Ana", PASSWORD).await;

    let problem = "document.querySelector('#problem')?.textContent";
    ana.page.wait_for(problem).await;
    ana.page.arrives_at("/login").await;
    ana.page.screenshot("chat-login-too-often").await;
    let fields = [("name", "Ana"), ("password", PASSWORD)];
    assert_eq!(ana.posts("/login", &fields).await, 429);
}

#[tokio::test]
async fn attempts_count_for_the_account_in_any_spelling_of_its_name() {
    let (_redis, chat, browser) = one_chat().await;
    Visitor::sign_up(&browser, &chat, "Ana").await;
    let mallory = Visitor::sign_up(&browser, &chat, "Mallory").await;
    let hidden = |count| "\u{200b}".repeat(count);
    let tries = async |name: &str, password| {
        let fields = [("name", name), ("password", password)];
        mallory.posts("/login", &fields).await
    };

    for name in ["Ana", "aNA", "Ａｎａ", &format!("A{}na", hidden(5))] {
        assert_eq!(tries(name, "a guess").await, 400, "{name:?}");
    }

    for name in ["ana", &format!("{}Ana", hidden(27))] {
        assert_eq!(tries(name, PASSWORD).await, 429, "{name:?}");
    }
    // No account can have a name of so many characters, even if few remain without the invisible
    // ones.
    assert_eq!(tries(&format!("{}Ana", hidden(31)), PASSWORD).await, 400);
}

#[tokio::test]
async fn a_login_to_one_account_does_not_allow_more_attempts_at_another() {
    let (_redis, chat, browser) = one_chat().await;
    Visitor::sign_up(&browser, &chat, "Ana").await;
    let anabel = Visitor::sign_up(&browser, &chat, "Anabel").await;
    let tries = async |name: &str, password| {
        let fields = [("name", name), ("password", password)];
        anabel.posts("/login", &fields).await
    };
    assert_eq!(tries("Ana", "guess one").await, 400);
    assert_eq!(tries("Ana", "guess two").await, 400);

    let padded = format!("Ana{}bel", "\u{200b}".repeat(28));
    assert_eq!(tries(&padded, PASSWORD).await, 400);
    assert_eq!(tries("Ana\u{200b}bel", PASSWORD).await, 0);

    assert_eq!(tries("Ana", "guess three").await, 400);
    assert_eq!(tries("Ana", "guess four").await, 400);
    assert_eq!(tries("Ana", "guess five").await, 429);
}

#[tokio::test]
async fn a_name_with_look_alikes_of_another_script_is_rejected() {
    let (_redis, chat, browser) = one_chat().await;
    Visitor::sign_up(&browser, &chat, "Ana").await;
    let other = Visitor {
        page: browser.page().await,
    };
    other.page.goto(&chat.page("/signup")).await;

    // The first letter is Cyrillic.
    other.fills_in("Аna", PASSWORD).await;

    let problem = "document.querySelector('#problem')?.textContent.includes('one script')";
    other.page.wait_for(problem).await;
    other.page.screenshot("chat-signup-look-alike").await;
    other.fills_in("Аня", PASSWORD).await;
    other.page.arrives_at("/").await;
}

#[tokio::test]
async fn a_form_from_another_site_is_rejected() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    let elsewhere = browser.tab_beside(&ana.page).await;

    for (path, name) in [
        ("/rooms", "Pirates"),
        ("/logout", ""),
        ("/login", "Ana"),
        ("/signup", "Eve"),
    ] {
        elsewhere.goto("about:blank").await;
        let address = json!(chat.page(path));
        let fields = json!({ "name": name, "password": PASSWORD });
        let send = format!(
            "(() => {{ const form = document.createElement('form');
                 Object.assign(form, {{ method: 'post', action: {address} }});
                 for (const [name, value] of Object.entries({fields})) {{
                     const input = document.createElement('input');
                     form.append(Object.assign(input, {{ name, value }}));
                 }}
                 document.body.append(form);
                 form.submit(); }})()"
        );
        elsewhere.eval(&send).await;
        elsewhere
            .wait_for("document.body.innerText.includes('by a page of another origin')")
            .await;
    }

    ana.page.goto(&chat.page("/")).await;
    assert_eq!(user_name(&ana).await, "Ana");
    assert_eq!(
        ana.page
            .eval("document.querySelectorAll('#rooms li').length")
            .await,
        0
    );
}

#[tokio::test]
async fn a_form_loaded_before_a_login_in_another_tab_is_valid() {
    let (_redis, chat, browser) = one_chat().await;
    let ana = Visitor::sign_up(&browser, &chat, "Ana").await;
    ana.page.click("#logout").await;
    ana.page.arrives_at("/login").await;
    let log_in = ana
        .page_in_another_tab(&browser, &chat.page("/login"))
        .await;
    let sign_up = ana
        .page_in_another_tab(&browser, &chat.page("/signup"))
        .await;
    ana.fills_in("Ana", PASSWORD).await;
    ana.page.arrives_at("/").await;

    log_in.fills_in("Ana", "a wrong password").await;
    log_in
        .page
        .wait_for("document.querySelector('#problem')?.textContent.includes('is wrong')")
        .await;
    let name = log_in.page.eval("document.querySelector('#name').value");
    assert_eq!(name.await, "Ana");
    log_in.fills_in("Ana", PASSWORD).await;
    log_in.page.arrives_at("/").await;
    sign_up.fills_in("Bo", PASSWORD).await;
    sign_up.page.arrives_at("/").await;

    assert_eq!(user_name(&sign_up).await, "Bo");
}

#[tokio::test]
async fn a_form_shows_one_problem_at_a_time() {
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
    other.page.arrives_at("/signup").await;
    other.page.click("#submit").await;

    let missing = json!(["Please choose a password."]);
    other.page.wait_for_value(complaints, &missing).await;
}

async fn user_name(visitor: &Visitor) -> Value {
    let shown = "document.querySelector('#user-name').textContent";
    visitor.page.eval(shown).await
}

async fn one_chat() -> (Redis, Server, Browser) {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;
    (redis, chat, Browser::new().await)
}

/// Percent-encodes a value for a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
