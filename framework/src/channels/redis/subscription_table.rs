//! Which groups Redis has subscriptions to, and which commands make them those with members.

use crate::{metric, name::GroupName};
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::Arc,
};
use tokio::{sync::oneshot, time::Instant};

/// The groups of this process on one host.
#[derive(Default)]
pub(super) struct SubscriptionTable {
    groups: HashMap<GroupName, GroupSubscription>,
    /// The number of groups that the metric includes.
    counted: usize,
    /// The number of confirmed subscriptions so far.
    activations: u64,
    /// The groups to check.
    due: HashSet<GroupName>,
    /// Whether Redis has refused a part of the last [`refresh`](Self::refresh).
    is_refresh_refused: bool,
    /// The groups that Redis refuses although they have members, and since when.
    blocked: HashMap<GroupName, Instant>,
}

#[derive(Default)]
struct GroupSubscription {
    phase: Phase,
    /// The number of its last confirmed subscription.
    activation: u64,
    waiters: Vec<SubscriptionWaiter>,
}

/// Gets the outcome of a subscription: the reason, if Redis has refused it.
type SubscriptionWaiter = oneshot::Sender<Result<(), Arc<str>>>;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Redis has no subscription to the group.
    #[default]
    Idle,
    Subscribing,
    Active,
    /// Active, and to be requested again before it expires.
    Expiring,
    /// Active, and requested again.
    Refreshing,
    Unsubscribing,
}

/// The commands to send to Redis.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) subscribe: Vec<GroupName>,
    pub(super) unsubscribe: Vec<GroupName>,
}

impl SubscriptionTable {
    /// Returns a receiver of the outcome of a subscription to the group; `None` if there is one.
    pub(super) fn wait_for(
        &mut self,
        group: &GroupName,
    ) -> Option<oneshot::Receiver<Result<(), Arc<str>>>> {
        let entry = self.groups.entry(group.clone()).or_default();
        if entry.active().is_some() {
            return None;
        }
        let (waiter, confirmed) = oneshot::channel();
        entry.wait(waiter);
        self.due.insert(group.clone());
        Some(confirmed)
    }

    /// Returns the number of the subscription to the group that Redis has confirmed, if it has.
    pub(super) fn activation(&self, group: &GroupName) -> Option<u64> {
        self.groups.get(group).and_then(GroupSubscription::active)
    }

    /// Returns all groups whose subscription Redis has confirmed, with the numbers of these.
    pub(super) fn active(&self) -> Vec<(GroupName, u64)> {
        let groups = self.groups.iter();
        groups
            .filter_map(|(group, entry)| Some((group.clone(), entry.active()?)))
            .collect()
    }

    /// Returns whether a subscription to the group was requested, and not its end.
    pub(super) fn needs(&self, group: &GroupName) -> bool {
        let phase = self.groups.get(group).map(|entry| entry.phase);
        !matches!(phase, None | Some(Phase::Idle | Phase::Unsubscribing))
    }

    /// Returns how many calls wait for a subscription to the group.
    pub(super) fn waiting(&self, group: &GroupName) -> usize {
        self.groups
            .get(group)
            .map_or(0, |entry| entry.waiters.len())
    }

    /// Requests all confirmed subscriptions again.
    pub(super) fn refresh(&mut self) {
        self.is_refresh_refused = false;
        for (group, entry) in &mut self.groups {
            if entry.phase == Phase::Active {
                entry.phase = Phase::Expiring;
                self.due.insert(group.clone());
            }
        }
    }

    /// Returns whether Redis has refused a part of the last [`refresh`](Self::refresh).
    pub(super) fn is_refresh_refused(&self) -> bool {
        self.is_refresh_refused
    }

    /// Adds a subscription that Redis has, although no call has requested it; returns false if the
    /// group is known.
    pub(super) fn add_stale(&mut self, group: &GroupName) -> bool {
        if self.groups.contains_key(group) {
            return false;
        }
        let stale = GroupSubscription {
            phase: Phase::Active,
            ..GroupSubscription::default()
        };
        self.groups.insert(group.clone(), stale);
        self.due.insert(group.clone())
    }

