//! The conformance tests of the in-memory layer.

use crate::around::Around;
use async_trait::async_trait;
use seaway::{
    ChannelName, Channels, Error, GroupName, NoEvent, Result,
    channels::{
        ChannelLayer, Envelope, InMemoryChannelLayer, LocalChannels, LocalQueues, Mailbox,
        Membership,
    },
    testing::{channel_layer, presence, topics},
};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::yield_now,
};

#[tokio::test]
async fn the_in_memory_layer_conforms() {
    let channels = Channels::in_memory();

    channel_layer::conforms(async || channels.clone()).await;
}

/// A layer that delivers in a task, for which no sender waits.
struct InTask {
    local: LocalChannels,
    queues: LocalQueues,
    sending: UnboundedSender<(GroupName, Envelope)>,
}

impl InTask {
    fn start() -> Channels {
        let (sending, mut sent) = unbounded_channel();
        let local = LocalChannels::default();
        let delivering = local.clone();
        tokio::spawn(async move {
            while let Some((group, envelope)) = sent.recv().await {
                delivering.deliver_group(&group, &envelope);
            }
        });
        Channels::new(Self {
            local,
            queues: LocalQueues::default(),
            sending,
        })
    }
}

#[async_trait]
impl ChannelLayer for InTask {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("task")
    }
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        if channel.is_worker_queue() {
            return self.queues.send(channel, envelope);
        }
        self.local.deliver(channel, envelope);
        Ok(())
    }
    async fn receive(
        &self,
        queue: &ChannelName,
        wait: Duration,
    ) -> Result<Option<Envelope>, Error> {
        self.queues.receive(queue, wait).await
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.join(group, channel).map(drop)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        _ = self.sending.send((group.clone(), envelope));
        Ok(())
    }
    async fn members(&self, group: &GroupName) -> Result<u64, Error> {
        Ok(self.local.members(group) as u64)
    }
}

#[tokio::test]
async fn a_layer_that_delivers_in_a_task_conforms_on_one_thread() {
    let channels = InTask::start();

    channel_layer::conforms(async || channels.clone()).await;
}

/// A layer whose processes give their channels the same names.
struct SameNames {
    local: LocalChannels,
    all: Arc<Mutex<Vec<LocalChannels>>>,
}

impl SameNames {
    fn process(all: &Arc<Mutex<Vec<LocalChannels>>>) -> Channels {
        let (local, all) = (LocalChannels::default(), all.clone());
        all.lock().unwrap().push(local.clone());
        Channels::new(Self { local, all })
    }
}

#[async_trait]
impl ChannelLayer for SameNames {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("same")
    }
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        for process in &*self.all.lock().unwrap() {
            process.deliver(channel, envelope.clone());
        }
        Ok(())
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        unreachable!("the conformance suite checks the names before the jobs")
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.join(group, channel).map(drop)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        for process in &*self.all.lock().unwrap() {
            process.deliver_group(group, &envelope);
        }
        Ok(())
    }
}

#[tokio::test]
#[should_panic(expected = "no two processes give a channel the same name")]
async fn a_layer_that_gives_channels_of_two_processes_the_same_name_does_not_conform() {
    let all = Arc::default();

    channel_layer::conforms(async || SameNames::process(&all)).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_around_another_one_has_its_topics_presence_and_counts() {
    let channels = Channels::new(Around::default());

    topics::conforms(async || channels.clone()).await;
    presence::conforms(async || channels.clone()).await;
    let hall = channels.group::<NoEvent>("hall").unwrap();
    let mailbox = channels.open().await.unwrap();
    hall.add(mailbox.name()).await.unwrap();
    assert_eq!(channels.members(hall.name()).await.unwrap(), 1);
}

/// How a layer manages its subscriptions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subscribing {
    Correctly,
    /// A further member does not wait for the subscription.
    WithoutWaiting,
    /// An empty group is unsubscribed even if it has been joined again.
    WithoutChecking,
}

/// A layer that receives the events of a group only while it is subscribed to it.
struct Subscriber {
    local: LocalChannels,
    queues: LocalQueues,
    subscriptions: Arc<Subscriptions>,
    mode: Subscribing,
}

#[derive(Default)]
struct Subscriptions {
    groups: Mutex<HashSet<GroupName>>,
    /// How many channels were added to groups.
    added: AtomicU64,
}

