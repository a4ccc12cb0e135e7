//! Tests of the chat in a real browser, over two server processes, one Redis and one database.

use std::time::Duration;

use seaway_tests::support::{Browser, Redis, Server, Visitor, wait::until};

/// The Redis channel of the room in these tests, behind the prefix of the chat.
const GROUP: &str = "chat-*__group__chat.harbour";

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
}

#[tokio::test]
async fn a_user_with_several_tabs_is_listed_once_until_the_last_is_closed() {
    let redis = Redis::new().await;
    let TwoServers {
        one,
        two,
        browser,
        ana,
        bo,
    } = TwoServers::on(&redis).await;
    let here = ana.another_tab(&browser, &one, "harbour").await;
    let there = ana.another_tab(&browser, &two, "harbour").await;
    for tab in [&ana, &here, &there, &bo] {
        tab.sees_people(&["Ana", "Bo"]).await;
    }

    there.says("from the third tab").await;
    for tab in [&ana, &here, &bo] {
        tab.sees(&["from the third tab"]).await;
    }
    ana.page.leave().await;
    here.page.leave().await;
    there.says("still here").await;

    bo.sees(&["from the third tab", "still here"]).await;
    bo.sees_people(&["Ana", "Bo"]).await;
    there.page.leave().await;
    bo.sees_people(&["Bo"]).await;
}

#[tokio::test]
async fn the_users_of_a_crashed_process_are_removed_from_the_list() {
    let redis = Redis::new().await;
    let TwoServers { two, ana, .. } = &mut TwoServers::on(&redis).await;
    ana.sees_people(&["Ana", "Bo"]).await;

    two.kill();

    let left = "document.querySelectorAll('#people li').length === 1";
    until("Bo to leave", Duration::from_secs(40), async || {
        (ana.page.eval(left).await == true).then_some(())
    })
    .await;
    ana.sees_people(&["Ana"]).await;
}

#[tokio::test]
async fn others_see_when_a_user_starts_and_stops_typing() {
    let redis = Redis::new().await;
    let TwoServers { ana, bo, .. } = &TwoServers::on(&redis).await;

    ana.page.type_text("#composer", "Shall I").await;

    let typing = "document.querySelector('#typing').classList.contains('is-on') \
                  && document.querySelector('#typing-text').textContent.includes('Ana')";
    bo.page.wait_for(typing).await;
    bo.page.screenshot("chat-typing").await;
    assert_eq!(ana.page.eval(typing).await, false, "Ana knows");
    let nobody = "!document.querySelector('#typing').classList.contains('is-on')";
    bo.page.wait_for(nobody).await;
}

#[tokio::test]
async fn a_message_during_an_outage_is_stored_and_delivered_afterwards() {
    let mut redis = Redis::new().await;
    let TwoServers { two, ana, bo, .. } = &TwoServers::on(&redis).await;
    ana.says("before").await;
    bo.sees(&["before"]).await;

    redis.stop();
    ana.says("during").await;
    // Stored at first, and sent once the pages poll the database.
    ana.sees(&["before", "during"]).await;
    // Pages and older messages need no Redis, and no page has lost its connection.
    for person in [ana, bo] {
        person.is("connected").await;
    }
    bo.page.goto(&two.page("/")).await;
    bo.page.goto(&two.page("/rooms/harbour")).await;
    bo.is("waiting").await;
    bo.sees(&["before", "during"]).await;

    redis.start().await;
    redis.until_any_subscribed(GROUP).await;
    for person in [ana, bo] {
        person.is("connected").await;
        person.sees(&["before", "during"]).await;
    }
    bo.says("after").await;
    for person in [ana, bo] {
        person.sees(&["before", "during", "after"]).await;
    }
}

#[tokio::test]
async fn a_page_reconnects_and_requests_missed_messages() {
    let redis = Redis::new().await;
    let TwoServers { one, ana, bo, .. } = &mut TwoServers::on(&redis).await;
    ana.says("before").await;
    bo.sees(&["before"]).await;

    one.kill();
    ana.is("waiting").await;
    ana.page.screenshot("chat-reconnecting").await;
    bo.says("one that Ana misses").await;
    bo.says("another").await;
    bo.sees(&["before", "one that Ana misses", "another"]).await;
    one.start().await;
    ana.is("connected").await;

    ana.sees(&["before", "one that Ana misses", "another"])
        .await;
    ana.says("here again").await;
    for person in [&*ana, &*bo] {
        person
            .sees(&["before", "one that Ana misses", "another", "here again"])
            .await;
    }
    ana.sees_people(&["Ana", "Bo"]).await;
}

