//! What clients of topics receive while connections, processes and Redis come and go; and its cost.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, future::join_all};
use seaway::{Channels, Event, channels::redis::RedisConfig};
use seaway_tests::support::{
    Redis, Server,
    position::{Seen, TopicPosition, path, place},
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// The events of the arena's topics.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl Event for Said {}

/// The text after which a client has seen everything. It is sent once, so that nothing after it
/// shows a client that it has missed something.
const END: &str = "end";

/// What is published, and what anybody has seen at a place.
#[derive(Default)]
struct Truth {
    texts: Mutex<HashMap<(String, TopicPosition), String>>,
    published: AtomicU64,
    gaps: AtomicU64,
    resumes: AtomicU64,
    cuts: AtomicU64,
    is_over: AtomicBool,
    /// The place of the end in each topic.
    ends: Mutex<HashMap<String, TopicPosition>>,
}

impl Truth {
    /// Checks that a position has one text, for all who see it.
    fn note(&self, topic: &str, place: &TopicPosition, text: &str) {
        let mut texts = self.texts.lock().unwrap();
        let known = texts
            .entry((topic.to_owned(), place.clone()))
            .or_insert_with(|| text.to_owned());
        assert_eq!(known, text, "{place:?} of {topic} has two events");
    }

    /// Returns whether the end of a topic is at this place, or before it.
    fn is_past_the_end(&self, topic: &str, place: &TopicPosition) -> bool {
        let ends = self.ends.lock().unwrap();
        let end = ends.get(topic);
        end.is_some_and(|end| end.epoch == place.epoch && end.offset <= place.offset)
    }
}

type Socket = WebSocketStream<TcpStream>;

async fn open(port: u16, path: &str) -> Option<Socket> {
    let request = format!("ws://127.0.0.1:{port}{path}").into_client_request();
    let opening = async {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let opened = client_async(request.expect("a valid URL"), socket).await;
        Some(opened.ok()?.0)
    };
    timeout(Duration::from_secs(12), opening).await.ok()?
}

/// Follows a topic until its end, over connections to all processes that are cut at random.
async fn follow(topic: String, ports: Vec<u16>, history: usize, truth: Arc<Truth>) {
    let mut at: Option<TopicPosition> = None;
    loop {
        let port = ports[fastrand::usize(..ports.len())];
        let Some(mut socket) = open(port, &path(&topic, at.as_ref())).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let stays = Duration::from_millis(200 + fastrand::u64(..2_500));
        let cut = Instant::now() + stays;
        let mut is_new = at.is_none();
        loop {
            let is_over = truth.is_over.load(Ordering::Relaxed);
            let left = match is_over {
                true => DEADLINE,
                false => cut.saturating_duration_since(Instant::now()),
            };
            let next = match timeout(left, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => Seen::read(&text),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(_) => break,
                Err(_) => {
                    assert!(!is_over, "a client of {topic} did not see the end");
                    truth.cuts.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            };
            match &next {
                Seen::Event(place, text) => {
                    truth.note(&topic, place, text);
                    if let Some(before) = &at {
                        let follows = before.epoch == place.epoch
                            && before.offset.checked_add(1) == Some(place.offset);
                        assert!(follows, "{place:?} follows {before:?} and no gap was told");
                    } else {
                        assert!(is_new, "the first event of a client");
                    }
                    at = Some(place.clone());
                    if text == END {
                        return;
                    }
                }
                Seen::Recovered(place, true) => {
                    let before = at.as_ref().expect("a place to resume from");
                    assert_eq!(place, before, "nothing is missing");
                    truth.resumes.fetch_add(1, Ordering::Relaxed);
                }
                Seen::Recovered(place, false) => {
                    let before = at.as_ref().expect("a place to resume from");
                    let missed = place.offset.saturating_sub(before.offset);
                    assert!(
                        place.epoch != before.epoch || missed > history as u64,
                        "a gap between {before:?} and {place:?}, but all is remembered"
                    );
                    truth.gaps.fetch_add(1, Ordering::Relaxed);
                    if truth.is_past_the_end(&topic, place) {
                        return;
                    }
                    at = Some(place.clone());
                }
            }
            is_new = false;
        }
        // Some stay away longer.
        let pause = [10, 50, 400][fastrand::usize(..3)];
        sleep(Duration::from_millis(pause)).await;
    }
}

/// Publishes to a topic, and then its end, each event again until it is acknowledged.
async fn publish(topic: String, channels: Channels, history: usize, truth: Arc<Truth>) {
    let handle = channels.topic::<Said>(format!("topic.{topic}")).unwrap();
    let handle = handle.history_size(history);
    for number in 0.. {
        let is_over = truth.is_over.load(Ordering::Relaxed);
        let text = match is_over {
            true => END.to_owned(),
            false => format!("{topic} {number}"),
        };
        let key = format!("{text} {}", fastrand::u64(..));
        let event = Said { text };
        let position = loop {
            match handle.send_once(&key, &event).await {
                Ok(position) => break position,
                Err(error) => println!("sent again: {error:#}"),
            }
        };
        let place = place(position.offset(), position.epoch());
        truth.note(&topic, &place, &event.text);
        truth.published.fetch_add(1, Ordering::Relaxed);
        if is_over {
            truth.ends.lock().unwrap().insert(topic, place);
            return;
        }
        sleep(Duration::from_millis(5 + fastrand::u64(..20))).await;
    }
}

/// Cuts clients, and kills and restarts processes and Redis, for this long. Returns how many gaps
/// clients were told of.
async fn chaos(options: &[&str], history: usize, lasts: Duration) -> u64 {
    const TOPICS: usize = 4;
    const CLIENTS: usize = 24;
    let mut redis = Redis::with(options).await;
    let (url, size) = (redis.url(), history.to_string());
    let arguments = ["--redis", &url, "--history", &size];
    let mut arenas = [
        Server::arena_with(&arguments).await,
        Server::arena_with(&arguments).await,
    ];
    let ports: Vec<_> = arenas.iter().map(Server::port).collect();
    let channels = Channels::redis(RedisConfig::new(&url)).await.unwrap();
    let truth = Arc::new(Truth::default());
    let topic = |number: usize| format!("lot{}", number % TOPICS);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(follow(topic(number), ports.clone(), history, truth.clone())))
        .collect();
    let publishers: Vec<_> = (0..TOPICS)
        .map(|number| {
            let (channels, truth) = (channels.clone(), truth.clone());
            tokio::spawn(publish(topic(number), channels, history, truth))
        })
        .collect();

    let begun = Instant::now();
    let mut harm = 0;
    while begun.elapsed() < lasts {
        sleep(Duration::from_millis(700 + fastrand::u64(..800))).await;
        match harm % 4 {
            1 => {
                redis.stop();
                sleep(Duration::from_millis(fastrand::u64(..600))).await;
                redis.start().await;
            }
            // Suspended or not, a process must notice what Redis has done meanwhile.
            3 => {
                let arena = &mut arenas[fastrand::usize(..2)];
                arena.freeze();
                for _ in 0..fastrand::usize(..3) {
                    redis.stop();
                    redis.start().await;
                    sleep(Duration::from_millis(fastrand::u64(300..900))).await;
                }
                arena.thaw();
            }
            _ => {
                let arena = &mut arenas[fastrand::usize(..2)];
                arena.kill();
                arena.start().await;
            }
        }
        harm += 1;
        if clients.iter().any(tokio::task::JoinHandle::is_finished) {
            break;
        }
    }
    truth.is_over.store(true, Ordering::Relaxed);

    for outcome in join_all(clients).await {
        outcome.expect("complete and in order, or told");
    }
    for outcome in join_all(publishers).await {
        outcome.expect("each event has one place");
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let gaps = count(&truth.gaps);
    println!(
        "{harm} kills, {} cuts, {} events, {} resumes without a gap, {gaps} gaps told",
        count(&truth.cuts),
        count(&truth.published),
        count(&truth.resumes),
    );
    assert!(count(&truth.resumes) > 0, "clients came back");
    gaps
}

/// A Redis that has its data after each restart, also what it acknowledged last.
const DURABLE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_if_redis_keeps_its_data() {
    let gaps = chaos(DURABLE, 1_000, Duration::from_secs(12)).await;

    assert_eq!(gaps, 0, "all is remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_receive_gaps_if_redis_loses_its_data() {
    let gaps = chaos(&[], 1_000, Duration::from_secs(12)).await;

    assert!(gaps > 0, "Redis has lost its data");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_receive_gaps_if_the_window_has_passed() {
    let gaps = chaos(DURABLE, 3, Duration::from_secs(8)).await;

    assert!(gaps > 0, "three events are soon passed");
}

/// Resumes topics with all clients at once.
async fn storm(clients: usize, topics: usize) {
    const MISSED: u64 = 20;
    let redis = Redis::new().await;
    let mut arena = Server::arena_on(&redis).await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let mut places = Vec::new();
    for number in 0..topics {
        let topic = channels
            .topic::<Said>(format!("topic.lot{number}"))
            .unwrap();
        let said = |text| Said { text };
        let first = topic.send(&said("0".to_owned())).await.unwrap();
        places.push(place(first.offset(), first.epoch()));
        for number in 1..=MISSED {
            topic.send(&said(number.to_string())).await.unwrap();
        }
    }
    let before = arena.resident_mib();
    redis.does(&["CONFIG", "RESETSTAT"]).await;

    let begun = Instant::now();
    let port = arena.port();
    let resumes = (0..clients).map(|number| {
        let path = path(
            &format!("lot{}", number % topics),
            Some(&places[number % topics]),
        );
        async move {
            let mut socket = open(port, &path).await.expect("accepted");
            for number in 1..=MISSED {
                let Some(Ok(Message::Text(text))) = socket.next().await else {
                    panic!("an event was missed");
                };
                let Seen::Event(_, text) = Seen::read(&text) else {
                    panic!("not all is remembered: {text}");
                };
                assert_eq!(text, number.to_string());
            }
            let Some(Ok(Message::Text(text))) = socket.next().await else {
                panic!("the end was missed");
            };
            assert!(matches!(Seen::read(&text), Seen::Recovered(_, true)));
            socket
        }
    });
    let mut sockets = join_all(resumes).await;
    let took = begun.elapsed();

    let info = redis.does(&["INFO", "stats"]).await;
    let line = info
        .lines()
        .find(|line| line.starts_with("total_commands_processed:"));
    let reads = arena.metrics().await["seaway_topic_reads_total"];
    let grown = arena.resident_mib().saturating_sub(before);
    println!(
        "{clients} clients resumed {topics} topics in {took:.2?}: {reads} reads, {}, {grown} MiB",
        line.unwrap_or_default()
    );
    assert!(
        reads <= 2.0 * topics as f64,
        "{reads} reads for {topics} topics: one serves all"
    );
    let topic = channels.topic::<Said>("topic.lot0").unwrap();
    topic
        .send(&Said {
            text: END.to_owned(),
        })
        .await
        .unwrap();
    let socket = &mut sockets[0];
    let next = timeout(DEADLINE, socket.next()).await.expect("in time");
    let Some(Ok(Message::Text(text))) = next else {
        panic!("live events follow");
    };
    assert!(matches!(Seen::read(&text), Seen::Event(_, text) if text == END));
    for socket in &mut sockets {
        _ = socket.send(Message::Close(None)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_clients_that_resume_is_one_read_per_topic() {
    storm(1_000, 20).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a soak: `cargo xtask soak`"]
async fn a_storm_of_5000_clients_on_100_topics() {
    storm(5_000, 100).await;
}

/// Returns the processor time that Redis has used.
async fn redis_cpu(redis: &Redis) -> f64 {
    let info = redis.does(&["INFO", "cpu"]).await;
    let seconds = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|seconds| seconds.trim().parse::<f64>().ok())
            .expect("a number of seconds")
    };
    seconds("used_cpu_user:") + seconds("used_cpu_sys:")
}

/// Returns the processor time that this process has used.
fn own_cpu() -> f64 {
    use nix::sys::{resource, time::TimeValLike};
    let usage = resource::getrusage(resource::UsageWho::RUSAGE_SELF).expect("it is always known");
    let both = usage.user_time() + usage.system_time();
    both.num_microseconds() as f64 / 1e6
}

/// The processor time of Redis and of this process for each event, in µs: to a group, and to a
/// topic of the same name.
async fn costs(events: usize) -> [[f64; 2]; 2] {
    const AT_ONCE: usize = 32;
    let redis = Redis::new().await;
    let (one, two) = (
        Channels::redis(redis.url()).await.unwrap(),
        Channels::redis(redis.url()).await.unwrap(),
    );
    let topic = one.topic::<Said>("lot").unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let mut listener = two.listen::<Said>("lot").await.unwrap();
    let counted = received.clone();
    tokio::spawn(async move {
        while listener.next().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let event = Said {
        text: "x".repeat(100),
    };
    let mut costs = [[0.0; 2]; 2];
    let mut expected = 0;
    // Both kinds in turn, so that neither has a quieter machine.
    for round in 0..10 {
        let kind = round % 2;
        let (redis_before, own_before) = (redis_cpu(&redis).await, own_cpu());
        let sends = (0..AT_ONCE).map(|_| async {
            for _ in 0..events / 5 / AT_ONCE {
                match kind {
                    0 => topic.group().send(&event).await.unwrap(),
                    _ => _ = topic.send(&event).await.unwrap(),
                }
            }
        });
        join_all(sends).await;
        let sent = (events / 5 / AT_ONCE * AT_ONCE) as u64;
        expected += sent;
        until("all events", DEADLINE, async || {
            (received.load(Ordering::Relaxed) >= expected).then_some(())
        })
        .await;
        let micros = 1e6 / sent as f64 / 5.0;
        costs[kind][0] += (redis_cpu(&redis).await - redis_before) * micros;
        costs[kind][1] += (own_cpu() - own_before) * micros;
    }
    costs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_to_a_topic_costs_redis_a_few_plain_ones() {
    let [plain, topic] = costs(40_000).await;

    println!(
        "µs for each event, Redis and both processes: {:.1} and {:.1} to a group, {:.1} and {:.1} to a topic",
        plain[0], plain[1], topic[0], topic[1]
    );
    // The script is four; on a busy machine the figures vary.
    assert!(topic[0] <= 6.0 * plain[0], "{topic:?} against {plain:?}");
}
