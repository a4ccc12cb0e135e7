//! The merge of history and live events of one mailbox: in order, each once, and gaps are reported.

use super::{window::Recovery, windows::RecoverySource};
use crate::{
    channels::{Envelope, Position, positioned},
    error::{Error, Result},
    log_limit::log_limited,
    metric,
    name::GroupName,
};
use std::{
    any::type_name,
    collections::{HashMap, VecDeque},
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Reads what was missed of a topic since a position that this mailbox has reached.
#[derive(Clone)]
pub(in crate::channels) struct ReadFrom {
    /// The name of the type of the topic's events.
    event_type: &'static str,
    read: Arc<dyn Fn(Position, RecoverySource) -> Reading + Send + Sync>,
}

type Reading = Pin<Box<dyn Future<Output = Result<Recovery>> + Send>>;

/// How often the history is read for one event that does not follow; then the gap is reported.
const MOST_READS: u8 = 2;

/// How many epochs that have ended are kept, so that late events of them are known.
const ENDED_EPOCHS: usize = 4;

/// The topics that the owner of a mailbox has resumed.
#[derive(Default)]
pub(in crate::channels) struct Merge {
    topics: HashMap<GroupName, ResumedTopic>,
    /// What was read, and is still to be received.
    backlog: VecDeque<Envelope>,
    /// The live event that does not follow, while what is before it is read.
    held: Option<HeldEvent>,
    filling: Option<Filling>,
    /// The number of resumes so far.
    resumes: u64,
    /// The topics that were left while events waited, each with the number of the last of these.
    left: HashMap<GroupName, u64>,
}

/// How far the owner has come in a topic.
struct ResumedTopic {
    /// The number of the resume, so that a reading from before it is ignored.
    resume: u64,
    at: Position,
    /// Live events of this epoch up to this number may have been read already.
    read_until: u64,
    /// Whether the history could not be read: the gap is reported, and any later event may follow.
    is_open: bool,
    read: ReadFrom,
    /// The last epochs that the owner has left.
    ended: VecDeque<String>,
}

struct HeldEvent {
    topic: GroupName,
    /// The resume during which it arrived.
    resume: u64,
    envelope: Envelope,
    reads: u8,
}

/// The reading of what is missing in some topics, one after the other.
pub(in crate::channels) struct Filling {
    topics: Vec<(HistorySource, Reading)>,
    filled: Vec<(HistorySource, Result<Recovery>)>,
}

/// A topic, and the resume since which it is read.
struct HistorySource {
    topic: GroupName,
    resume: u64,
}

impl ReadFrom {
    pub(in crate::channels) fn new<E>(
        read: impl Fn(Position, RecoverySource) -> Reading + Send + Sync + 'static,
    ) -> Self {
        Self {
            event_type: type_name::<E>(),
            read: Arc::new(read),
        }
    }
}

/// What happens with an event.
pub(in crate::channels) enum Merged {
    Deliver(Envelope),
    /// It was received before, or what is before it is read first.
    Continue,
}

/// How a live event relates to the position of the owner.
#[derive(Debug, PartialEq, Eq)]
enum Fit {
    Next,
    Received,
    Gap,
    /// Its number was given before: the store has lost events, or this one was sent twice.
    Again,
}

impl Fit {
    /// Returns what may tell what is missing.
    fn source(&self) -> RecoverySource {
        match self {
            // The window has the events that the store has lost.
            Self::Again => RecoverySource::Store,
            _ => RecoverySource::Any,
        }
    }
}

impl ResumedTopic {
    fn fit(&self, position: &Position) -> Fit {
        if self.at.until(position) == Some(1) {
            return Fit::Next;
        }
        match position.until(&self.at) {
            Some(_) if position.offset() <= self.read_until => Fit::Received,
            Some(_) => Fit::Again,
            None if self.is_open && !self.has_left(position) => Fit::Next,
            None => Fit::Gap,
        }
    }

    /// Starts to read what is missing since the position of the owner.
    fn read(&self, topic: &GroupName, from: RecoverySource) -> (HistorySource, Reading) {
        let source = HistorySource {
            topic: topic.clone(),
            resume: self.resume,
        };
        (source, (self.read.read)(self.at.clone(), from))
    }

    fn reach(&mut self, position: Position) {
        let before = mem::replace(&mut self.at, position);
        if before.epoch() != self.at.epoch() {
            self.ended.push_back(before.epoch().to_owned());
            if self.ended.len() > ENDED_EPOCHS {
                self.ended.pop_front();
            }
            self.read_until = 0;
        }
        self.is_open = false;
    }

    /// Returns whether this position is of an epoch that the owner has left.
    fn has_left(&self, position: &Position) -> bool {
        let epoch = position.epoch();
        epoch != self.at.epoch() && self.ended.iter().any(|ended| ended == epoch)
    }
}

impl Merge {
    /// Resumes a topic: the owner receives what was missed, then the end of the resume, then live
    /// events. If it has resumed it before, this resume takes the place of that one.
    pub(in crate::channels) fn resume(
        &mut self,
        topic: &GroupName,
        recovery: Recovery,
        read: ReadFrom,
    ) {
        let Recovery {
            position,
            events,
            all,
        } = recovery;
        self.backlog.retain(|read| read.group() != Some(topic));
        self.backlog.extend(events);
        self.resumes += 1;
        let resumed = ResumedTopic {
            resume: self.resumes,
            read_until: position.offset(),
            at: position.clone(),
            is_open: false,
            read,
            ended: VecDeque::new(),
        };
        self.topics.insert(topic.clone(), resumed);
        self.push_recovered(topic, &position, all);
    }

    /// Handles that the owner has left a topic: it receives nothing of it any more, neither what
    /// was read nor what waits, up to the live event with the number `last`, if any waits.
    pub(in crate::channels) fn leave(&mut self, topic: &GroupName, last: Option<u64>) {
        if self.topics.remove(topic).is_none() {
            return;
        }
        self.backlog.retain(|read| read.group() != Some(topic));
        if let Some(filling) = &mut self.filling {
            filling.topics.retain(|(source, _)| source.topic != *topic);
        }
        if let Some(last) = last {
            self.left.insert(topic.clone(), last);
        }
    }

    /// Takes the next event that was read.
    pub(in crate::channels) fn next_read(&mut self) -> Option<Envelope> {
        self.backlog.pop_front()
    }

    /// Takes the reading under way out, to poll it; [`fill`](Merge::fill) or
    /// [`put_back`](Merge::put_back) follows.
    pub(in crate::channels) fn take_filling(&mut self) -> Option<Filling> {
        self.filling.take()
    }

    pub(in crate::channels) fn put_back(&mut self, filling: Filling) {
        self.filling = Some(filling);
    }

    /// Takes what was read for gaps. A gap that history does not fill is reported.
    pub(in crate::channels) fn fill(&mut self, filled: Filling) {
        for (HistorySource { topic, resume }, recovery) in filled.filled {
            let resumed = self.topics.get_mut(&topic);
            let Some(resumed) = resumed.filter(|resumed| resumed.resume == resume) else {
                continue;
            };
            match recovery {
                Ok(recovery) => {
                    let Recovery {
                        position,
                        events,
                        all,
                    } = recovery;
                    resumed.reach(position.clone());
                    resumed.read_until = position.offset();
                    self.backlog.extend(events);
                    if !all {
                        self.push_recovered(&topic, &position, false);
                    }
                }
                Err(error) => {
                    log_limited!(
                        warn,
                        %topic,
                        error = %format_args!("{error:#}"),
                        "cannot read the missed events of a topic; its consumers receive a gap (recovered: false)"
                    );
                    resumed.is_open = true;
                    let position = resumed.at.clone();
                    self.push_recovered(&topic, &position, false);
                }
            }
        }
    }

    /// Takes the event out that was held back, to [merge](Merge::live) it again.
    pub(in crate::channels) fn merge_held(&mut self) -> Option<Merged> {
        let held = self.held.take()?;
        Some(self.merge(held))
    }

    /// Merges the live event with this number.
    pub(in crate::channels) fn live(&mut self, envelope: Envelope, number: u64) -> Merged {
        if !self.left.is_empty() {
            self.left.retain(|_, last| *last >= number);
        }
        let topic = envelope.group().filter(|_| envelope.position().is_some());
        let Some((topic, resumed)) = topic.and_then(|topic| self.topics.get_key_value(topic))
        else {
            return match topic.is_some_and(|topic| self.left.contains_key(topic)) {
                true => Merged::Continue,
                false => Merged::Deliver(envelope),
            };
        };
        self.merge(HeldEvent {
            topic: topic.clone(),
            resume: resumed.resume,
            envelope,
            reads: 0,
        })
    }

    fn merge(&mut self, held: HeldEvent) -> Merged {
        let HeldEvent {
            topic,
            resume,
            envelope,
            reads,
        } = held;
        let resumed = self.topics.get_mut(&topic);
        let resumed = resumed.filter(|resumed| resumed.resume == resume);
        let (Some(resumed), Some(position)) = (resumed, envelope.position()) else {
            return Merged::Continue;
        };
        let fit = resumed.fit(position);
        match fit {
            Fit::Received => Merged::Continue,
            Fit::Next => {
                resumed.reach(position.clone());
                Merged::Deliver(envelope.in_topic(&topic))
            }
            Fit::Gap | Fit::Again if reads < MOST_READS => {
                let reading = resumed.read(&topic, fit.source());
                self.filling = Some(Filling::new(vec![reading]));
                self.held = Some(HeldEvent {
                    topic,
                    resume,
                    envelope,
                    reads: reads + 1,
                });
                Merged::Continue
            }
            // It is late. That something of its epoch may be missing was reported when the next one
            // began.
            Fit::Gap if resumed.has_left(position) => Merged::Continue,
            // The history does not have what is before it.
            Fit::Gap | Fit::Again => {
                resumed.reach(position.clone());
                let before = position.with_offset(position.offset().saturating_sub(1));
                self.push_recovered(&topic, &before, false);
                self.backlog.push_back(envelope.in_topic(&topic));
                Merged::Continue
            }
        }
    }

    /// Reads all topics again, because events may be missing.
    pub(in crate::channels) fn reread(&mut self) {
        if self.topics.is_empty() {
            return;
        }
        let topics = self.topics.iter();
        let readings = topics.map(|(topic, resumed)| resumed.read(topic, RecoverySource::Any));
        self.filling = Some(Filling::new(readings.collect()));
    }

    fn push_recovered(&mut self, topic: &GroupName, position: &Position, all: bool) {
        let Some(resumed) = self.topics.get(topic) else {
            return;
        };
        metric::topic_recovered(all);
        let event_type = resumed.read.event_type;
        let recovered = positioned::recovered(topic, event_type, position, all);
        let recovered = Envelope::from_bytes(recovered);
        recovered.record_group(topic);
        self.backlog.push_back(recovered);
    }
}

impl Filling {
    fn new(topics: Vec<(HistorySource, Reading)>) -> Self {
        Self {
            filled: Vec::with_capacity(topics.len()),
            topics,
        }
    }

    /// Polls for the end of the reading.
    pub(in crate::channels) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some((_, reading)) = self.topics.last_mut() {
            let recovery: Result<Recovery, Error> = ready!(reading.as_mut().poll(cx));
            if let Some((source, _)) = self.topics.pop() {
                self.filled.push((source, recovery));
            }
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> GroupName {
        GroupName::new("lot.7").unwrap()
    }

    fn at(offset: u64) -> Position {
        Position::new(offset, "k3x9").unwrap()
    }

    fn event(offset: u64) -> Envelope {
        let event = Envelope::from_bytes(&b"\x81\xa4type\xa3bid"[..]).at(&at(offset));
        event.record_group(&topic());
        event
    }

    /// Returns the events after one number, up to another one.
    fn recovery(since: u64, until: u64) -> Recovery {
        let events = (since + 1..=until).map(|offset| event(offset).in_topic(&topic()));
        Recovery {
            position: at(until),
            events: events.collect(),
            all: true,
        }
    }

    /// Returns a history that ends with this number.
    fn history(until: u64) -> ReadFrom {
        ReadFrom::new::<()>(move |since, _| {
            Box::pin(async move { Ok(recovery(since.offset(), until)) })
        })
    }

    fn read(merge: &mut Merge) {
        let mut filling = merge.take_filling().expect("a reading");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(filling.poll(&mut cx).is_ready());
        merge.fill(filling);
    }

    fn backlog(merge: &mut Merge) -> usize {
        std::iter::from_fn(|| merge.next_read()).count()
    }

    #[test]
    fn a_topic_that_is_resumed_again_and_again_is_in_the_backlog_once() {
        let mut merge = Merge::default();
        for _ in 0..100 {
            merge.resume(&topic(), recovery(0, 10), history(10));
        }

        assert_eq!(backlog(&mut merge), 10 + 1, "the events and the end");
    }

    #[test]
    fn after_leaving_nothing_of_the_topic_is_received() {
        let mut merge = Merge::default();
        merge.resume(&topic(), recovery(0, 10), history(12));
        let is_held = |merged| matches!(merged, Merged::Continue);
        assert!(is_held(merge.live(event(13), 1)), "a gap");

        merge.leave(&topic(), Some(3));
        read(&mut merge);

        assert!(matches!(merge.merge_held(), Some(Merged::Continue)));
        assert_eq!(backlog(&mut merge), 0);
        assert!(is_held(merge.live(event(14), 2)), "it waited");
        assert!(is_held(merge.live(event(15), 3)), "it waited");
        assert!(
            !is_held(merge.live(event(16), 4)),
            "of the group, joined again"
        );
    }

    #[test]
    fn a_late_event_of_an_epoch_that_the_owner_has_left_is_not_received() {
        let of_epoch = |epoch: &str, offset| {
            let position = Position::new(offset, epoch).unwrap();
            let event = Envelope::from_bytes(&b"\x81\xa4type\xa3bid"[..]).at(&position);
            event.record_group(&topic());
            event
        };
        let next = ReadFrom::new::<()>(|since, _| {
            let recovery = Recovery {
                position: Position::new(1, "next").unwrap(),
                events: Vec::new(),
                all: since.epoch() == "next",
            };
            Box::pin(async move { Ok(recovery) })
        });
        let mut merge = Merge::default();
        merge.resume(&topic(), recovery(0, 5), next);
        backlog(&mut merge);
        let mut receive = |event, number| {
            let mut received = 0;
            let mut merged = Some(merge.live(event, number));
            while let Some(now) = merged {
                received += usize::from(matches!(now, Merged::Deliver(_)));
                if merge.filling.is_some() {
                    read(&mut merge);
                }
                merged = merge.merge_held();
            }
            received + backlog(&mut merge)
        };

        assert_eq!(receive(of_epoch("next", 1), 1), 1, "the gap");
        assert_eq!(receive(event(6), 2), 0, "it is late");
        assert_eq!(receive(of_epoch("next", 2), 3), 1);
        let unknown = receive(of_epoch("newer", 1), 4);
        assert_eq!(unknown, 2, "the history lags behind: a gap, and the event");
    }

    #[test]
    fn after_a_reading_that_fails_only_later_events_are_received() {
        let of_epoch = |epoch: &str, offset| Position::new(offset, epoch).unwrap();
        let resumed = |is_open| ResumedTopic {
            resume: 1,
            at: at(5),
            read_until: 3,
            is_open,
            read: history(5),
            ended: VecDeque::from(["left".to_owned()]),
        };
        for (position, expected, if_open) in [
            (at(3), Fit::Received, Fit::Received),
            (at(4), Fit::Again, Fit::Again),
            (at(6), Fit::Next, Fit::Next),
            (at(7), Fit::Gap, Fit::Next),
            (of_epoch("new", 1), Fit::Gap, Fit::Next),
            (of_epoch("left", 9), Fit::Gap, Fit::Gap),
        ] {
            assert_eq!(resumed(false).fit(&position), expected, "{position}");
            assert_eq!(resumed(true).fit(&position), if_open, "{position}");
        }
    }

    #[test]
    fn a_topic_that_was_left_is_not_read_any_more() {
        let mut merge = Merge::default();
        let unwanted = ReadFrom::new::<()>(|_, _| Box::pin(async { panic!("it is not needed") }));
        merge.resume(&topic(), recovery(0, 5), unwanted);
        merge.reread();

        merge.leave(&topic(), None);

        read(&mut merge);
    }

    #[test]
    fn a_reading_from_before_a_resume_is_ignored() {
        let mut merge = Merge::default();
        merge.resume(&topic(), recovery(0, 5), history(9));
        merge.reread();
        backlog(&mut merge);

        merge.leave(&topic(), None);
        merge.resume(&topic(), recovery(5, 10), history(10));
        read(&mut merge);

        assert_eq!(backlog(&mut merge), 5 + 1, "the events and the end");
        assert!(
            matches!(merge.live(event(11), 1), Merged::Deliver(_)),
            "no gap"
        );
    }
}