#[tokio::test]
async fn messages_written_without_a_connection_are_sent_once_after_it_is_back() {
    let redis = Redis::new().await;
    let TwoServers { one, ana, bo, .. } = &mut TwoServers::on(&redis).await;

    one.kill();
    ana.is("waiting").await;
    ana.says("into the gap").await;
    ana.says("and after it").await;
    ana.sees_the_last("waiting", "waits for the connection")
        .await;
    ana.page.screenshot("chat-waiting").await;
    // The room has no older messages, so none are missing.
    let past = ana
        .page
        .eval("document.querySelector('#past').dataset.state");
    assert_eq!(past.await, "beginning");
    one.start().await;

    for person in [&*ana, &*bo] {
        person.sees(&["into the gap", "and after it"]).await;
    }
    ana.says("here again").await;
    bo.sees(&["into the gap", "and after it", "here again"])
        .await;
}

#[tokio::test]
async fn a_message_whose_acknowledgement_was_lost_is_stored_once() {
    let redis = Redis::new().await;
    let TwoServers { one, ana, bo, .. } = &mut TwoServers::on(&redis).await;
    ana.page.eval(DEAF).await;
    ana.says("did you hear?").await;
    bo.sees(&["did you hear?"]).await;

    one.kill();
    ana.sees_the_last("waiting", "waits for the connection")
        .await;
    ana.page.eval(HEARING).await;
    one.start().await;

    for person in [&*ana, &*bo] {
        person.sees(&["did you hear?"]).await;
    }
    ana.says("yes").await;
    for person in [&*ana, &*bo] {
        person.sees(&["did you hear?", "yes"]).await;
    }
}

#[tokio::test]
async fn a_retry_after_a_missing_acknowledgement_duplicates_nothing() {
    let redis = Redis::new().await;
    let TwoServers { ana, bo, .. } = &TwoServers::on(&redis).await;
    ana.page.eval(DEAF).await;
    ana.says("did you hear?").await;
    bo.sees(&["did you hear?"]).await;

    ana.sees_the_last("failed", "did not answer").await;
    ana.page.screenshot("chat-failed").await;
    ana.page.eval(HEARING).await;
    ana.retries().await;

    ana.says("yes").await;
    for person in [ana, bo] {
        person.sees(&["did you hear?", "yes"]).await;
    }
}

/// A script after which the page receives nothing any more from its next message on.
const DEAF: &str = "window.say = WebSocket.prototype.send;
    WebSocket.prototype.send = function (frame) {
        window.ear ??= [this, this.onmessage];
        this.onmessage = null;
        window.say.call(this, frame);
    }";

/// A script after which the page receives again.
const HEARING: &str = "WebSocket.prototype.send = window.say; ear[0].onmessage = ear[1]; 'hearing'";

#[tokio::test]
async fn the_chat_runs_without_redis() {
    let chat = Server::chat_without_redis_url().await;
    let browser = Browser::new().await;

    let ana = Visitor::join(&browser, &chat, "Ana").await;
    let bo = Visitor::join(&browser, &chat, "Bo").await;
    ana.says("just us").await;

    bo.sees(&["just us"]).await;
    ana.sees_people(&["Ana", "Bo"]).await;
}

/// Ana on one server and Bo on another, both in the room.
struct TwoServers {
    one: Server,
    two: Server,
    browser: Browser,
    ana: Visitor,
    bo: Visitor,
}

impl TwoServers {
    async fn on(redis: &Redis) -> Self {
        let one = Server::chat_on(redis).await;
        let two = Server::chat_beside(&one, redis).await;
        let browser = Browser::new().await;
        let ana = Visitor::join(&browser, &one, "Ana").await;
        let bo = Visitor::join(&browser, &two, "Bo").await;
        Self {
            one,
            two,
            browser,
            ana,
            bo,
        }
    }
}
