//! Whether a connection to Redis still works.

use super::{framing::Malformed, stream::Activity};
use redis::aio::MultiplexedConnection;
use std::{fmt, time::Duration};
use tokio::time::sleep;

/// How long a connection may be silent before it is pinged.
const PING_EVERY: Duration = Duration::from_secs(2);
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
    /// What has arrived is no reply of Redis.
    Malformed(Malformed),
    /// Bytes arrive, but no whole value.
    Stuck,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Silent => f.write_str("Redis stopped responding"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Stuck => f.write_str(
                "bytes arrive, but no whole reply for 30 s: the network is slower than 128 KiB/s, or something on the way has changed the data",
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
        activity.malformed().map_or(Lost::Closed, Lost::Malformed)
    };
    loop {
        tokio::select! {
            end = ended() => return end,
            () = sleep(PING_EVERY) => {}
        }
        let silent = activity.last_received().elapsed();
        if silent >= silence {
            return Lost::Silent;
        }
        if is_stuck(activity.last_value().elapsed(), activity.arrived(), silence) {
            return Lost::Stuck;
        }
        if silent < PING_EVERY {
            continue;
        }
        let mut connection = connection.clone();
        tokio::select! {
            biased;
            end = ended() => return end,
            // An error of Redis is a response too. That of a lost connection ends the loop above.
            _ = async { redis::cmd("PING").exec_async(&mut connection).await } => {}
            () = sleep(silence.saturating_sub(silent)) => {}
        }
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
            MAX_VALUE,
            address::{Address, Dialed},
            stream::NoInbox,
        },
        *,
    };
    use redis::IntoConnectionInfo;
    use std::sync::Arc;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
        time::{Instant, timeout},
    };

    const SILENCE: Duration = Duration::from_secs(12);

    /// The head of a published event of this length.
    fn event_of(length: usize) -> Vec<u8> {
        format!(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${length}\r\n").into_bytes()
    }

    /// Returns a connection to a server that accepts every command and sends what the test writes
    /// to the stream, before its responses to pings. After a command that blocks, it responds to
    /// nothing.
    async fn connected() -> (Dialed, DuplexStream) {
        let (here, there) = duplex(1024 * 1024);
        let (test, mut said) = duplex(1024 * 1024);
        tokio::spawn(async move {
            let (mut commands, mut replies) = split(there);
            let (mut command, mut saying) = ([0; 4096], vec![0; 1024 * 1024]);
            let mut is_blocked = false;
            loop {
                tokio::select! {
                    biased;
                    read = said.read(&mut saying) => match read {
                        Ok(0) | Err(_) => return,
                        Ok(read) => replies.write_all(&saying[..read]).await.unwrap(),
                    },
                    read = commands.read(&mut command) => {
                        let read = read.unwrap_or(0);
                        let commands = &command[..read];
                        is_blocked |= commands.windows(8).any(|name| name == b"BZPOPMIN");
                        let count = match is_blocked {
                            true => 0,
                            false => commands.iter().filter(|byte| **byte == b'*').count(),
                        };
                        if read == 0 || replies.write_all(&b"+OK\r\n".repeat(count)).await.is_err() {
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
    async fn a_value_that_is_too_large_ends_the_connection_before_it_arrives() {
        let (link, mut server) = connected().await;

        server.write_all(&event_of(MAX_VALUE)).await.unwrap();

        let end = timeout(PING_EVERY, lost(&link)).await;
        let expected = Lost::Malformed(Malformed::TooLarge(MAX_VALUE as u64));
        assert_eq!(end, Ok(expected));
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
