//! Whether a connection to Redis still works.

use super::{framing::Malformed, stream::Activity};
use futures_util::{StreamExt, stream::FuturesUnordered};
use redis::{Value, aio::MultiplexedConnection};
use std::{fmt, time::Duration};
use tokio::time::{Instant, sleep_until};

/// How long a connection may be silent before it is pinged.
const PING_EVERY: Duration = Duration::from_secs(2);
/// How often a connection that is not silent is pinged, to check that replies belong to their
/// commands.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// How often this process checks that it runs.
const TICK: Duration = Duration::from_millis(250);
/// How late such a check is if the process was suspended.
const SUSPENDED_AFTER: Duration = Duration::from_millis(350);
/// How long after it was suspended the end of a connection may have come while it was.
const WOKEN: Duration = Duration::from_secs(1);
/// How long bytes may arrive that make no whole value, besides the time that they take at
/// [`SLOWEST`].
const UNDECODED: Duration = Duration::from_secs(30);
/// The bytes a second of the slowest network on which a large value is awaited: one megabit.
const SLOWEST: u64 = 128 * 1024;

/// How a connection was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Closed,
    /// Nothing has arrived for too long, not even the response to a ping.
    Silent,
    /// The bytes received are not RESP.
    Malformed(Malformed),
    /// Bytes arrive, but no whole value.
    Stuck,
    /// A reply belongs to another command.
    Shifted,
    /// Redis refused a command of a stream of them.
    Refused,
    /// Redis has ended a subscription that this process needs.
    Unsubscribed,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Silent => f.write_str("Redis stopped responding"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Stuck => f.write_str(
                "bytes arrive, but no whole reply for too long: the network is slower than 128 KiB/s, or a proxy has changed the data",
            ),
            Self::Shifted => f.write_str(
                "a reply belongs to another command: a proxy has lost or added a reply",
            ),
            Self::Refused => f.write_str("Redis refused a command"),
            Self::Unsubscribed => f.write_str(
                "Redis has ended a subscription: a slot of the Cluster was assigned to a node",
            ),
        }
    }
}

/// Waits until a connection is closed, silent for too long, or malformed.
///
/// Any byte is a sign of life: the response to a ping waits behind all messages that Redis has
/// queued for this process, and closing a busy connection would lose them and make the next one
/// busier. But if the stream is corrupt, the bytes may belong to a value that never ends.
///
/// # Cancel safety
/// Safe.
pub(super) async fn lost(
    connection: &MultiplexedConnection,
    activity: &Activity,
    silence: Duration,
) -> Lost {
    let ended = async || {
        activity.ended().await;
        match activity.malformed() {
            Some(malformed) => Lost::Malformed(malformed),
            None if activity.is_unsubscribed() => Lost::Unsubscribed,
            None => Lost::Closed,
        }
    };
    let mut pings = FuturesUnordered::new();
    let (mut pinged_at, mut number) = (Instant::now(), 0_u64);
    // When this process last continued after it was suspended: what Redis has sent meanwhile is
    // still to be read.
    let mut awake_since = Instant::now();
    let mut was_suspended_at = None::<Instant>;
    let mut tick = Instant::now() + TICK;
    loop {
        let silent = activity.last_received().max(awake_since).elapsed();
        if silent >= silence {
            return Lost::Silent;
        }
        let (arrived, age) = activity.unfinished_value();
        if is_stuck(age.min(awake_since.elapsed()), arrived, silence) {
            return Lost::Stuck;
        }
        let is_due = silent >= PING_EVERY || pinged_at.elapsed() >= CHECK_EVERY;
        // If a reply was lost, the first of two pings gets that to the second.
        if pings.len() < 2 && (is_due || !pings.is_empty()) {
            pings.push(is_answered(connection.clone(), number));
            (pinged_at, number) = (Instant::now(), number.wrapping_add(1));
        }
        let due = Instant::now() + PING_EVERY.min(silence.saturating_sub(silent));
        loop {
            tokio::select! {
                biased;
                end = ended() => {
                    if tick.elapsed() > SUSPENDED_AFTER || was_suspended_at.is_some_and(|at| at.elapsed() < WOKEN) {
                        activity.mark_incomplete();
                    }
                    return end;
                }
                Some(is_own) = pings.next() => if !is_own {
                    return Lost::Shifted;
                },
                () = sleep_until(due.min(tick)) => {}
            }
            if tick.elapsed() > SUSPENDED_AFTER {
                was_suspended_at = Some(Instant::now());
            }
            if tick <= Instant::now() {
                tick = Instant::now() + TICK;
            }
            if due <= Instant::now() {
                break;
            }
        }
        if due.elapsed() > PING_EVERY {
            awake_since = Instant::now();
        }
    }
}

