//! Tests of the auction, with browsers of several people.

use seaway_tests::support::{Browser, Page, Proxy, Redis, Server, raw};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

#[tokio::test]
async fn bidders_outbid_each_other_and_everybody_sees_a_lot_end() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let (ana, bo, cy) = (
        browser.page().await,
        browser.page().await,
        browser.page().await,
    );
    for (page, name) in [(&ana, "ana"), (&bo, "bo"), (&cy, "cy")] {
        page.goto(&auction.page("/")).await;
        signs_in(page, name).await;
    }

    opens(&ana, "a <b>brass</b> compass", 600).await;
    for (page, watchers) in [(&bo, ""), (&cy, ", with 1 more")] {
        watches(page).await;
        let told = format!("You watch a <b>brass</b> compass{watchers}.");
        says(page, &told).await;
    }
    bids(&bo, "5").await;
    says(&bo, "Your bid of 5.00 is the highest.").await;
    page_shows(&cy, "price", "5.00 by bo").await;
    bids(&cy, "7.50").await;
    says(&bo, "cy has outbid you.").await;
    page_shows(&bo, "price", "7.50 by cy").await;

    let visitor = browser.page().await;
    visitor.goto(&auction.page("/")).await;
    page_shows(&visitor, "price", "7.50 by cy").await;
    for (page, name) in [(&ana, "auction"), (&bo, "auction-bidder")] {
        page.screenshot(name).await;
    }
    opens(&ana, "a sextant", 1).await;
    for page in [&ana, &bo, &cy, &visitor] {
        page_shows(page, "time", "ended").await;
    }
    for (page, name) in [(&bo, "bo"), (&cy, "cy"), (&visitor, "visitor")] {
        assert_eq!(page.problems(), Vec::<String>::new(), "{name}");
    }
}

#[tokio::test]
async fn a_removed_bidder_is_logged_out_and_cannot_log_in_again() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    both_watch(&auction, &ana, &bo).await;
    bids(&bo, "5").await;
    page_shows(&ana, "price", "5.00 by bo").await;

    ana.click("li .remove").await;

    says(&bo, "You are logged out.").await;
    bo.wait_for("!document.querySelector('#login').hidden")
        .await;
    types_password(&bo, "bo", "bo's password").await;
    says(&bo, "This is not the password.").await;
}

#[tokio::test]
async fn a_socket_gets_replies_under_their_ids_and_the_end_of_a_lot() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let ana = browser.page().await;
    ana.goto(&auction.page("/")).await;
    signs_in(&ana, "ana").await;
    opens(&ana, "compass", 600).await;
    ana.eval(
        "(() => {
             window.heard = [];
             window.bidder = new WebSocket('/');
             bidder.onmessage = ({ data }) => heard.push(JSON.parse(data));
             return new Promise((resolve) => bidder.onopen = () => resolve(0));
         })()",
    )
    .await;

    let last_reply = "heard.findLast(({ type }) => type === 'reply')";
    for (request, reply) in [
        (
            json!({ "type": "bid", "id": "a", "lot": 1, "cents": 0 }),
            json!({ "type": "reply", "id": "a", "error": { "too_low": { "cents": 0 } } }),
        ),
        (
            json!({ "type": "bid", "id": 7, "lot": 2, "cents": 100 }),
            json!({ "type": "reply", "id": 7, "error": "no_such_lot" }),
        ),
    ] {
        ana.eval(&format!("bidder.send(JSON.stringify({request}))"))
            .await;
        ana.wait_for_value(last_reply, &reply).await;
    }
    ana.eval("bidder.send('{\"type\":\"bid\",\"id\":8}')").await;
    ana.wait_for(&format!("{last_reply}.id === 8")).await;
    let fault = ana.eval(&format!("{last_reply}.fault.kind")).await;
    assert_eq!(fault, "malformed");
    opens(&ana, "sextant", 1).await;
    let ends = "heard.filter(({ event }) => event?.type === 'lot.ended' && event.id === 2).length";
    ana.wait_for_value(ends, &json!(1)).await;

    let stranger = raw::ask(auction.port(), "POST /remove", &[], "ana").await;
    assert!(stranger.starts_with("HTTP/1.1 401"), "{stranger}");
    let bo = browser.page().await;
    bo.goto(&auction.page("/")).await;
    signs_in(&bo, "bo").await;
    let remove = "fetch('/remove', { method: 'POST', body: 'ana' })";
    let status = format!("{remove}.then(({{ status }}) => status)");
    assert_eq!(bo.eval(&status).await, 403);
    let other_site = ["Origin: https://evil.example"];
    let forged = raw::ask(
        auction.port(),
        "POST /login",
        &other_site,
        "name=ana&password=x",
    )
    .await;
    assert!(forged.starts_with("HTTP/1.1 403"), "{forged}");
}