impl Subscriptions {
    fn contains(&self, group: &GroupName) -> bool {
        self.groups.lock().unwrap().contains(group)
    }

    /// Unsubscribes late: after the next member has joined, if there is one.
    fn emptied(&self, group: &GroupName, local: &LocalChannels, mode: Subscribing) {
        let (before, began) = (self.added.load(SeqCst), Instant::now());
        while self.added.load(SeqCst) == before && began.elapsed() < Duration::from_millis(100) {
            std::thread::yield_now();
        }
        let mut groups = self.groups.lock().unwrap();
        if mode == Subscribing::WithoutChecking || local.members(group) == 0 {
            groups.remove(group);
        }
    }
}

impl Subscriber {
    fn start(mode: Subscribing) -> Channels {
        let subscriptions = Arc::<Subscriptions>::default();
        let local = Arc::new(OnceLock::<LocalChannels>::new());
        let (subscribed, own) = (subscriptions.clone(), local.clone());
        let emptied = move |group: &GroupName| {
            let local = own.get().expect("no group is emptied before");
            subscribed.emptied(group, local, mode);
        };
        let local = local.get_or_init(|| LocalChannels::new(100, emptied));
        Channels::new(Self {
            local: local.clone(),
            queues: LocalQueues::default(),
            subscriptions,
            mode,
        })
    }
}

#[async_trait]
impl ChannelLayer for Subscriber {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("subscriber")
    }
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        if channel.is_worker_queue() {
            return self.queues.send(channel, envelope);
        }
        self.local.deliver(channel, envelope);
        Ok(())
    }
    async fn receive(
        &self,
        queue: &ChannelName,
        wait: Duration,
    ) -> Result<Option<Envelope>, Error> {
        self.queues.receive(queue, wait).await
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        let is_first = self.local.join(group, channel)? == Membership::First;
        if is_first {
            for _ in 0..10 {
                yield_now().await;
            }
            self.subscriptions
                .groups
                .lock()
                .unwrap()
                .insert(group.clone());
        }
        while self.mode != Subscribing::WithoutWaiting && !self.subscriptions.contains(group) {
            yield_now().await;
        }
        self.subscriptions.added.fetch_add(1, SeqCst);
        Ok(())
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        if self.subscriptions.contains(group) {
            self.local.deliver_group(group, &envelope);
        }
        Ok(())
    }
    async fn members(&self, group: &GroupName) -> Result<u64, Error> {
        Ok(self.local.members(group) as u64)
    }
}

#[tokio::test]
async fn a_layer_that_unsubscribes_late_and_checks_conforms() {
    let channels = Subscriber::start(Subscribing::Correctly);

    channel_layer::conforms(async || channels.clone()).await;
}

#[tokio::test]
#[should_panic(expected = "also if another is subscribing")]
async fn a_layer_whose_further_members_do_not_wait_for_the_subscription_does_not_conform() {
    let channels = Subscriber::start(Subscribing::WithoutWaiting);

    channel_layer::conforms(async || channels.clone()).await;
}

#[tokio::test]
#[should_panic(expected = "a member that joins while the last one leaves receives events")]
async fn a_layer_that_unsubscribes_a_group_that_was_joined_again_does_not_conform() {
    let channels = Subscriber::start(Subscribing::WithoutChecking);

    channel_layer::conforms(async || channels.clone()).await;
}

#[tokio::test(start_paused = true)]
async fn jobs_in_memory_expire() {
    let expiry = Duration::from_secs(60);
    let channels = Channels::new(InMemoryChannelLayer::default().worker_queues(100, expiry));

    channel_layer::jobs_expire(expiry, async || channels.clone()).await;
}

#[tokio::test]
async fn the_topics_of_the_in_memory_layer_conform() {
    let channels = Channels::in_memory();

    topics::conforms(async || channels.clone()).await;
}

#[tokio::test]
async fn members_in_memory_are_those_of_this_process() {
    let channels = Channels::in_memory();
    let room = channels.group::<NoEvent>("room").unwrap();
    let (one, two) = (
        channels.open().await.unwrap(),
        channels.open().await.unwrap(),
    );
    room.add(one.name()).await.unwrap();
    room.add(two.name()).await.unwrap();
    room.add(two.name()).await.unwrap();
    assert_eq!(channels.members(room.name()).await.unwrap(), 2);

    drop(one);

    assert_eq!(channels.members(room.name()).await.unwrap(), 1);
}
