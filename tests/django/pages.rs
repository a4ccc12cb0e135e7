//! Pages of the example in a browser.

use super::site::{beside, site_with};
use seaway_tests::support::{Browser, Page, Redis, temp_dir::Scratch};
use serde_json::json;
use std::fs;

#[tokio::test]
async fn the_pages_of_the_example_open_sockets_that_know_their_user() {
    let redis = Redis::new().await;
    let hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher";
    let mut site = site_with(&redis, "db", json!({ "PASSWORD_HASHERS": [hasher] })).await;
    site.call("sign_up", json!(["ana"])).await;
    let beside = beside(&site, &redis).await;
    let home = format!("http://127.0.0.1:{}/", beside.port());
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&home).await;
    page_shows(&page, "output", "nobody").await;

    page.click("a[href*=login]").await;
    page.arrives_at("/accounts/login/?next=/").await;
    page.type_text("[name=username]", "ana").await;
    page.type_text("[name=password]", "open sesame").await;
    page.click("button").await;
    page.arrives_at("/").await;
    page_shows(&page, "output", "ana").await;
    page.click("a[href='/rooms/lobby/']").await;
    page_shows(&page, "output", "connected").await;
    page.type_text("#say input", "<b>ahoy</b>").await;
    page.click("#say button").await;
    page_shows(&page, "#messages li", "ana: <b>ahoy</b>").await;

    let tab = browser.tab_beside(&page).await;
    tab.goto(&home).await;
    tab.click("form button").await;
    page_shows(&page, "output", "closed with 4401").await;
    page.type_text("#say input", "too late").await;
    page.click("#say button").await;
    page_shows(&page, "output", "not sent: not connected").await;
    let kept = page
        .eval("document.querySelector('#say input').value")
        .await;
    assert_eq!(kept, "too late");
}

#[tokio::test]
async fn a_file_is_uploaded_in_the_admin_with_its_styles_and_forms() {
    let redis = Redis::new().await;
    let hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher";
    let mut site = site_with(&redis, "db", json!({ "PASSWORD_HASHERS": [hasher] })).await;
    let superuser = json!({ "is_superuser": true, "is_staff": true });
    site.call_with("sign_up", json!(["root"]), superuser).await;
    let beside = beside(&site, &redis).await;
    let port = beside.port();
    let folder = Scratch::new("upload");
    // Larger than Django keeps in memory, and than a buffer of the proxy.
    let file = folder.path().join("plan.txt");
    let contents = "äpfel ".repeat(1024 * 1024);
    fs::write(&file, &contents).unwrap();
    let browser = Browser::new().await;
    let page = browser.page().await;

    let admin = format!("http://127.0.0.1:{port}/admin");
    page.goto(&format!("{admin}/login/?next=/admin/")).await;
    page.type_text("[name=username]", "root").await;
    page.type_text("[name=password]", "open sesame").await;
    page.click("[type=submit]").await;
    page.arrives_at("/admin/").await;
    page.goto(&format!("{admin}/chat/announcement/add/")).await;
    // A rule of a static file, and a script.
    let display = "getComputedStyle(document.querySelector('#main')).display";
    page.wait_for_value(display, &json!("flex")).await;
    page.wait_for("document.querySelector('#id_author') && window.django?.jQuery")
        .await;
    page.type_text("[name=room]", "lobby").await;
    page.type_text("[name=text]", "read the plan").await;
    page.choose_file("[name=attachment]", &file).await;
    page.click("[name=_save]").await;
    page.arrives_at("/admin/chat/announcement/").await;
    page_shows(&page, ".field-text", "read the plan").await;
    page.click("#result_list tbody th a").await;
    page.wait_for("document.querySelector('.file-upload a')")
        .await;

    let uploaded = "fetch(document.querySelector('.file-upload a').href)\
                    .then(response => response.text()).then(text => window.uploaded = text)";
    page.eval(&format!("void {uploaded}")).await;
    page.wait_for_value("window.uploaded?.length", &json!(contents.chars().count()))
        .await;
    let is_whole = "window.uploaded === 'äpfel '.repeat(1024 * 1024)";
    page.wait_for_value(is_whole, &json!(true)).await;
    assert_eq!(page.problems(), Vec::<String>::new());
}

async fn page_shows(page: &Page, selector: &str, text: &str) {
    let shown = format!("document.querySelector({selector:?})?.textContent");
    page.wait_for_value(&shown, &json!(text)).await;
}