    /// Makes a group due, if it is known.
    pub(super) fn check(&mut self, group: &GroupName) -> bool {
        let is_known = self.groups.contains_key(group);
        if is_known {
            self.due.insert(group.clone());
        }
        is_known
    }

    /// Begins anew on another connection: all groups are due.
    ///
    /// A group with members is always among them: a join adds its member and then an entry here,
    /// and an entry is removed only while its group has no member.
    pub(super) fn reset(&mut self) {
        self.interrupt();
        self.is_refresh_refused = false;
        self.due.extend(self.groups.keys().cloned());
    }

    /// Records that Redis has no subscriptions any more. Waiters keep waiting until their deadline.
    pub(super) fn interrupt(&mut self) {
        for entry in self.groups.values_mut() {
            entry.phase = Phase::Idle;
        }
    }

    /// Removes the groups that are no longer wanted, while there is no connection.
    pub(super) fn prune(&mut self, has_members: impl Fn(&GroupName) -> bool) {
        let (groups, blocked) = (&mut self.groups, &mut self.blocked);
        self.due.retain(|group| {
            let is_wanted = groups
                .get_mut(group)
                .is_some_and(|entry| entry.is_wanted(|| has_members(group)));
            if !is_wanted {
                groups.remove(group);
                blocked.remove(group);
            }
            is_wanted
        });
    }

    /// Decides which commands the due groups need.
    pub(super) fn plan(&mut self, has_members: impl Fn(&GroupName) -> bool) -> Plan {
        let mut plan = Plan::default();
        for group in mem::take(&mut self.due) {
            let Some(entry) = self.groups.get_mut(&group) else {
                continue;
            };
            match (entry.phase, entry.is_wanted(|| has_members(&group))) {
                (Phase::Idle, true) => {
                    entry.phase = Phase::Subscribing;
                    plan.subscribe.push(group);
                }
                (Phase::Idle, false) => {
                    self.groups.remove(&group);
                    self.blocked.remove(&group);
                }
                (Phase::Active, true) => entry.settle(&Ok(())),
                (Phase::Expiring, true) => {
                    entry.phase = Phase::Refreshing;
                    plan.subscribe.push(group);
                }
                (Phase::Active | Phase::Expiring, false) => {
                    entry.phase = Phase::Unsubscribing;
                    plan.unsubscribe.push(group);
                }
                // Checked again when Redis has responded.
                (Phase::Subscribing | Phase::Refreshing | Phase::Unsubscribing, _) => {}
            }
        }
        metric::subscriptions(self.groups.len() as f64 - self.counted as f64);
        self.counted = self.groups.len();
        plan
    }

    /// Records that Redis has confirmed subscriptions to these groups. Returns those that it has
    /// refused before, although they had members, and since when.
    pub(super) fn subscribed(&mut self, groups: Vec<GroupName>) -> Vec<(GroupName, Instant)> {
        let mut blocked = Vec::new();
        for group in groups {
            blocked.extend(self.blocked.remove_entry(&group));
            if let Some(entry) = self.groups.get_mut(&group) {
                self.activations += 1;
                entry.activation = self.activations;
                entry.phase = Phase::Active;
                entry.settle(&Ok(()));
            }
            // Its members may have left in the meantime.
            self.due.insert(group);
        }
        blocked
    }

    /// Records the same of subscriptions that Redis has refused to refresh, but still has.
    pub(super) fn kept(&mut self, groups: Vec<GroupName>) -> Vec<(GroupName, Instant)> {
        self.is_refresh_refused = true;
        self.subscribed(groups)
    }

