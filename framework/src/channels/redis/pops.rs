//! The commands under way that take events from a queue.

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use redis::{ErrorKind, RedisError, RedisResult, Value, aio::MultiplexedConnection};
use std::{
    collections::VecDeque,
    future::{Future, ready},
    time::Duration,
};
use tokio::{task::unconstrained, time::Instant};

/// The number of commands under way. Over a link with a round trip of 100 ms, Redis can hand out
/// 4,500 events a second before they wait in the queue.
const UNDER_WAY: usize = 512;

/// The number of BZPOPMIN between two checks of how many events wait.
const ROUND: usize = 8;

/// The longest timeout of a BZPOPMIN: its reply is a sign of life on an idle connection.
const LONGEST_BLOCK: Duration = Duration::from_secs(1);

/// The commands under way on one connection: BZPOPMIN, and between rounds of it a count of the
/// events that wait.
pub(super) struct Pops<'a> {
    connection: &'a MultiplexedConnection,
    queue: &'a str,
    capacity: usize,
    /// The timeout of each BZPOPMIN.
    block: Duration,
    replies: FuturesOrdered<BoxFuture<'static, RedisResult<Popped>>>,
    /// When each of them was sent.
    sent_at: VecDeque<Instant>,
}

/// Redis' reply to a command under way.
pub(super) enum Popped {
    /// The number of events that wait.
    Waiting(usize),
    /// An entry, and its score.
    Event(Vec<u8>, f64),
    Nothing,
}

impl<'a> Pops<'a> {
    /// `capacity` is that of the queue, `expiry` that of its entries: on an idle connection, two
    /// replies are half of it apart at most.
    pub(super) fn new(
        connection: &'a MultiplexedConnection,
        queue: &'a str,
        capacity: usize,
        expiry: Duration,
    ) -> Self {
        Self {
            connection,
            queue,
            capacity,
            block: LONGEST_BLOCK.min(expiry / 2),
            replies: FuturesOrdered::new(),
            sent_at: VecDeque::with_capacity(UNDER_WAY),
        }
    }

    fn round(&self) -> usize {
        ROUND.min(self.capacity / 8).max(1)
    }

    /// Returns how many events wait in a queue that was full at a check, or at most one round
    /// after: checks are not quite as frequent as events.
    pub(super) fn full(&self) -> usize {
        self.capacity.saturating_sub(self.round()).max(1)
    }

    /// Sends commands until enough are under way. Returns the next reply, and when its command was
    /// sent.
    pub(super) async fn next(&mut self) -> (RedisResult<Popped>, Instant) {
        let round = self.round();
        while self.replies.len() + round < UNDER_WAY {
            self.replies.push_back(self.count_waiting());
            (0..round).for_each(|_| self.replies.push_back(self.pop()));
            self.sent_at.resize(self.replies.len(), Instant::now());
        }
        let reply = self.replies.next().await;
        let sent_at = self.sent_at.pop_front();
        let under_way = "commands are always under way";
        (reply.expect(under_way), sent_at.expect(under_way))
    }

    fn count_waiting(&self) -> BoxFuture<'static, RedisResult<Popped>> {
        let mut connection = self.connection.clone();
        let mut count = redis::cmd("ZCARD");
        count.arg(self.queue);
        sent(async move {
            let waiting = count.query_async(&mut connection).await?;
            Ok(Popped::Waiting(waiting))
        })
    }

    fn pop(&self) -> BoxFuture<'static, RedisResult<Popped>> {
        let mut connection = self.connection.clone();
        let mut pop = redis::cmd("BZPOPMIN");
        pop.arg(self.queue).arg(self.block.as_secs_f64());
        sent(async move {
            let popped = pop.query_async(&mut connection).await?;
            Ok(match popped_entry(popped)? {
                Some((event, score)) => Popped::Event(event, score),
                None => Popped::Nothing,
            })
        })
    }
}

/// Sends a command now, and returns its reply: the order of events is that in which the commands
/// were sent. There is room for all of them in the connection's pipeline, and unconstrained, so
/// that the budget of this task does not delay one and send the next one before it.
fn sent(
    command: impl Future<Output = RedisResult<Popped>> + Send + 'static,
) -> BoxFuture<'static, RedisResult<Popped>> {
    let mut command: BoxFuture<'static, _> = Box::pin(unconstrained(command));
    match command.as_mut().now_or_never() {
        Some(reply) => Box::pin(ready(reply)),
        None => command,
    }
}

/// Returns the entry and its score from a reply to BZPOPMIN, if there was one.
///
/// # Errors
/// If it is a reply to another command.
pub(super) fn popped_entry(reply: Value) -> RedisResult<Option<(Vec<u8>, f64)>> {
    let parts = match reply {
        Value::Nil => return Ok(None),
        Value::Array(parts) => parts,
        _ => Vec::new(),
    };
    match <[Value; 3]>::try_from(parts) {
        Ok([_, Value::BulkString(entry), Value::Double(score)]) => Ok(Some((entry, score))),
        _ => Err(RedisError::from((
            ErrorKind::UnexpectedReturnType,
            "a reply to BZPOPMIN is neither nil nor an entry",
        ))),
    }
}
