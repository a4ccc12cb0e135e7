//! Tests of two independent chats on one Redis and in one browser.

use seaway_tests::support::{Browser, Redis, Server, Visitor};

#[tokio::test]
async fn chats_with_separate_data_on_one_redis_exchange_no_events() {
    let redis = Redis::new().await;
    let (one, other) = (Server::chat_on(&redis).await, Server::chat_on(&redis).await);
    let browser = Browser::new().await;
    // The first account and the first room of each have the same ids and names.
    let ana = Visitor::join(&browser, &one, "Ana").await;
    let bo = Visitor::join(&browser, &other, "Bo").await;

    bo.says("from the other chat").await;
    bo.sees(&["from the other chat"]).await;
    ana.says("from this chat").await;

    ana.sees(&["from this chat"]).await;
    ana.sees_people(&["Ana"]).await;
}

#[tokio::test]
async fn a_login_to_one_chat_does_not_end_the_session_of_another_on_the_same_host() {
    let redis = Redis::new().await;
    let (one, other) = (Server::chat_on(&redis).await, Server::chat_on(&redis).await);
    let browser = Browser::new().await;
    let ana = Visitor::sign_up(&browser, &one, "Ana").await;
    let tab = ana
        .page_in_another_tab(&browser, &other.page("/signup"))
        .await;

    tab.fills_in(
        "Ana of the other chat",
        seaway_tests::support::browser_user::PASSWORD,
    )
    .await;
    tab.page.arrives_at("/").await;

    ana.page.goto(&one.page("/")).await;
    ana.page.arrives_at("/").await;
    let name = "document.querySelector('#user-name').textContent";
    ana.page.wait_for_value(name, &"Ana".into()).await;
}