#[tokio::test]
async fn a_bidder_who_was_offline_sees_the_bids_that_were_missed() {
    let redis = Redis::new().await;
    let [auction, neighbour] = Server::auctions_on(&redis).await;
    let proxy = Proxy::before(&auction).await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    for (page, name, url) in [
        (&ana, "ana", neighbour.page("/")),
        (&bo, "bo", proxy.page("/")),
    ] {
        page.goto(&url).await;
        signs_in(page, name).await;
    }
    opens(&ana, "compass", 600).await;
    for page in [&ana, &bo] {
        watches(page).await;
    }
    bids(&ana, "5").await;
    bids_listed(&bo, &["5.00 by ana"]).await;

    proxy.cut();
    says(&bo, "The connection is lost, trying again…").await;
    bids(&ana, "6").await;
    bids_listed(&ana, &["6.00 by ana", "5.00 by ana"]).await;
    bids(&ana, "7").await;
    bids_listed(&ana, &["7.00 by ana", "6.00 by ana", "5.00 by ana"]).await;
    proxy.restore();

    bids_listed(&bo, &["7.00 by ana", "6.00 by ana", "5.00 by ana"]).await;
    page_shows(&bo, "price", "7.00 by ana").await;
    bids(&bo, "8").await;
    page_shows(&ana, "price", "8.00 by bo").await;
}

#[tokio::test]
async fn the_list_of_lots_goes_on_after_its_stream_was_refused() {
    let mut auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let (ana, visitor) = (browser.page().await, browser.page().await);
    ana.goto(&auction.page("/")).await;
    signs_in(&ana, "ana").await;
    opens(&ana, "compass", 600).await;
    visitor.goto(&auction.page("/")).await;
    page_shows(&visitor, "title", "compass").await;
    ana.leave().await;

    auction.kill();
    refuses(auction.port(), "GET /feed").await;
    auction.start().await;

    let ana = browser.page().await;
    ana.goto(&auction.page("/")).await;
    signs_in(&ana, "ana").await;
    opens(&ana, "sextant", 600).await;
    page_shows(&visitor, "title", "sextant").await;
}

#[tokio::test]
async fn a_bidder_who_was_removed_while_offline_is_shown_the_login() {
    let auction = Server::example_with_data("auction").await;
    let proxy = Proxy::before(&auction).await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    for (page, name, url) in [
        (&ana, "ana", auction.page("/")),
        (&bo, "bo", proxy.page("/")),
    ] {
        page.goto(&url).await;
        signs_in(page, name).await;
    }
    opens(&ana, "compass", 600).await;
    watches(&bo).await;

    proxy.cut();
    says(&bo, "The connection is lost, trying again…").await;
    ana.eval("fetch('/remove', { method: 'POST', body: 'bo' })")
        .await;
    proxy.restore();

    says(&bo, "You are logged out.").await;
    bo.wait_for("!document.querySelector('#login').hidden")
        .await;
    let has_no_bid = "document.querySelector('li .bid').hidden";
    assert_eq!(bo.eval(has_no_bid).await, true);
}

#[tokio::test]
async fn a_bidder_who_reconnects_sees_the_missed_bids_of_a_lot() {
    let auction = Server::example_with_data("auction").await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    both_watch(&auction, &ana, &bo).await;
    bids(&ana, "5").await;
    bids_listed(&bo, &["5.00 by ana"]).await;
    opens(&ana, "sextant", 600).await;
    page_shows(&bo, "title", "sextant").await;
    watches(&bo).await;
    let older = "#lots > :last-child";
    ana.type_text(&format!("{older} .bid input"), "6").await;
    ana.click(&format!("{older} .bid button")).await;
    says(&ana, "Your bid of 6.00 is the highest.").await;

    bo.click(&format!("{older} .watch")).await;

    let listed = "[...document.querySelectorAll('#lots > :last-child .bids li')]
        .map((bid) => bid.textContent)";
    bo.wait_for_value(listed, &json!(["6.00 by ana", "5.00 by ana"]))
        .await;
}