    /// Records that Redis has ended the subscriptions to these groups.
    pub(super) fn unsubscribed(&mut self, groups: Vec<GroupName>) {
        for group in groups {
            if let Some(entry) = self.groups.get_mut(&group) {
                entry.phase = Phase::Idle;
            }
            // A channel may have joined in the meantime.
            self.due.insert(group);
        }
    }

    /// Records that Redis has refused to add or refresh subscriptions to these groups; `reason` is
    /// for those that wait for it. A group that has members is not due: Redis would refuse it again.
    ///
    /// Returns those to which Redis still has a subscription, until it expires or another program
    /// deletes it.
    pub(super) fn refused(
        &mut self,
        groups: Vec<GroupName>,
        reason: Option<Arc<str>>,
        has_members: impl Fn(&GroupName) -> bool,
    ) -> Vec<GroupName> {
        let mut expiring = Vec::new();
        for group in groups {
            let Some(entry) = self.groups.get_mut(&group) else {
                continue;
            };
            entry.phase = match entry.phase {
                Phase::Refreshing => {
                    self.is_refresh_refused = true;
                    expiring.push(group.clone());
                    Phase::Active
                }
                _ => Phase::Idle,
            };
            if let Some(reason) = &reason {
                entry.settle(&Err(reason.clone()));
            }
            // Its members may have left in the meantime.
            if !entry.is_wanted(|| has_members(&group)) {
                self.due.insert(group);
            }
        }
        expiring
    }

    /// Records that Redis has refused a group that has members; returns whether it had not before.
    pub(super) fn block(&mut self, group: GroupName) -> bool {
        let is_new = !self.blocked.contains_key(&group);
        self.blocked.entry(group).or_insert_with(Instant::now);
        is_new
    }

    /// Returns whether there are groups that Redis refuses although they have members.
    pub(super) fn has_blocked(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// Makes these groups due again.
    pub(super) fn retry_blocked(&mut self) {
        let groups = &self.groups;
        self.blocked.retain(|group, _| groups.contains_key(group));
        self.due.extend(self.blocked.keys().cloned());
    }
}

impl GroupSubscription {
    fn active(&self) -> Option<u64> {
        match self.phase {
            Phase::Active | Phase::Expiring | Phase::Refreshing => Some(self.activation),
            Phase::Idle | Phase::Subscribing | Phase::Unsubscribing => None,
        }
    }

    /// Adds a waiter. Waiters whose deadline has passed are removed before the list grows.
    fn wait(&mut self, waiter: SubscriptionWaiter) {
        if self.waiters.len() == self.waiters.capacity() {
            self.waiters.retain(|waiter| !waiter.is_closed());
        }
        self.waiters.push(waiter);
    }

    fn is_wanted(&mut self, has_members: impl Fn() -> bool) -> bool {
        self.waiters.retain(|waiter| !waiter.is_closed());
        !self.waiters.is_empty() || has_members()
    }

