//! The merge of history and live events of one mailbox: in order, each once, and gaps are told.

use super::window::Recovery;
use crate::{
    channels::{Envelope, Position, placed},
    error::{Error, Result},
    log_limit::log_limited,
    metric,
    name::GroupName,
};
use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Reads what was missed of a topic since a position that this mailbox has reached.
pub(in crate::channels) type ReadFrom = Arc<dyn Fn(Position) -> Reading + Send + Sync>;

type Reading = Pin<Box<dyn Future<Output = Result<Recovery>> + Send>>;

/// How often the history is read for one event that does not follow; then the gap is told.
const MOST_READS: u8 = 2;

/// The topics that the owner of a mailbox has resumed.
#[derive(Default)]
pub(in crate::channels) struct Merge {
    topics: HashMap<GroupName, Place>,
    /// What was read, and is still to be received.
    backlog: VecDeque<Envelope>,
    /// The live event that does not follow, while what is before it is read.
    held: Option<Held>,
    filling: Option<Filling>,
}

/// How far the owner has come in a topic.
struct Place {
    at: Position,
    /// Live events up to this number may have been read already.
    read_until: u64,
    /// Whether the history could not be read: the gap is told, and any event may follow.
    is_open: bool,
    read: ReadFrom,
}

struct Held {
    topic: GroupName,
    envelope: Envelope,
    reads: u8,
}

/// The reading of what is missing in some topics, one after the other.
pub(in crate::channels) struct Filling {
    topics: Vec<(GroupName, Reading)>,
    filled: Vec<(GroupName, Result<Recovery>)>,
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
}

impl Place {
    fn fit(&self, position: &Position) -> Fit {
        if self.is_open || self.at.until(position) == Some(1) {
            return Fit::Next;
        }
        // What arrives late otherwise has a number that was given before: the store has lost events.
        match position.until(&self.at) {
            Some(_) if position.offset() <= self.read_until => Fit::Received,
            _ => Fit::Gap,
        }
    }

    fn reach(&mut self, position: Position) {
        self.at = position;
        self.is_open = false;
    }
}

impl Merge {
    /// Resumes a topic: the owner receives what was missed, then the end of the resume, then live
    /// events.
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
        self.backlog.extend(events);
        self.tell(topic, &position, all);
        let place = Place {
            read_until: position.offset(),
            at: position,
            is_open: false,
            read,
        };
        self.topics.insert(topic.clone(), place);
    }

    /// Handles that the owner has left a topic.
    pub(in crate::channels) fn leave(&mut self, topic: &GroupName) {
        self.topics.remove(topic);
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

    /// Takes what was read for gaps. A gap that history does not fill is told.
    pub(in crate::channels) fn fill(&mut self, filled: Filling) {
        for (topic, recovery) in filled.filled {
            let Some(place) = self.topics.get_mut(&topic) else {
                continue;
            };
            match recovery {
                Ok(recovery) => {
                    let Recovery {
                        position,
                        events,
                        all,
                    } = recovery;
                    place.read_until = position.offset();
                    place.reach(position.clone());
                    self.backlog.extend(events);
                    if !all {
                        self.tell(&topic, &position, false);
                    }
                }
                Err(error) => {
                    log_limited!(
                        warn,
                        %topic,
                        error = %format_args!("{error:#}"),
                        "cannot read what was missed of a topic; its consumers are told of a gap"
                    );
                    place.is_open = true;
                    let position = place.at.clone();
                    self.tell(&topic, &position, false);
                }
            }
        }
    }

    /// Takes the event out that was held back, to [merge](Merge::live) it again.
    pub(in crate::channels) fn merge_held(&mut self) -> Option<Merged> {
        let held = self.held.take()?;
        Some(self.merge(held))
    }

    /// Merges a live event.
    pub(in crate::channels) fn live(&mut self, envelope: Envelope) -> Merged {
        let topic = match envelope.group() {
            Some(topic) if envelope.position().is_some() && self.topics.contains_key(topic) => {
                topic.clone()
            }
            _ => return Merged::Deliver(envelope),
        };
        self.merge(Held {
            topic,
            envelope,
            reads: 0,
        })
    }

    fn merge(&mut self, held: Held) -> Merged {
        let Held {
            topic,
            envelope,
            reads,
        } = held;
        let (Some(place), Some(position)) = (self.topics.get_mut(&topic), envelope.position())
        else {
            return Merged::Continue;
        };
        match place.fit(position) {
            Fit::Received => Merged::Continue,
            Fit::Next => {
                place.reach(position.clone());
                Merged::Deliver(envelope.in_topic(&topic))
            }
            Fit::Gap if reads < MOST_READS => {
                let reading = (place.read)(place.at.clone());
                self.filling = Some(Filling::new(vec![(topic.clone(), reading)]));
                self.held = Some(Held {
                    topic,
                    envelope,
                    reads: reads + 1,
                });
                Merged::Continue
            }
            // The history does not have what is before it.
            Fit::Gap => {
                place.reach(position.clone());
                let before = position.with_offset(position.offset().saturating_sub(1));
                self.tell(&topic, &before, false);
                self.backlog.push_back(envelope.in_topic(&topic));
                Merged::Continue
            }
        }
    }

    /// Reads all topics again, because events may be missing.
    pub(in crate::channels) fn doubt(&mut self) {
        if self.topics.is_empty() {
            return;
        }
        let topics = self.topics.iter();
        let topics = topics.map(|(topic, place)| (topic.clone(), (place.read)(place.at.clone())));
        self.filling = Some(Filling::new(topics.collect()));
    }

    fn tell(&mut self, topic: &GroupName, position: &Position, all: bool) {
        metric::topic_recovered(all);
        let told = Envelope::from_bytes(placed::recovered(topic, position, all));
        told.record_group(topic);
        self.backlog.push_back(told);
    }
}

impl Filling {
    fn new(topics: Vec<(GroupName, Reading)>) -> Self {
        Self {
            filled: Vec::with_capacity(topics.len()),
            topics,
        }
    }

    /// Polls for the end of the reading.
    pub(in crate::channels) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some((_, reading)) = self.topics.last_mut() {
            let recovery: Result<Recovery, Error> = ready!(reading.as_mut().poll(cx));
            if let Some((topic, _)) = self.topics.pop() {
                self.filled.push((topic, recovery));
            }
        }
        Poll::Ready(())
    }
}
