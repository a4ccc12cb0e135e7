//! The reader of this process' queue.
//!
//! It keeps many BZPOPMIN commands under way, so that Redis hands it each event as soon as it is
//! added: as long as Redis has one of them, no event waits in the queue, and none that was
//! acknowledged to its sender ends with Redis. It also means that the queue of a process is
//! empty in Python's eyes, unless the process cannot keep up.

use super::{
    addition::DROPPED,
    coding::{self, Coding, QueueEntry, since_epoch},
    names::{LayerNames, Proxies},
    pending_gap::{Notice, PendingGap},
    pops::{Popped, Pops},
    readiness::{Readiness, Status},
    received::{Evidence, ReceivedLog},
    restart::WireCommands,
    restored::{Restored, Take},
    subscriptions::{Subscriptions, connection_ended},
};
use crate::{
    channels::{Envelope, LocalChannels, lost_part::Everything},
    log_limit::log_limited,
    redis_link::{
        self, CommandFault, Link, LinkState, NOT_YET, Up, are_two_runs, error_text, remedy,
    },
};
use redis::{PushKind, RedisError, Value, aio::MultiplexedConnection};
use std::{mem, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// How long before the last sign of life of a connection a command was sent that Redis has
/// certainly received: longer than a round trip.
const ROUND_TRIP: Duration = Duration::from_millis(500);

/// The number of events after a reconnection among which there may be ones that this process has
/// already: a sender sends again what it believes lost, and Redis may restore what it had stored.
const REPEATED: u32 = 1024;

/// The pause after Redis has refused a command.
const RETRY: Duration = Duration::from_secs(1);

/// The reader of this process' queue.
pub(super) struct QueueReader {
    /// Each of its connections ends the previous one, which would still pop events.
    pub(super) link: Arc<Link>,
    pub(super) queue: String,
    pub(super) capacity: usize,
    pub(super) local: LocalChannels,
    pub(super) proxies: Arc<Proxies>,
    pub(super) names: LayerNames,
    pub(super) subscriptions: Arc<Subscriptions>,
    /// Those of each host: events for groups of all hosts arrive here.
    pub(super) subscriptions_of_hosts: Vec<Arc<Subscriptions>>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) received: Arc<ReceivedLog>,
    pub(super) coding: Arc<Coding>,
}

/// What is known from earlier connections.
struct Past {
    gap: PendingGap,
    /// The run of Redis whose queue was last read.
    run_id: Option<Arc<str>>,
    /// When the oldest command was sent that Redis has not replied to before the connection was
    /// lost.
    unanswered: Option<Instant>,
    /// The highest score of an entry received so far.
    newest: f64,
    /// Entries that Redis has restored after a restart, and that are still to be delivered.
    restored: Vec<Vec<u8>>,
}

impl Past {
    fn new() -> Self {
        Self {
            gap: PendingGap::new(WireCommands::Queueing),
            run_id: None,
            unanswered: None,
            newest: 0.0,
            restored: Vec::new(),
        }
    }
}