    fn settle(&mut self, outcome: &Result<(), Arc<str>>) {
        for waiter in self.waiters.drain(..) {
            // A waiter whose deadline has passed needs no outcome.
            _ = waiter.send(outcome.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    fn group(name: &str) -> GroupName {
        GroupName::new(name).unwrap()
    }

    #[test]
    fn each_group_has_one_command_in_flight_and_ends_in_the_state_wanted_last() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        let subscribe = Plan {
            subscribe: vec![lobby.clone()],
            unsubscribe: Vec::new(),
        };
        let unsubscribe = Plan {
            subscribe: Vec::new(),
            unsubscribe: vec![lobby.clone()],
        };

        let mut confirmed = table.wait_for(&lobby).expect("there is no subscription");
        assert_eq!(table.plan(|_| true), subscribe);
        // It is left, joined and left again before Redis responds.
        for has_members in [false, true, false] {
            table.check(&lobby);
            assert_eq!(table.plan(|_| has_members), Plan::default());
        }
        table.subscribed(vec![lobby.clone()]);
        assert_eq!(confirmed.try_recv(), Ok(Ok(())));
        assert_eq!(table.activation(&lobby), Some(1));
        assert!(table.needs(&lobby));
        assert_eq!(table.plan(|_| false), unsubscribe);
        assert!(!table.needs(&lobby), "it is to end");
        table.unsubscribed(vec![lobby.clone()]);
        assert_eq!(table.plan(|_| true), subscribe);
        table.subscribed(vec![lobby.clone()]);
        assert_eq!(table.activation(&lobby), Some(2));
    }

    #[test]
    fn a_refusal_fails_those_who_wait_and_an_interruption_does_not() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        let mut confirmed = table.wait_for(&lobby).expect("there is no subscription");
        table.plan(|_| true);

        table.interrupt();
        table.reset();
        assert!(confirmed.try_recv().is_err(), "it waits");
        assert_eq!(table.plan(|_| true).subscribe, slice::from_ref(&lobby));
        table.refused(vec![lobby], Some("NOPERM".into()), |_| true);

        assert_eq!(confirmed.try_recv(), Ok(Err("NOPERM".into())));
    }

    #[test]
    fn a_group_without_members_and_waiters_is_removed() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        drop(table.wait_for(&lobby));

        assert_eq!(table.plan(|_| false), Plan::default());

        assert!(!table.check(&lobby));
        assert!(table.add_stale(&lobby), "Redis has it");
        assert_eq!(table.plan(|_| false).unsubscribe, [lobby]);
    }

    #[test]
    fn all_confirmed_subscriptions_are_listed_and_refreshed() {
        let (lobby, kitchen, mut table) = (
            group("lobby"),
            group("kitchen"),
            SubscriptionTable::default(),
        );
        let mut refreshed = table.wait_for(&lobby).expect("there is no subscription");
        table.plan(|_| true);
        table.subscribed(vec![lobby.clone()]);
        assert_eq!(refreshed.try_recv(), Ok(Ok(())));
        assert!(table.wait_for(&lobby).is_none(), "it is confirmed");
        assert_eq!(table.plan(|_| true), Plan::default());
        _ = table.wait_for(&kitchen);

        assert_eq!(table.active(), [(lobby.clone(), 1)]);
        assert_eq!(table.activation(&kitchen), None);
        table.refresh();

        assert_eq!(table.plan(|group| *group == lobby).subscribe, [lobby]);
    }

    #[test]
    fn a_subscription_that_redis_refuses_to_refresh_remains_until_it_is_refreshed() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        drop(table.wait_for(&lobby));
        table.plan(|_| true);
        table.subscribed(vec![lobby.clone()]);
        table.plan(|_| true);

        table.refresh();
        assert!(table.wait_for(&lobby).is_none(), "it is confirmed");
        assert_eq!(table.plan(|_| true).subscribe, slice::from_ref(&lobby));
        assert!(table.wait_for(&lobby).is_none(), "it is confirmed");
        let expiring = table.refused(vec![lobby.clone()], Some("OOM".into()), |_| true);

        assert_eq!(expiring, slice::from_ref(&lobby));
        assert!(table.is_refresh_refused());
        assert_eq!(table.activation(&lobby), Some(1));
        assert!(table.wait_for(&lobby).is_none(), "it is confirmed");
        assert_eq!(table.plan(|_| true), Plan::default());
        table.refresh();
        assert!(!table.is_refresh_refused());
        assert_eq!(table.plan(|_| true).subscribe, slice::from_ref(&lobby));
        table.subscribed(vec![lobby.clone()]);
        assert_eq!(table.activation(&lobby), Some(2));
    }

    #[test]
    fn a_group_that_is_left_before_or_during_its_refresh_is_unsubscribed() {
        for is_during in [false, true] {
            let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
            drop(table.wait_for(&lobby));
            table.plan(|_| true);
            table.subscribed(vec![lobby.clone()]);
            table.plan(|_| true);

            table.refresh();
            if is_during {
                table.plan(|_| true);
                table.check(&lobby);
                assert_eq!(table.plan(|_| false), Plan::default(), "it is in flight");
                table.refused(vec![lobby.clone()], Some("OOM".into()), |_| false);
            }

            assert_eq!(table.plan(|_| false).unsubscribe, [lobby]);
        }
    }

