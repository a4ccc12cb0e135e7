//! The checks of 10,000 WebSockets whose users have logged in on a Django site on PostgreSQL.

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt, stream};
use seaway_tests::support::{
    Client, Django, Postgres, Server,
    django::SECRET_KEY,
    usage::{children, processor_time},
};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

const SOCKETS: usize = 10_000;
/// The number of concurrent handshakes.
const HANDSHAKES: usize = 64;
/// How long checks are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// Measures different numbers of sessions and intervals, and prints a line for each.
pub(crate) async fn measure(site: &mut Django, postgres: &Postgres) {
    let cookies = site.call("sign_in_many", json!([SOCKETS])).await;
    let cookies: Vec<String> = serde_json::from_value(cookies).expect("cookies");
    println!("checks of {SOCKETS} open WebSockets, on PostgreSQL");
    for (sessions, interval) in [(SOCKETS, 10), (SOCKETS / 10, 10), (SOCKETS, 60)] {
        let cookies = cookies[..sessions].iter().cycle().take(SOCKETS);
        measure_one(site, postgres, cookies, sessions, interval).await;
    }
}

async fn measure_one(
    site: &mut Django,
    postgres: &Postgres,
    cookies: impl Iterator<Item = &String>,
    sessions: usize,
    interval: u64,
) {
    let recheck = interval.to_string();
    let flags = ["--django", "http://127.0.0.1:1", "--recheck", &recheck];
    let database = ["--database", site.database(), "--secret-key", SECRET_KEY];
    let flags = [flags, database].concat();
    let mut server = Server::example_with("beside-django", &flags).await;
    let port = server.port();
    let opening = stream::iter(cookies).map(async |cookie| {
        let cookie = format!("sessionid={cookie}");
        let mut socket = Client::connect_with(port, "/ws/whoami", &[("cookie", &cookie)]).await;
        assert!(socket.text().await.contains("\"user\":\"user"), "logged in");
        socket
    });
    let mut opening = pin!(opening.buffer_unordered(HANDSHAKES));
    let mut sockets = JoinSet::new();
    while let Some(socket) = opening.next().await {
        // It answers pings meanwhile.
        sockets.spawn(socket.closed_within(Duration::from_secs(3600)));
    }
    // Each has been checked once more.
    sleep(Duration::from_secs(interval)).await;

    let server = server.pid();
    let database_time = || {
        children(postgres.pid())
            .map(processor_time)
            .sum::<Duration>()
    };
    let queries = site.call("transactions", json!([])).await;
    let (begin, used) = (Instant::now(), (processor_time(server), database_time()));
    sleep(WINDOW).await;
    let seconds = begin.elapsed().as_secs_f64();
    let (server, database) = (
        processor_time(server) - used.0,
        database_time().saturating_sub(used.1),
    );
    let now = site.call("transactions", json!([])).await;

    assert!(sockets.try_join_next().is_none(), "a socket was closed");
    sockets.shutdown().await;
    let number = |value: serde_json::Value| value.as_f64().expect("a number");
    let rate = (number(now) - number(queries)) / seconds;
    let per_hour = rate * 3600.0 / SOCKETS as f64;
    let share = |time: Duration| time.as_secs_f64() / seconds * 100.0;
    println!(
        "  {sessions} sessions, every {interval} s: {rate:.0} queries per second, \
         {per_hour:.0} per WebSocket and hour; of one core, {:.1} % in the server, \
         {:.1} % in the database",
        share(server),
        share(database),
    );
}