impl QueueReader {
    /// Reads the queue for as long as it runs.
    pub(super) async fn read(&self) {
        let mut states = self.link.watch();
        let mut past = Past::new();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                LinkState::Down(down) => {
                    let reason = down.reason().clone();
                    self.readiness.set(Status::Interrupted(reason));
                    past.gap.lost(self.local.opened());
                }
                LinkState::Up(up) => {
                    if let Err(error) = self.serve(&up, &mut states, &mut past).await {
                        self.refused(&error);
                        sleep(RETRY).await;
                        continue;
                    }
                }
            }
            if states.changed().await.is_err() {
                return;
            }
            states.mark_changed();
        }
    }

    /// Delivers events until the connection is lost.
    ///
    /// # Errors
    /// The error with which Redis refused a command.
    async fn serve(
        &self,
        up: &Up,
        states: &mut watch::Receiver<LinkState>,
        past: &mut Past,
    ) -> Result<(), RedisError> {
        let prepared = tokio::select! {
            prepared = self.prepare(up, past) => prepared,
            () = connection_ended(states, up) => return Ok(()),
        };
        match prepared {
            Ok(()) => {}
            Err(error) => match self.link.fault(up.generation, &error) {
                Some(CommandFault::Broken | CommandFault::Moved) => {
                    connection_ended(states, up).await;
                    return Ok(());
                }
                Some(CommandFault::NotYet) | None => return Err(error),
            },
        }
        self.readiness.set(Status::Restored {
            generation: up.generation,
            run_id: up.run_id.clone(),
        });
        let error = self.deliver_all(&up.connection, past).await;
        if self.link.replace_if_shifted(up.generation, &error) {
            log_limited!(
                warn,
                error = error_text(&error),
                "received a reply to another command from Redis; reconnecting; check the proxy between this process and Redis"
            );
            past.gap.lost(self.local.opened());
            connection_ended(states, up).await;
            return Ok(());
        }
        match self.link.fault(up.generation, &error) {
            Some(CommandFault::Broken | CommandFault::Moved) => {}
            Some(CommandFault::NotYet) | None => {
                self.refused(&error);
                tokio::select! {
                    () = connection_ended(states, up) => {}
                    // Its commands under way still pop events. The next connection ends it, and
                    // notifies consumers of the gap.
                    () = sleep(RETRY) => self.link.replace_refused(up.generation),
                }
            }
        }
        connection_ended(states, up).await;
        Ok(())
    }

    fn refused(&self, error: &RedisError) {
        let remedy = remedy(error).unwrap_or_default();
        let reason = format!("Redis refused a command{remedy}: {}", error_text(error));
        let reason: Arc<str> = reason.into();
        log_limited!(warn, %reason, "cannot receive events; retrying");
        self.readiness.set(Status::Refused(reason));
    }

    /// Finds out what was lost before this connection, and notifies consumers, before any event is
    /// read.
    async fn prepare(&self, up: &Up, past: &mut Past) -> Result<(), RedisError> {
        let mut connection = up.connection.clone();
        // Events wait in the queue, and may have ended with Redis, only if Redis had replied to all
        // commands that it had received.
        if let Some(loss) = &up.loss
            && let Some(unanswered) = past.unanswered
            && unanswered + ROUND_TRIP > loss.last_received
        {
            past.gap.suspect();
        }
        past.gap.connected(up, self.local.opened()).await;
        self.take_restored(up, &mut connection, past).await?;
        past.run_id = up.run_id.clone();
        let run_id = up.run_id.as_deref();
        self.subscriptions.readiness().restored_on(run_id).await;
        if let Some(notice) = past.gap.settled(up).await {
            notice.notify(&self.local, &Everything);
        }
        for entry in mem::take(&mut past.restored) {
            self.deliver(&entry);
        }
        if up.loss.is_some() {
            self.local.reread_topics(&Everything);
        }
        Ok(())
    }

    /// Takes what another run of Redis has restored into the queue. Entries that were received
    /// before the restart are dropped, and if that is not certain, consumers are notified: they
    /// must not arrive twice, or after later ones.
    async fn take_restored(
        &self,
        up: &Up,
        connection: &mut MultiplexedConnection,
        past: &mut Past,
    ) -> Result<(), RedisError> {
        if !are_two_runs(past.run_id.as_deref(), up.run_id.as_deref()) {
            return Ok(());
        }
        let take = Take::new(&self.queue, self.coding.max_batch());
        loop {
            let (has_more, entries) = match take.next(connection).await {
                Err(error)
                    if self.link.fault(up.generation, &error) == Some(CommandFault::NotYet) =>
                {
                    sleep(NOT_YET).await;
                    continue;
                }
                taken => taken?,
            };
            for (entry, score) in entries {
                if entry == DROPPED {
                    past.gap.suspect();
                    continue;
                }
                match Restored::of(self.evidence(&entry), score, past.newest) {
                    Restored::Waiting => past.restored.push(entry),
                    Restored::Received => {}
                    Restored::Unknown => past.gap.suspect(),
                }
            }
            if !has_more {
                return Ok(());
            }
        }
    }

    /// Delivers events until a command fails; returns the error.
    async fn deliver_all(&self, connection: &MultiplexedConnection, past: &mut Past) -> RedisError {
        let expiry = self.coding.expiry;
        let mut pops = Pops::new(connection, &self.queue, self.capacity, expiry);
        let mut not_full_at = Instant::now();
        let mut last_reply = Instant::now();
        let mut maybe_repeated = REPEATED;
        loop {
            let (reply, sent_at) = pops.next().await;
            let now = Instant::now();
            if now - last_reply >= expiry {
                self.notify_overflow(last_reply);
            }
            last_reply = now;
            match reply {
                Err(error) => {
                    past.unanswered = Some(sent_at);
                    return error;
                }
                Ok(Popped::Nothing) => {}
                Ok(Popped::Waiting(waiting)) if waiting >= pops.full() => {
                    self.notify_overflow(not_full_at)
                }
                // Redis has counted some time after that.
                Ok(Popped::Waiting(_)) => not_full_at = sent_at,
                Ok(Popped::Event(event, score)) if event == DROPPED => {
                    // The score is the time of the first drop, by the clock of Redis.
                    let age = since_epoch().as_secs_f64() - score;
                    let age = Duration::try_from_secs_f64(age).unwrap_or_default();
                    self.notify_overflow(now.checked_sub(age).unwrap_or(now).min(not_full_at));
                }
                Ok(Popped::Event(event, score)) => {
                    past.newest = past.newest.max(score);
                    let is_repeated =
                        maybe_repeated > 0 && self.evidence(&event) == Evidence::Received;
                    maybe_repeated = maybe_repeated.saturating_sub(1);
                    if !is_repeated {
                        self.deliver(&event);
                    }
                }
            }
        }
    }

    /// Notifies all consumers that events since then may be missing.
    fn notify_overflow(&self, since: Instant) {
        let notice = Notice {
            since,
            opened: self.local.opened(),
            reason: "a queue of this process is full",
        };
        notice.notify(&self.local, &Everything);
    }

    /// Returns whether this entry was received before.
    fn evidence(&self, entry: &[u8]) -> Evidence {
        self.received.find_after(0, self.queue.as_bytes(), entry)
    }

    fn deliver(&self, event: &[u8]) {
        self.received.record(self.queue.as_bytes(), event);
        let Some(QueueEntry { event, recipients }) = self.coding.decode_entry(event) else {
            return;
        };
        if recipients.is_empty() {
            coding::count("it names no channel");
        }
        let envelope = Envelope::from_bytes(event);
        for recipient in recipients {
            match self.proxies.group_of(&recipient) {
                Some(group) if !self.local.has_members(&group) => {
                    let host = self.names.host_of_group(&group);
                    self.subscriptions_of_hosts[host].found_stale(&group);
                }
                Some(group) => self.local.deliver_group(&group, &envelope),
                None => _ = self.local.deliver(&recipient, envelope.clone()),
            }
        }
    }
}

/// The backpressure of this process' mailboxes, for the connection that reads its queue.
pub(super) struct Backpressure(pub(super) LocalChannels);

impl redis_link::PushReceiver for Backpressure {
    fn push(&self, _: PushKind, _: Vec<Value>) {}

    fn deliveries(&self) -> u64 {
        self.0.deliveries()
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }
}