#[tokio::test]
async fn the_watchers_of_a_lot_are_counted_in_all_processes() {
    let redis = Redis::new().await;
    let [auction, neighbour] = Server::auctions_on(&redis).await;
    let browser = Browser::new().await;
    let (ana, bo) = (browser.page().await, browser.page().await);
    for (page, name, server) in [(&ana, "ana", &auction), (&bo, "bo", &neighbour)] {
        page.goto(&server.page("/")).await;
        signs_in(page, name).await;
    }
    opens(&ana, "compass", 600).await;
    watches(&ana).await;

    // The number of a process reaches the others within a tenth of a second.
    bo.eval(
        "setInterval(() => {
             const socket = new WebSocket('/');
             socket.onopen = () => socket.send('{\"type\":\"watch\",\"id\":1,\"lot\":1}');
             socket.onmessage = ({ data }) => {
                 const { id, ok } = JSON.parse(data);
                 if (!id) return;
                 window.watchers = ok[1];
                 socket.close();
             };
         }, 500)",
    )
    .await;

    bo.wait_for_value("window.watchers", &json!(2)).await;
}

/// Signs ana and bo up, and has both watch a lot that ana has opened.
async fn both_watch(auction: &Server, ana: &Page, bo: &Page) {
    for (page, name) in [(ana, "ana"), (bo, "bo")] {
        page.goto(&auction.page("/")).await;
        signs_in(page, name).await;
    }
    opens(ana, "compass", 600).await;
    for page in [ana, bo] {
        watches(page).await;
    }
}

/// Responds with 503 on this port until a request begins so.
async fn refuses(port: u16, begin: &'static str) {
    const RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (refused, mut requests) = mpsc::channel(1);
    let refusing = tokio::spawn(async move {
        let mut clients = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let refused = refused.clone();
            // A browser may open connections before it has a request.
            clients.spawn(async move {
                let mut head = vec![0; 4096];
                let read = client.read(&mut head).await.unwrap_or_default();
                _ = client.write_all(RESPONSE).await;
                if head[..read].starts_with(begin.as_bytes()) {
                    _ = refused.send(()).await;
                }
            });
        }
    });
    let request = timeout(Duration::from_secs(20), requests.recv()).await;
    request.expect("the page asks again");
    refusing.abort();
    // The listener and its connections are closed.
    _ = refusing.await;
}

/// Signs up at the auction, and waits for the WebSocket.
async fn signs_in(page: &Page, name: &str) {
    types_password(page, name, &format!("{name}'s password")).await;
    says(page, "Watch a lot to bid.").await;
}

async fn types_password(page: &Page, name: &str, password: &str) {
    page.wait_for("!document.querySelector('#login').hidden")
        .await;
    page.type_text("[name=name]", name).await;
    page.type_text("[name=password]", password).await;
    page.click("#login button").await;
}

/// Opens a lot, as the auctioneer, and waits until the page shows it.
async fn opens(page: &Page, title: &str, seconds: u32) {
    page.type_text("[name=title]", title).await;
    page.type_text("[name=seconds]", &seconds.to_string()).await;
    page.click("#open button").await;
    page_shows(page, "title", title).await;
}

/// Watches the newest lot, and waits for the form to bid.
async fn watches(page: &Page) {
    page.wait_for("document.querySelector('li .watch')").await;
    page.click("li .watch").await;
    page.wait_for("!document.querySelector('li .bid').hidden")
        .await;
}

async fn bids(page: &Page, amount: &str) {
    page.type_text("li .bid input", amount).await;
    page.click("li .bid button").await;
}

/// Waits until this part of the newest lot has this text.
async fn page_shows(page: &Page, part: &str, text: &str) {
    let shown = format!("document.querySelector('li .{part}')?.textContent");
    page.wait_for_value(&shown, &json!(text)).await;
}

/// Waits until the newest lot lists these bids, the latest first.
async fn bids_listed(page: &Page, bids: &[&str]) {
    let listed = "[...document.querySelectorAll('li .bids li')].map((bid) => bid.textContent)";
    page.wait_for_value(listed, &json!(bids)).await;
}

async fn says(page: &Page, state: &str) {
    let shown = "document.querySelector('#state').textContent";
    page.wait_for_value(shown, &json!(state)).await;
}