    #[test]
    fn a_process_without_a_connection_forgets_the_groups_that_nobody_wants() {
        let (lobby, kitchen, hall) = (group("lobby"), group("kitchen"), group("hall"));
        let mut table = SubscriptionTable::default();
        drop((table.wait_for(&lobby), table.wait_for(&kitchen)));
        let _waiting = table.wait_for(&hall);

        table.prune(|group| *group == lobby);

        assert!(!table.check(&kitchen));
        assert!(table.check(&lobby));
        assert!(table.check(&hall), "a member waits for it");
        assert_eq!(table.plan(|_| true).subscribe.len(), 2);
    }

    #[test]
    fn members_whose_deadline_has_passed_are_not_kept_among_those_who_wait() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        let waiting = [table.wait_for(&lobby), table.wait_for(&lobby)];

        for _ in 0..1000 {
            drop(table.wait_for(&lobby));
        }

        let kept = table.waiting(&lobby);
        assert!((2..=8).contains(&kept), "{kept}");
        table.plan(|_| true);
        assert_eq!(table.waiting(&lobby), waiting.len());
        assert_eq!(table.waiting(&group("kitchen")), 0);
        table.subscribed(vec![lobby]);
        for confirmed in waiting {
            assert_eq!(confirmed.unwrap().try_recv(), Ok(Ok(())));
        }
    }

    #[test]
    fn a_group_that_redis_does_not_have_is_subscribed_again_when_it_is_due() {
        for reason in [None, Some("NOPERM".into())] {
            let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
            let mut confirmed = table.wait_for(&lobby).expect("there is no subscription");
            table.plan(|_| true);

            table.refused(vec![lobby.clone()], reason.clone(), |_| true);
            assert_eq!(table.plan(|_| true), Plan::default(), "it is not due");
            assert_eq!(confirmed.try_recv().is_ok(), reason.is_some());
            assert!(table.check(&lobby));

            assert_eq!(table.plan(|_| true).subscribe, [lobby]);
        }
    }

    #[test]
    fn a_group_that_is_left_before_it_is_refused_is_removed() {
        for reason in [None, Some("NOPERM".into())] {
            let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
            drop(table.wait_for(&lobby));
            table.plan(|_| true);
            table.check(&lobby);
            assert_eq!(table.plan(|_| false), Plan::default(), "it is in flight");

            table.refused(vec![lobby.clone()], reason, |_| false);
            assert_eq!(table.plan(|_| false), Plan::default());

            assert!(!table.check(&lobby));
        }
    }

    #[test]
    fn a_new_connection_has_no_subscription_yet() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        drop(table.wait_for(&lobby));
        table.plan(|_| true);
        table.subscribed(vec![lobby.clone()]);

        table.reset();

        assert_eq!(table.activation(&lobby), None);
        assert_eq!(table.plan(|_| true).subscribe, [lobby]);
    }

    #[test]
    fn a_group_that_is_joined_while_it_is_unsubscribed_waits_for_the_response() {
        let (lobby, mut table) = (group("lobby"), SubscriptionTable::default());
        drop(table.wait_for(&lobby));
        table.plan(|_| true);
        table.subscribed(vec![lobby.clone()]);
        assert_eq!(table.plan(|_| false).unsubscribe, slice::from_ref(&lobby));

        let joined = table.wait_for(&lobby);
        assert!(joined.is_some(), "the subscription is about to end");
        assert_eq!(table.plan(|_| true), Plan::default());
        table.unsubscribed(vec![lobby.clone()]);

        assert_eq!(table.plan(|_| true).subscribe, [lobby]);
    }
}
