//! Two processes and forty clients on one Redis, for a fault to happen to.

use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    account::{Account, resumed},
    crowd::Crowd,
    proxy::Proxy,
    redis::Redis,
    server::Server,
    wait::{DEADLINE, POLL},
};

/// Every room has as many clients of one process as of the other.
const CLIENTS: u32 = 40;
const ROOMS: u32 = 4;

/// Between two messages of one client: 80 messages a second from all.
const EVERY: Duration = Duration::from_millis(500);

/// How long messages flow before the fault.
const BEFORE: Duration = Duration::from_secs(1);

/// How long they flow after it.
const AFTER: Duration = Duration::from_secs(3);

/// When everybody has to receive again, once Redis is back.
pub const RESUME: Duration = Duration::from_secs(1);

/// After this long without one more delivery, what is missing will not come.
const QUIET: Duration = Duration::from_secs(2);

/// Two arenas, each with a proxy between it and one Redis, and clients in rooms that span both.
#[derive(Debug)]
pub struct Stage {
    /// The Redis of both processes.
    pub redis: Redis,
    /// The network between Redis and each process.
    pub wires: [Proxy; 2],
    /// The processes.
    pub arenas: [Server; 2],
    crowd: Crowd,
}

/// What a fault has done.
#[derive(Debug)]
pub struct Verdict {
    /// To each message.
    pub account: Account,
    /// How long after the end of the fault everybody received again, if they did.
    pub resumed: Option<Duration>,
    /// What the processes wrote to stderr.
    errors: String,
}

impl Stage {
    /// Starts everything, with a network that can fail; returns once messages have been flowing for a while.
    pub async fn on(redis: Redis) -> Self {
        Self::start(redis, |redis, wire| redis.url_through(wire.port())).await
    }

    /// As [`on`](Self::on), with processes that connect to Redis directly, so that they see at once when nothing listens
    /// at its port.
    pub async fn directly_on(redis: Redis) -> Self {
        Self::start(redis, |redis, _| redis.url()).await
    }

    async fn start(redis: Redis, url: impl Fn(&Redis, &Proxy) -> String) -> Self {
        let wires = [
            Proxy::before_redis(&redis).await,
            Proxy::before_redis(&redis).await,
        ];
        let arenas = [
            Server::arena_with(&["--redis", &url(&redis, &wires[0])]).await,
            Server::arena_with(&["--redis", &url(&redis, &wires[1])]).await,
        ];
        let mut crowd = Crowd::new(EVERY);
        for number in 0..CLIENTS {
            let process = number / ROOMS % 2;
            crowd.add(arenas[process as usize].port(), number % ROOMS);
        }
        crowd.joined().await;
        crowd.start_sending();
        sleep(BEFORE).await;
        Self {
            redis,
            wires,
            arenas,
            crowd,
        }
    }

    /// Both processes' networks do this from now on.
    pub fn set_wires(&self, set: impl Fn(&Proxy)) {
        self.wires.iter().for_each(set);
    }

    /// A client of each process enters a room that was empty.
    pub fn enter_a_new_room(&mut self) {
        for arena in &self.arenas {
            self.crowd.add(arena.port(), ROOMS);
        }
    }

    /// Ends the fault's story: messages flow for a while longer, then all that is under way arrives, and is counted.
    ///
    /// To be called at the moment when the fault is over.
    pub async fn verdict(mut self) -> Verdict {
        let back = self.crowd.now();
        sleep(AFTER).await;
        self.crowd.joined().await;
        self.crowd.stop_sending();
        let account = self.settled(back + RESUME).await;
        Verdict {
            account,
            resumed: resumed(&self.crowd.logs(), back),
            errors: self.arenas.iter_mut().map(Server::errors).collect(),
        }
    }

    /// The account, once nothing more arrives.
    async fn settled(&self, recovered: Duration) -> Account {
        let start = Instant::now();
        let (mut account, mut since) = (Account::default(), start);
        loop {
            let now = Account::of(&self.crowd.logs(), recovered);
            if now.missing() == 0 {
                return now;
            }
            if now != account {
                (account, since) = (now, Instant::now());
            }
            if since.elapsed() > QUIET || start.elapsed() > DEADLINE {
                return account;
            }
            sleep(POLL * 10).await;
        }
    }
}

impl Verdict {
    /// # Panics
    /// When a loss was silent, or something came twice, out of order or from nowhere, or a client is deaf.
    pub fn is_honest(&self) {
        assert!(self.account.is_honest(), "{self:#}");
    }

    /// # Panics
    /// When it is not honest, or anything is missing, or a socket was closed.
    pub fn is_complete(&self) {
        self.is_honest();
        assert!(self.account.is_complete(), "{self:#}");
    }

    /// # Panics
    /// When somebody did not receive again in time.
    pub fn resumed_in_time(&self) {
        let is_in_time = self.resumed.is_some_and(|resumed| resumed <= RESUME);
        assert!(is_in_time, "{self:#}");
    }
}

/// `{:#}` adds what the processes wrote.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resumed {
            Some(resumed) => write!(f, "resumed after {resumed:.2?}; ")?,
            None => f.write_str("did not resume; ")?,
        }
        write!(f, "{}", self.account)?;
        if f.alternate() {
            write!(f, "\n--- the processes said:\n{}---", self.errors)?;
        }
        Ok(())
    }
}
