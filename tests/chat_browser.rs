//! People in the chat, in a real browser, over two server processes on one Redis.

use seaway_tests::support::{Browser, Redis, Server, Visitor};

/// The Redis channel of the room that everybody visits here.
const GROUP: &str = "asgi__group__chat.harbour";

#[tokio::test]
async fn two_people_over_two_servers_see_both_messages_exactly_once() {
    let redis = Redis::new().await;
    let TwoServers { ana, bo, .. } = &TwoServers::on(&redis).await;

    ana.says("Hello from one server").await;
    bo.sees(&["Hello from one server"]).await;
    bo.says("Hej från den andra ⚓").await;

    for person in [ana, bo] {
        person
            .sees(&["Hello from one server", "Hej från den andra ⚓"])
            .await;
        person.had_no_problems();
    }
    ana.sees_people(&["Ana", "Bo"]).await;
    bo.sees_people(&["Bo", "Ana"]).await;
}

#[tokio::test]
async fn messages_flow_again_after_redis_was_restarted() {
    let mut redis = Redis::new().await;
    let TwoServers { ana, bo, .. } = &TwoServers::on(&redis).await;
    ana.says("before").await;
    bo.sees(&["before"]).await;

    redis.stop();
    ana.says("during").await;
    ana.sees_not_sent("cannot reach Redis").await;
    ana.page.screenshot("chat-not-sent").await;
    redis.start().await;
    redis.until_subscribed(GROUP, 2).await;
    ana.retries().await;
    bo.sees(&["before", "during"]).await;
    bo.says("after").await;

    for person in [ana, bo] {
        person.sees(&["before", "during", "after"]).await;
        person.is("connected").await;
    }
}

#[tokio::test]
async fn the_page_comes_back_by_itself_after_its_server_was_killed_and_restarted() {
    let redis = Redis::new().await;
    let TwoServers { one, ana, bo, .. } = &mut TwoServers::on(&redis).await;
    ana.says("before").await;
    bo.sees(&["before"]).await;

    one.kill();
    ana.is("waiting").await;
    ana.page.screenshot("chat-reconnecting").await;
    ana.says("during").await;
    ana.sees_not_sent("no connection").await;
    one.start().await;
    ana.is("connected").await;
    ana.retries().await;
    bo.sees(&["before", "during"]).await;
    bo.says("after").await;

    for person in [&*ana, &*bo] {
        person.sees(&["before", "during", "after"]).await;
    }
    // Bo's page still lists the Ana of the killed server as well, for that one could say no goodbye.
    ana.sees_people(&["Ana", "Bo"]).await;
}

#[tokio::test]
async fn who_comes_later_finds_the_past_and_who_is_here() {
    let redis = Redis::new().await;
    let chat = Server::chat_on(&redis).await;
    let browser = Browser::new().await;
    let ana = Visitor::join(&browser, &chat, "Ana").await;
    ana.says("first").await;
    ana.says("second").await;
    ana.sees(&["first", "second"]).await;

    let bo = Visitor::join(&browser, &chat, "Bo").await;

    bo.sees(&["first", "second"]).await;
    bo.sees_people(&["Bo", "Ana"]).await;
    bo.page.click("#leave").await;
    ana.sees_people(&["Ana"]).await;
}

/// Ana on one server, Bo on another.
struct TwoServers {
    one: Server,
    _two: Server,
    _browser: Browser,
    ana: Visitor,
    bo: Visitor,
}

impl TwoServers {
    async fn on(redis: &Redis) -> Self {
        let (one, two) = (Server::chat_on(redis).await, Server::chat_on(redis).await);
        let browser = Browser::new().await;
        let ana = Visitor::join(&browser, &one, "Ana").await;
        let bo = Visitor::join(&browser, &two, "Bo").await;
        Self {
            one,
            _two: two,
            _browser: browser,
            ana,
            bo,
        }
    }
}
