//! An enum that knows all types is included last.

use seaway::{Event, TopicEvent};

#[derive(Event)]
enum LotEvent {
    Sold,
}

#[derive(Event)]
enum HallEvent {
    Closing,
    #[serde(other)]
    Other,
}

#[derive(Event)]
enum Swallowed {
    #[event(include)]
    Hall(HallEvent),
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
}

#[derive(Event)]
enum Last {
    #[event(include)]
    Lot(LotEvent),
    #[event(include)]
    Hall(HallEvent),
}

#[derive(Event)]
enum SwallowedByInner {
    #[event(include)]
    Last(Last),
    #[event(include)]
    Lot(LotEvent),
}

#[derive(Event)]
enum OtherTopic {
    #[event(include)]
    Hall(TopicEvent<HallEvent>),
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
}

#[derive(Event)]
enum DeskEvent {
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
    Ready,
}

/// An enum that includes a topic has events of topics, too.
#[derive(Event)]
enum SwallowedInside {
    #[event(include)]
    Hall(TopicEvent<HallEvent>),
    #[event(include)]
    Desk(DeskEvent),
}

#[derive(Event)]
enum HallDesk {
    #[event(include)]
    Hall(TopicEvent<HallEvent>),
    Ready,
}

/// It takes no events but those of topics.
#[derive(Event)]
enum OnlyTopicInside {
    #[event(include)]
    Desk(HallDesk),
    #[event(include)]
    Lot(LotEvent),
}

/// Only events of topics are decoded as those of a topic.
#[derive(Event)]
enum OnlyTopic {
    #[event(include)]
    Hall(TopicEvent<HallEvent>),
    #[event(include)]
    Lot(LotEvent),
}

fn main() {}