/// Sends a ping with this number; returns whether the reply is the one to it.
async fn is_answered(mut connection: MultiplexedConnection, number: u64) -> bool {
    let ping = redis::cmd("PING").arg(number).to_owned();
    match ping.query_async::<Value>(&mut connection).await {
        Ok(reply) => redis::from_redis_value(reply) == Ok(number),
        // An error of Redis is a reply too. That of a lost connection is noticed by its end.
        Err(_) => true,
    }
}

/// Returns whether a value, of which so many bytes have arrived since it began, is one that never
/// ends. On a slow network, a large value takes long, but the bytes arrive at some speed.
fn is_stuck(since: Duration, arrived: u64, silence: Duration) -> bool {
    let expected = Duration::from_secs(arrived / SLOWEST);
    arrived > 0 && since >= silence.max(UNDECODED).saturating_add(expected)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            address::{Address, Dialed},
            framing::{MAX_VALUE, ReplyFraming},
            stream::NoInbox,
        },
        *,
    };
    use redis::IntoConnectionInfo;
    use std::sync::Arc;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
        time::{advance, sleep, timeout},
    };

    const SILENCE: Duration = Duration::from_secs(12);

    /// The head of a published event of this length.
    fn event_of(length: usize) -> Vec<u8> {
        format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${length}\r\n").into_bytes()
    }

    /// Returns a connection to a server that accepts every command and sends what the test writes
    /// to the stream, before its responses to pings. It never responds to `LOST`, and after a
    /// command that blocks to nothing.
    async fn connected() -> (Dialed, DuplexStream) {
        let (here, there) = duplex(1024 * 1024);
        let (test, mut said) = duplex(1024 * 1024);
        tokio::spawn(async move {
            let (mut commands, mut replies) = split(there);
            let (mut framing, mut command) = (ReplyFraming::new(MAX_VALUE), Vec::new());
            let mut said_framing = ReplyFraming::new(2 * MAX_VALUE);
            let mut saying = vec![0; 1024 * 1024];
            let mut is_blocked = false;
            loop {
                tokio::select! {
                    biased;
                    read = said.read(&mut saying) => match read {
                        Ok(0) | Err(_) => return,
                        Ok(read) => {
                            said_framing.read(&saying[..read]).unwrap();
                            replies.write_all(&saying[..read]).await.unwrap();
                        }
                    },
                    read = commands.read_u8(), if said_framing.arrived() == 0 => {
                        let Ok(byte) = read else { return };
                        command.push(byte);
                        framing.read(&[byte]).expect("commands are RESP");
                        if framing.arrived() > 0 {
                            continue;
                        }
                        let words = redis::parse_redis_value(&command).expect("a command");
                        let words: Vec<String> = redis::from_redis_value(words).expect("words");
                        command.clear();
                        is_blocked |= words[0] == "BZPOPMIN";
                        let reply = match words.get(1) {
                            _ if is_blocked || words[0] == "LOST" => String::new(),
                            Some(text) if words[0] == "PING" => format!("+{text}\r\n"),
                            _ => "+OK\r\n".to_owned(),
                        };
                        if replies.write_all(reply.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        let info = "redis://localhost".into_connection_info().unwrap();
        let address = Address::new(&info, None, MAX_VALUE).unwrap();
        let dialing = address.handshake(here, Arc::new(NoInbox));
        (dialing.await.unwrap(), test)
    }

    async fn lost(dialed: &Dialed) -> Lost {
        super::lost(&dialed.connection, &dialed.activity, SILENCE).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_value_is_awaited_over_a_slow_network() {
        let (link, mut server) = connected().await;
        let length = 32 * 1024 * 1024;

        let sending = async {
            server.write_all(&event_of(length)).await.unwrap();
            for _ in 0..length / 256 / 1024 {
                server.write_all(&vec![b'x'; 256 * 1024]).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
            server.write_all(b"\r\n").await.unwrap();
            sleep(SILENCE * 3).await;
        };

        tokio::select! {
            () = sending => {}
            _ = lost(&link) => panic!("the connection was closed"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_whose_bytes_only_trickle_in_is_given_up() {
        let (link, mut server) = connected().await;
        let begun = Instant::now();

        let sending = async {
            server.write_all(&event_of(MAX_VALUE / 2)).await.unwrap();
            loop {
                server.write_all(&[b'x'; 1024]).await.unwrap();
                sleep(Duration::from_secs(1)).await;
            }
        };

        let end = tokio::select! {
            () = sending => unreachable!("it sends forever"),
            end = lost(&link) => end,
        };
        assert_eq!(end, Lost::Stuck);
        let limit = UNDECODED + 2 * PING_EVERY;
        assert!((UNDECODED..=limit).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_awaited_in_the_middle_of_which_the_process_was_suspended() {
        let (link, mut server) = connected().await;
        let (first, rest) = ([b'x'; 100], [b'x'; 900]);

        let sending = async {
            server.write_all(&event_of(1000)).await.unwrap();
            server.write_all(&first).await.unwrap();
            sleep(PING_EVERY).await;
            advance(UNDECODED + SILENCE).await;
            sleep(PING_EVERY).await;
            server.write_all(&rest).await.unwrap();
            server.write_all(b"\r\n").await.unwrap();
            sleep(SILENCE * 3).await;
        };

        tokio::select! {
            () = sending => {}
            end = lost(&link) => panic!("the connection was closed: {end:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_too_large_ends_the_connection_before_it_arrives() {
        let (link, mut server) = connected().await;

        server.write_all(&event_of(MAX_VALUE)).await.unwrap();

        let end = timeout(PING_EVERY, lost(&link)).await;
        let expected = Lost::Malformed(Malformed::TooLarge(MAX_VALUE as u64));
        assert_eq!(end, Ok(expected));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_lost_a_reply_is_given_up() {
        for is_busy in [false, true] {
            let (link, mut server) = connected().await;
            let begun = Instant::now();

            let sending = async {
                while begun.elapsed() < CHECK_EVERY * 2 {
                    sleep(PING_EVERY / 4).await;
                    if is_busy {
                        server.write_all(&event_of(0)).await.unwrap();
                        server.write_all(b"\r\n").await.unwrap();
                    }
                }
            };
            let mut connection = link.connection.clone();
            tokio::spawn(async move { redis::cmd("LOST").exec_async(&mut connection).await });

            let end = tokio::select! {
                end = lost(&link) => end,
                () = sending => panic!("the connection was kept"),
            };
            assert_eq!(end, Lost::Shifted);
            let limit = if is_busy { CHECK_EVERY } else { PING_EVERY };
            assert!(begun.elapsed() <= limit + 3 * PING_EVERY);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn queues_without_events_are_read_for_as_long_as_redis_says_so() {
        const NIL: &[u8] = b"_\r\n";
        let (link, mut server) = connected().await;
        let waiting = (0..100).map(|_| {
            let mut connection = link.connection.clone();
            tokio::spawn(async move {
                let mut pop = redis::cmd("BZPOPMIN");
                pop.arg("queue").arg(200);
                pop.query_async::<Option<Vec<String>>>(&mut connection)
                    .await
            })
        });
        let waiting: Vec<_> = waiting.collect();

        // Each time, the connection is silent for long enough that a ping follows the commands.
        let sending = async {
            for pop in waiting {
                sleep(PING_EVERY * 2).await;
                server.write_all(NIL).await.unwrap();
                assert_eq!(pop.await.unwrap(), Ok(None));
            }
        };

        tokio::select! {
            () = sending => {}
            end = lost(&link) => panic!("the connection was closed: {end:?}"),
        }
    }
}
