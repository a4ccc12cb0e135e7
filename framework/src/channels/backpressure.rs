//! Backpressure: the mailboxes so full that they would overflow if a backend continued to read.

use super::mailbox::Slot;
use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long the owner of a full mailbox may take no envelope before it counts as stalled: from
/// then on no backend waits for it, and the mailbox overflows.
const STALLED_AFTER: Duration = Duration::from_millis(250);

/// The longest that a backend waits for one mailbox, however often its owner takes an envelope.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// After a wait for a few slow owners, a backend waits for none during this many times as long:
/// slow owners pause it for at most a fifth of the time, even if they alternate.
const REST: u32 = 4;

/// A wait for one mailbox in this many, or fewer, is a wait for a few slow owners. A burst fills
/// more mailboxes at once.
const FEW: usize = 2;

/// A wait up to this long does not show that an owner is slow: it may be waiting for the processor.
const SHORT_WAIT: Duration = Duration::from_millis(50);

/// The mailboxes that are more than half full and whose owners are active.
#[derive(Default)]
pub(super) struct FullMailboxes {
    state: Mutex<BackpressureState>,
    /// Whether a backend asks for room. If none does, nothing is recorded, because nothing would
    /// remove it.
    is_used: AtomicBool,
    is_watched: AtomicBool,
}

#[derive(Default)]
struct BackpressureState {
    full: Vec<FullMailbox>,
    waiting_since: Option<Instant>,
    /// The largest number of mailboxes that the backend has waited for at the same time.
    most: usize,
    rests_until: Option<Instant>,
}

struct FullMailbox {
    slot: Arc<Slot>,
    since: Instant,
    /// The number of envelopes that its owner had taken when it was last seen to take one, and the
    /// time of that.
    taken: u64,
    seen: Instant,
}

impl FullMailboxes {
    /// Records a mailbox that has just become more than half full.
    pub(super) fn add(&self, slot: &Arc<Slot>) {
        if !self.is_used.load(Ordering::Relaxed) {
            return;
        }
        let now = Instant::now();
        self.state().full.push(FullMailbox {
            slot: slot.clone(),
            since: now,
            taken: slot.taken(),
            seen: now,
        });
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// Returns whether a backend may continue to read, given the number of open mailboxes; if not,
    /// it asks again a little later.
    pub(super) fn has_room(&self, open: usize) -> bool {
        if !self.is_watched.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
            return true;
        }
        let now = Instant::now();
        let mut state = self.state();
        state.most = state.most.max(state.full.len());
        let mut has_stalled_receiver = false;
        state.full.retain_mut(|full| match full.look(now) {
            MailboxProgress::Waiting => true,
            MailboxProgress::Emptied => false,
            MailboxProgress::Stalled => {
                has_stalled_receiver = true;
                false
            }
        });
        let is_empty = state.full.is_empty();
        if let Some(since) = state.waiting_since {
            let waited = now - since;
            let are_few = state.most.saturating_mul(FEW) <= open;
            if has_stalled_receiver || is_empty && are_few && waited > SHORT_WAIT {
                state.rests_until = now.checked_add(waited * REST);
            }
        }
        self.is_watched.store(!is_empty, Ordering::Relaxed);
        let has_room = is_empty || state.rests_until.is_some_and(|until| now < until);
        match has_room {
            true => (state.waiting_since, state.most) = (None, 0),
            false => _ = state.waiting_since.get_or_insert(now),
        }
        has_room
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.state().full.len()
    }

    fn state(&self) -> MutexGuard<'_, BackpressureState> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

enum MailboxProgress {
    Waiting,
    Emptied,
    Stalled,
}

impl FullMailbox {
    fn look(&mut self, now: Instant) -> MailboxProgress {
        if !self.slot.is_under_pressure() {
            return MailboxProgress::Emptied;
        }
        let taken = self.slot.taken();
        if taken != self.taken {
            (self.taken, self.seen) = (taken, now);
        }
        let is_stalled = now - self.seen >= STALLED_AFTER || now - self.since >= LONGEST_WAIT;
        if !is_stalled {
            return MailboxProgress::Waiting;
        }
        MailboxProgress::Stalled
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        channels::{Envelope, LocalChannels, Mailbox},
        name::GroupName,
    };
    use std::{future::Future, time::Duration};
    use tokio::time::{Instant, sleep};

    const CAPACITY: usize = 8;

    fn room() -> (LocalChannels, GroupName, Mailbox) {
        let (local, group) = (
            LocalChannels::new(CAPACITY, |_| {}),
            GroupName::new("room").unwrap(),
        );
        let mailbox = local.open("member").unwrap();
        local.join(&group, mailbox.name()).unwrap();
        assert!(local.has_room(), "a backend starts to ask");
        (local, group, mailbox)
    }

