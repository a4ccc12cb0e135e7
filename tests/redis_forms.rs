//! Tests of the forms in which Redis is deployed: TLS, Unix socket, users, Sentinels, Cluster.

use std::{fs, process, time::Duration};

use seaway::{
    ChannelName, Channels, ErrorKind, Event,
    channels::{Envelope, Mailbox, redis::RedisConfig},
    session::{Id, Record, RedisStore, SessionStore},
    testing::{channel_layer, topics},
};
use seaway_tests::support::{
    Authority, Cluster, Redis, Scratch, Sentinels,
    port::free_port,
    usage::peak_memory_kib,
    wait::{DEADLINE, until},
};
use tokio::{net::TcpStream, time::timeout};

#[derive(Debug, Event)]
enum Said {
    Text { text: String },
}

fn said(text: &str) -> Said {
    Said::Text {
        text: text.to_owned(),
    }
}

/// The expiry of the jobs that a test waits for.
const EXPIRY: Duration = Duration::from_secs(2);

async fn connect(config: impl Into<RedisConfig>) -> Channels {
    let channels = Channels::redis(config).await;
    channels.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Checks that both formats conform, and that sessions can be stored.
async fn works(url: &str) {
    for is_queue in [false, true] {
        let connect = async || {
            let config = RedisConfig::new(url);
            connect(if is_queue { config.queue() } else { config }).await
        };
        channel_layer::conforms(connect).await;
        topics::conforms(connect).await;
    }
    channel_layer::jobs_expire(EXPIRY, async || {
        connect(RedisConfig::new(url).expiry(EXPIRY)).await
    })
    .await;
    let store = RedisStore::connect(url).await.expect("the same Redis");
    stores(&store).await;
}

#[tokio::test]
async fn sessions_are_shared_among_hosts_and_those_of_one_outlive_the_other() {
    let (mut lost, kept) = (Redis::new().await, Redis::new().await);
    let urls = [lost.url(), kept.url()];
    let connect = || RedisStore::connect_all(urls.iter().map(String::as_str));
    let store = connect().await.unwrap();
    stores(&store).await;
    let mut ids = Vec::new();
    for number in 0..40 {
        let mut record = record(number);
        store.create(&mut record).await.unwrap();
        ids.push(record.id);
    }
    let size = kept.does(&["DBSIZE"]).await;
    let size: usize = size.trim_start_matches(':').trim().parse().unwrap();
    assert!((5..35).contains(&size), "{size} of 40");

    lost.stop();

    let mut found = 0;
    for (number, id) in (0..).zip(&ids) {
        match store.load(id).await {
            Ok(record) => {
                assert_eq!(record.expect("it is kept").data["number"], number);
                found += 1;
            }
            Err(error) => assert!(error.to_string().contains("Redis"), "{error}"),
        }
    }
    assert_eq!(found, size);
    let error = connect().await.expect_err("one of two");
    assert_eq!(error.kind(), ErrorKind::Session);
    let error = RedisStore::connect_all([]).await.expect_err("none");
    assert!(format!("{error:#}").contains("no URL"), "{error:#}");
}

#[tokio::test]
async fn the_session_of_another_id_is_not_returned() {
    let redis = Redis::new().await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let [mut ana, mut bo] = [record(1), record(2)];
    store.create(&mut ana).await.unwrap();
    store.create(&mut bo).await.unwrap();
    let [of_ana, of_bo] = [&ana, &bo].map(|record| format!("seaway:session:{}", record.id));

    redis.does(&["RENAME", &of_bo, &of_ana]).await;

    let error = store.load(&ana.id).await.expect_err("it is the other's");
    assert!(error.to_string().contains("another id"), "{error}");
}

/// Checks that a store stores sessions.
async fn stores(store: &RedisStore) {
    for number in 0..40 {
        let mut record = record(number);
        store.create(&mut record).await.unwrap();
        store.save(&record).await.unwrap();
        assert_eq!(load(store, &record.id).await, Some(number));
        store.delete(&record.id).await.unwrap();
        assert_eq!(load(store, &record.id).await, None);
        assert!(store.save(&record).await.is_err(), "it is gone");
    }
}

fn record(number: u32) -> Record {
    let expiry_date = seaway::session::time::OffsetDateTime::now_utc() + Duration::from_secs(60);
    Record {
        id: Id::default(),
        data: [("number".to_owned(), number.into())].into(),
        expiry_date,
    }
}

async fn load(store: &RedisStore, id: &Id) -> Option<u32> {
    let record = store.load(id).await.unwrap()?;
    serde_json::from_value(record.data["number"].clone()).ok()
}

async fn refusal(url: &str) -> String {
    let error = Channels::redis(url).await.expect_err(url);
    assert_eq!(error.kind(), ErrorKind::Layer);
    let of_store = RedisStore::connect(url).await.expect_err(url);
    assert_eq!(of_store.kind(), ErrorKind::Session);
    error.to_string()
}

async fn receive(mailbox: &mut Mailbox) -> String {
    let received = timeout(DEADLINE, mailbox.receive()).await.expect("in time");
    text(received.expect("nothing missed"))
}

fn text(envelope: Envelope) -> String {
    let Said::Text { text } = &*envelope.decode::<Said>().unwrap();
    text.clone()
}

/// A Redis with a port for TLS beside the usual one.
async fn with_tls(authority: &Authority, host: &str, options: &[&str]) -> (Redis, u16) {
    with_certificate(authority, authority.certify(host), options).await
}

async fn with_certificate(
    authority: &Authority,
    (certificate, key): (String, String),
    options: &[&str],
) -> (Redis, u16) {
    let port = free_port();
    let (tls_port, authority) = (port.to_string(), authority.file());
    let tls = [
        &["--tls-port", &tls_port, "--tls-ca-cert-file", &authority][..],
        &["--tls-cert-file", &certificate, "--tls-key-file", &key],
        options,
    ];
    (Redis::with(&tls.concat()).await, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_with_tls_works() {
    let authority = Authority::new();
    let (_redis, port) = with_tls(&authority, "localhost", &["--tls-auth-clients", "no"]).await;

    let file = authority.file();
    works(&format!("rediss://localhost:{port}?ssl_ca_certs={file}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_requires_a_certificate_of_its_clients_works() {
    let authority = Authority::new();
    let (_redis, port) = with_tls(&authority, "localhost", &[]).await;
    let url = format!(
        "rediss://localhost:{port}?ssl_ca_certs={}",
        authority.file()
    );
    let (certificate, key) = authority.certify("client");

    let reason = refusal(&url).await;
    assert!(reason.contains("ssl_certfile"), "{reason}");
    let channels = connect(&format!(
        "{url}&ssl_certfile={certificate}&ssl_keyfile={key}"
    ))
    .await;
    channels.health().unwrap();
}

/// The certificates that a process uses, in files that are replaced.
struct ClientFiles(Scratch);

impl ClientFiles {
    fn new(authority: &Authority) -> Self {
        let files = Self(Scratch::new("client-files"));
        files.replace(authority);
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Writes the certificates of another authority to the files.
    fn replace(&self, authority: &Authority) {
        let (certificate, key) = authority.certify("client");
        for (from, to) in [
            (authority.file(), "ca.pem"),
            (certificate, "client.pem"),
            (key, "client.key"),
        ] {
            fs::copy(from, self.path(to)).expect("a file");
        }
    }

    fn url(&self, port: u16) -> String {
        let [authority, certificate, key] =
            ["ca.pem", "client.pem", "client.key"].map(|name| self.path(name));
        format!(
            "rediss://localhost:{port}?ssl_ca_certs={authority}&ssl_certfile={certificate}&ssl_keyfile={key}"
        )
    }
}

/// Ends the connections of a process, and waits until it sends on another one.
async fn reconnects(redis: &Redis, channels: &Channels) {
    for kind in ["pubsub", "normal"] {
        redis.does(&["CLIENT", "KILL", "TYPE", kind]).await;
    }
    let jobs = ChannelName::new("jobs").unwrap();
    until("a send", DEADLINE, async || {
        channels.send(&jobs, &said("hello")).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_were_replaced_are_used_for_the_next_connection() {
    let (before, after) = (Authority::new(), Authority::new());
    let (redis, port) = with_tls(&before, "localhost", &[]).await;
    let files = ClientFiles::new(&before);
    let channels = connect(&files.url(port)).await;

    let (certificate, key) = after.certify("localhost");
    let settings = [
        ["tls-ca-cert-file", &after.file()],
        ["tls-cert-file", &certificate],
        ["tls-key-file", &key],
    ];
    redis
        .does(&[&["CONFIG", "SET"], settings.as_flattened()].concat())
        .await;
    files.replace(&after);

    reconnects(&redis, &channels).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_whose_files_cannot_be_read_any_more_are_used_further() {
    let authority = Authority::new();
    let (redis, port) = with_tls(&authority, "localhost", &[]).await;
    let files = ClientFiles::new(&authority);
    let channels = connect(&files.url(port)).await;

    fs::write(files.path("ca.pem"), "incomplete").unwrap();
    fs::remove_file(files.path("client.key")).unwrap();

    reconnects(&redis, &channels).await;
}

#[tokio::test]
async fn a_wrong_certificate_is_refused_with_the_reason() {
    let authority = Authority::new();
    let (redis, port) = with_tls(&authority, "cache.example", &["--tls-auth-clients", "no"]).await;
    let other_authority = Authority::new();
    let (file, other) = (authority.file(), other_authority.file());
    let plain = redis.port();

    for (url, expected) in [
        (
            format!("rediss://localhost:{port}?ssl_ca_certs={other}"),
            "not trusted",
        ),
        (
            format!("rediss://localhost:{port}?ssl_ca_certs={file}"),
            "for other names than localhost",
        ),
        (
            format!("rediss://localhost:{plain}?ssl_ca_certs={file}"),
            "does not use TLS, write redis://",
        ),
        (format!("redis://localhost:{port}"), "write rediss://"),
    ] {
        let reason = refusal(&url).await;
        assert!(reason.contains(expected), "{url}: {reason}");
    }
}

#[tokio::test]
async fn a_server_with_the_certificate_of_an_authority_is_refused_with_the_remedy() {
    let authority = Authority::new();
    let options = ["--tls-auth-clients", "no"];
    let (_redis, port) = with_certificate(&authority, authority.own(), &options).await;

    let file = authority.file();
    let reason = refusal(&format!("rediss://localhost:{port}?ssl_ca_certs={file}")).await;
    assert!(reason.contains("sign another certificate"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_works() {
    let folder = Scratch::new("socket");
    let path = folder.path().join("redis.sock").display().to_string();
    let _redis = Redis::with(&["--unixsocket", &path]).await;

    works(&format!("unix://{path}?db=1")).await;
    let reason = refusal(&format!("unix://{path}.not")).await;
    assert!(reason.contains("there is no such socket"), "{reason}");
}

#[tokio::test]
async fn a_user_and_a_database_of_the_url_are_used() {
    let user = "ana on >se/cret ~* &* +@all";
    let redis =
        Redis::with(&[&["--user"][..], &user.split(' ').collect::<Vec<_>>()].concat()).await;
    let port = redis.port();

    let jobs = ChannelName::new("jobs").unwrap();
    let channels = connect(&format!("valkey://ana:se%2Fcret@localhost:{port}/3")).await;
    channels.send(&jobs, &said("hello")).await.unwrap();

    let keys = redis.does(&["INFO", "keyspace"]).await;
    assert!(keys.contains("db3:keys=1"), "{keys}");
    let list = redis.does(&["ACL", "GETUSER", "ana"]).await;
    assert!(list.contains("flags"), "{list}");
    let reason = refusal(&format!("redis://ana:wrong@localhost:{port}")).await;
    assert!(reason.contains("WRONGPASS"), "{reason}");
}

#[tokio::test]
async fn the_error_of_a_sentinel_that_requires_a_password_names_the_option_for_it() {
    // A Sentinel refuses a login as a server does.
    let sentinel = Redis::with_password("secret").await;
    let port = sentinel.port();

    for login in ["", "?sentinel_password=wrong"] {
        let url = format!("redis+sentinel://:other@127.0.0.1:{port}/rooms{login}");
        let reason = refusal(&url).await;
        assert!(reason.contains("sentinel_password=…"), "{login}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_sentinels_know_serves_both_wire_formats_and_sessions() {
    let sentinels = Sentinels::new().await;

    works(&sentinels.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_both_wire_formats_and_sessions() {
    let cluster = Cluster::new().await;

    works(&cluster.url()).await;
}

#[tokio::test]
async fn a_deployment_that_is_not_what_the_url_says_is_refused_with_the_reason() {
    let (redis, mut sentinels) = (Redis::new().await, Sentinels::new().await);
    let (port, url) = (redis.port(), sentinels.url());
    let primary = sentinels.primary().await.port();

    for (url, expected) in [
        (
            format!("redis+cluster://localhost:{port}"),
            "not a node of a Cluster",
        ),
        (
            format!("redis+sentinel://localhost:{port}/rooms"),
            "not a Sentinel",
        ),
        (url.replace("/rooms", "/halls"), "`halls`"),
        (format!("redis+cluster://localhost:{primary}"), "redis://"),
        (
            "redis+sentinel://localhost:1,localhost:2/rooms".to_owned(),
            "localhost:2: connection refused",
        ),
        (
            "redis+cluster://localhost:1,localhost:2".to_owned(),
            "localhost:2: connection refused",
        ),
    ] {
        let reason = refusal(&url).await;
        assert!(reason.contains(expected), "{url}: {reason}");
    }
}

#[tokio::test]
async fn one_server_that_is_named_twice_is_refused() {
    let redis = Redis::new().await;
    let (one, other) = (redis.url(), format!("redis://127.0.0.1:{}", redis.port()));
    let again = other.replace("127.0.0.1", "localhost");
    let database = format!("{other}/1");
    let queue = |url: &str| RedisConfig::new(url).queue();
    for (config, is_refused) in [
        (RedisConfig::new(&one).host(&one), true),
        (RedisConfig::new(&other).host(&again), true),
        // Events to one channel would arrive twice: pub/sub has no databases.
        (RedisConfig::new(&one).host(&database), true),
        (queue(&one).host(&again), true),
        (queue(&one).host(&database), false),
    ] {
        match Channels::redis(config.clone()).await {
            Ok(_) => assert!(!is_refused, "{config:?}"),
            Err(error) => {
                assert!(is_refused, "{error:?}");
                assert_eq!(error.kind(), ErrorKind::Layer);
                let reason = error.to_string();
                assert!(reason.contains("name each server once"), "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn sessions_outlive_the_primary_that_sentinels_replace() {
    let mut sentinels = Sentinels::new().await;
    let store = RedisStore::connect(&sentinels.url()).await.unwrap();
    stores(&store).await;

    sentinels.kill_primary().await;

    stores_again(&store).await;
    sentinels.fail_over().await;
    stores_again(&store).await;
}

#[tokio::test]
async fn sessions_outlive_a_primary_of_a_cluster() {
    let mut cluster = Cluster::new().await;
    let store = RedisStore::connect(&cluster.url()).await.unwrap();
    stores(&store).await;

    cluster.kill_primary(1).await;

    stores_again(&store).await;
    cluster.fail_over(0).await;
    stores_again(&store).await;
}

/// A session of 400 MB, as no program of Seaway has stored it.
#[tokio::test]
async fn a_value_that_is_too_large_takes_no_memory() {
    let redis = Redis::new().await;
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let mut record = record(7);
    store.create(&mut record).await.unwrap();
    let key = format!("seaway:session:{}", Id::default());
    let large: Id = key["seaway:session:".len()..].parse().unwrap();
    redis.does(&["SETRANGE", &key, "400000000", "x"]).await;

    let before = peak_memory_kib(process::id());
    let error = store.load(&large).await.expect_err("it is too large");
    let grown = peak_memory_kib(process::id()) - before;

    assert!(error.to_string().contains("67108864 bytes"), "{error}");
    // Other tests run in this process.
    assert!(grown < 200 * 1024, "{grown} KiB");
    until("a store that is back", DEADLINE, async || {
        store.load(&record.id).await.ok()?
    })
    .await;
}

async fn stores_again(store: &RedisStore) {
    until("a store that stores on all servers", DEADLINE, async || {
        // A part of the slots without one of so many sessions is improbable: 4 in 100,000.
        for number in 0..200 {
            store.create(&mut record(number)).await.ok()?;
        }
        Some(())
    })
    .await;
    stores(store).await;
}

#[tokio::test]
async fn groups_are_spread_over_all_primaries_of_a_cluster() {
    let cluster = Cluster::new().await;
    let channels = connect(&cluster.url()).await;
    let mailbox = channels.open().await.unwrap();

    for number in 0..300 {
        let room = channels.group::<Said>(format!("room-{number}")).unwrap();
        room.add(mailbox.name()).await.unwrap();
    }

    for number in 0..3 {
        let subscribed = cluster.node(number).does(&["INFO", "stats"]).await;
        let line = |line: &str| line.strip_prefix("pubsubshard_channels:")?.parse().ok();
        let channels: u32 = subscribed.lines().find_map(line).expect("a count");
        assert!((70..=140).contains(&channels), "{number}: {channels}");
    }
}

#[tokio::test]
async fn a_slot_that_moves_to_another_primary_is_followed() {
    let cluster = Cluster::new().await;
    let (here, there) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
    let room = here.group::<Said>("room").unwrap();
    let mut mailbox = here.open().await.unwrap();
    room.add(mailbox.name()).await.unwrap();
    // The slots of the shards, from the first primary to the last.
    for slot in [512, 1537, 2559, 3586, 4608] {
        cluster.move_slot(slot, 2).await;
    }
    for slot in [5633, 6654, 7679, 8704, 9729, 10751] {
        cluster.move_slot(slot, 0).await;
    }

    let sender = there.group::<Said>("room").unwrap();
    sender.send(&said("first")).await.unwrap();

    // It was told of the gap if the event came before its subscription had moved.
    match timeout(DEADLINE, mailbox.receive()).await.expect("in time") {
        Ok(envelope) => assert_eq!(text(envelope), "first"),
        Err(missed) => println!("{missed}"),
    }
    until("an event that arrives", DEADLINE, async || {
        sender.send(&said("again")).await.ok()?;
        let received = timeout(Duration::from_millis(200), mailbox.receive()).await;
        matches!(received, Ok(Ok(_))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn subscriptions_that_redis_ends_are_renewed_and_consumers_notified() {
    let cluster = Cluster::new().await;
    let (here, there) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
    let room = here.group::<Said>("room").unwrap();
    let mut member = here.open().await.unwrap();
    room.add(member.name()).await.unwrap();
    let mut alone = here.open().await.unwrap();

    cluster.end_subscriptions().await;

    for mailbox in [&mut member, &mut alone] {
        let next = timeout(DEADLINE, mailbox.receive()).await;
        assert!(next.expect("a notice").is_err());
    }
    let room = there.group::<Said>("room").unwrap();
    until("events that arrive", DEADLINE, async || {
        room.send(&said("to all")).await.ok()?;
        let name = alone.name().clone();
        there.send(&name, &said("to one")).await.ok()?;
        for mailbox in [&mut member, &mut alone] {
            let received = timeout(Duration::from_millis(200), mailbox.receive()).await;
            matches!(received, Ok(Ok(_))).then_some(())?;
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_cluster_without_one_of_its_primaries_serves_the_groups_of_the_others() {
    let mut cluster = Cluster::new().await;
    let config = RedisConfig::new(cluster.url()).send_timeout(Duration::from_millis(500));
    let channels = Channels::redis(config).await.unwrap();
    let mut mailbox = channels.open().await.unwrap();
    let rooms: Vec<_> = (0..30)
        .map(|number| channels.group::<Said>(format!("room-{number}")).unwrap())
        .collect();
    for room in &rooms {
        room.add(mailbox.name()).await.unwrap();
    }

    cluster.kill_both(1);
    let (mut sent, mut failed) = (0, 0);
    for room in &rooms {
        match room.send(&said("x")).await {
            Ok(()) => sent += 1,
            Err(_) => failed += 1,
        }
    }

    assert!(sent >= 10 && failed >= 5, "{sent} sent, {failed} failed");
    for _ in 0..sent {
        assert_eq!(receive(&mut mailbox).await, "x");
    }
    cluster.start(1).await;
    for room in &rooms {
        until("a room that is back", DEADLINE, async || {
            room.send(&said("back")).await.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn an_old_primary_that_is_cut_off_from_the_sentinels_is_left() {
    let mut sentinels = Sentinels::new().await;
    let (here, there) = (
        connect(&sentinels.url()).await,
        connect(&sentinels.url()).await,
    );
    let room = here.group::<Said>("room").unwrap();
    let mut mailbox = here.open().await.unwrap();
    room.add(mailbox.name()).await.unwrap();

    // The old primary continues, and closes no connection.
    sentinels.replace_a_primary_that_is_cut_off().await;

    let sender = there.group::<Said>("room").unwrap();
    until("the notice of the gap", DEADLINE, async || {
        let received = timeout(Duration::from_millis(100), mailbox.receive()).await;
        matches!(received, Ok(Err(_))).then_some(())
    })
    .await;
    sender.send(&said("hello")).await.unwrap();
    assert_eq!(receive(&mut mailbox).await, "hello");
}

#[tokio::test]
async fn a_redis_with_all_its_clients_says_so() {
    let redis = Redis::with(&["--maxclients", "1"]).await;
    let _other = TcpStream::connect(("127.0.0.1", redis.port())).await;

    let reason = refusal(&redis.url()).await;

    assert!(reason.contains("raise `maxclients`"), "{reason}");
}