    fn fill(local: &LocalChannels, group: &GroupName, events: usize) {
        for _ in 0..events {
            local.deliver_group(group, &Envelope::from_bytes("x"));
        }
    }

    /// Returns how long a backend waits.
    async fn wait(local: &LocalChannels) -> Duration {
        let start = Instant::now();
        while !local.has_room() {
            sleep(Duration::from_millis(1)).await;
        }
        start.elapsed()
    }

    async fn take(mailbox: &mut Mailbox, events: usize) {
        for _ in 0..events {
            mailbox.receive().await.unwrap();
        }
    }

    fn timed<F: Future>(test: F) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn a_wire_waits_for_a_mailbox_that_is_more_than_half_full_until_it_is_a_quarter_full() {
        timed(async {
            let (local, group, mut mailbox) = room();
            fill(&local, &group, CAPACITY / 2);
            assert!(local.has_room());

            fill(&local, &group, 1);
            assert!(!local.has_room());
            take(&mut mailbox, 2).await;
            assert!(!local.has_room());
            take(&mut mailbox, 1).await;
            assert!(local.has_room());
        });
    }

    #[test]
    fn a_wire_does_not_wait_for_a_mailbox_that_is_gone() {
        timed(async {
            let (local, group, mailbox) = room();
            fill(&local, &group, CAPACITY);

            drop(mailbox);

            assert!(local.has_room());
        });
    }

    #[test]
    fn a_wire_waits_once_for_a_stalled_owner_and_again_when_it_has_caught_up() {
        timed(async {
            let (local, group, mut mailbox) = room();
            fill(&local, &group, CAPACITY);
            assert_eq!(wait(&local).await, super::STALLED_AFTER);

            fill(&local, &group, CAPACITY);
            assert!(
                local.has_room(),
                "it overflows, and no backend waits for it"
            );
            assert!(mailbox.dropped() > 0);

            take(&mut mailbox, CAPACITY).await;
            sleep(super::STALLED_AFTER * super::REST).await;
            fill(&local, &group, CAPACITY - 1);
            assert!(!local.has_room());
        });
    }

    #[test]
    fn an_owner_that_takes_an_envelope_now_and_then_has_not_stalled() {
        timed(async {
            let (local, group, mut mailbox) = room();
            fill(&local, &group, CAPACITY);
            for _ in 0..3 {
                assert!(!local.has_room());
                sleep(super::STALLED_AFTER * 3 / 4).await;
                take(&mut mailbox, 1).await;
            }
            assert!(!local.has_room());

            assert_eq!(wait(&local).await, super::STALLED_AFTER);
        });
    }

    #[test]
    fn one_slow_owner_among_many_stops_a_wire_for_a_fifth_of_the_time_at_most() {
        timed(async {
            let (local, group, mut slow) = room();
            let others: Vec<_> = (0..super::FEW)
                .map(|_| local.open("other").unwrap())
                .collect();
            let start = Instant::now();
            let mut waited = Duration::ZERO;
            for _ in 0..40 {
                fill(&local, &group, CAPACITY / 2 + 1);
                let taking = async {
                    for _ in 0..CAPACITY / 2 + 1 {
                        sleep(super::STALLED_AFTER / 2).await;
                        _ = slow.receive().await;
                    }
                };
                let (_, wait) = tokio::join!(taking, wait(&local));
                waited += wait;
            }
            let share = waited.as_secs_f32() / start.elapsed().as_secs_f32();
            assert!(share < 0.25, "it waited for {share} of the time");
            drop(others);
        });
    }

    #[test]
    fn a_layer_without_a_wire_keeps_nothing_of_full_mailboxes() {
        timed(async {
            let local = LocalChannels::new(CAPACITY, |_| {});
            let group = GroupName::new("room").unwrap();
            let envelope = Envelope::from_bytes(vec![b'x'; 1000]);
            for _ in 0..100 {
                let mailbox = local.open("member").unwrap();
                local.join(&group, mailbox.name()).unwrap();
                (0..CAPACITY).for_each(|_| local.deliver_group(&group, &envelope));
            }
            assert_eq!(local.full(), 0);
        });
    }

    #[test]
    fn many_stalled_owners_stop_a_wire_for_a_fifth_of_the_time_at_most() {
        timed(async {
            let (local, group, first) = room();
            let mut mailboxes = vec![first];
            let start = Instant::now();
            let mut waited = Duration::ZERO;
            for _ in 0..40 {
                fill(&local, &group, CAPACITY);
                waited += wait(&local).await;
                let mailbox = local.open("member").unwrap();
                local.join(&group, mailbox.name()).unwrap();
                mailboxes.push(mailbox);
                sleep(super::STALLED_AFTER).await;
            }
            let share = waited.as_secs_f32() / start.elapsed().as_secs_f32();
            assert!(share < 0.25, "it waited for {share} of the time");
        });
    }
}
