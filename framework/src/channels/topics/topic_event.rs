//! The events of a topic as a consumer receives them.

use crate::{
    channels::{Decodes, Event, Position, positioned::TYPE},
    name::GroupName,
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::Error as _,
    ser::{Error as _, SerializeMap},
};
use std::any::type_name;

/// An event of a topic with its position, or the end of a resume.
///
/// It is the event type of a consumer that resumes topics, or is included in it:
///
/// ```
/// use seaway::{Context, Event, Json, Result, Shared, TopicEvent};
///
/// #[derive(Event)]
/// enum LotEvent {
///     Placed { cents: u64 },
/// }
///
/// #[derive(Event)]
/// enum BidderEvent {
///     #[event(include)]
///     Lot(TopicEvent<LotEvent>),
///     Closing,
/// }
///
/// // The hook of a consumer whose only events are those of topics:
/// async fn event(ctx: &mut Context<TopicEvent<LotEvent>>, event: Shared<TopicEvent<LotEvent>>) -> Result<()> {
///     match &*event {
///         TopicEvent::Event { event, .. } => _ = event,
///         TopicEvent::Recovered { all: false, topic, .. } => println!("a gap in {topic}"),
///         _ => {}
///     }
///     Ok(ctx.send(Json(event)).await?)
/// }
/// # _ = event;
/// # assert!(!seaway::Event::is_other(&BidderEvent::Closing));
/// ```
///
/// As JSON it is what the client needs to reconnect: an event
/// `{"topic":"lot.7","offset":12,"epoch":"k3x9","event":{…}}`, and the end of a resume
/// `{"topic":"lot.7","recovered":true,"offset":12,"epoch":"k3x9"}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicEvent<E> {
    /// An event.
    #[non_exhaustive]
    Event {
        /// The name of the topic.
        topic: GroupName,
        /// The position of the event.
        position: Position,
        /// The event itself.
        event: E,
    },
    /// The end of a resume, or a gap on an open connection.
    #[non_exhaustive]
    Recovered {
        /// The name of the topic.
        topic: GroupName,
        /// Whether all events since the given position were received; if not, some are missing just
        /// before this one, and the client reads its state anew.
        all: bool,
        /// The position from which events follow.
        position: Position,
    },
}

impl<E> TopicEvent<E> {
    /// Returns the name of the topic.
    pub fn topic(&self) -> &GroupName {
        match self {
            Self::Event { topic, .. } | Self::Recovered { topic, .. } => topic,
        }
    }

    /// Returns the position of the event, or the one from which events follow: that to resume from.
    pub fn position(&self) -> &Position {
        match self {
            Self::Event { position, .. } | Self::Recovered { position, .. } => position,
        }
    }
}

impl<E: Event> Event for TopicEvent<E> {
    const DECODES: Decodes = E::DECODES.in_topic();

    fn is_other(&self) -> bool {
        match self {
            Self::Event { event, .. } => event.is_other(),
            Self::Recovered { .. } => false,
        }
    }

    fn topic_position(&self) -> Option<&Position> {
        Some(self.position())
    }
}

/// Writes the JSON that clients receive; a binary format between processes also has a `type`.
impl<E: Serialize> Serialize for TopicEvent<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_for_clients = serializer.is_human_readable();
        let fields = if is_for_clients { 4 } else { 5 };
        let mut map = serializer.serialize_map(Some(fields))?;
        if !is_for_clients {
            map.serialize_entry("type", TYPE)?;
        }
        map.serialize_entry("topic", self.topic())?;
        if let Self::Recovered { all, .. } = self {
            map.serialize_entry("recovered", all)?;
        }
        map.serialize_entry("offset", &self.position().offset())?;
        map.serialize_entry("epoch", self.position().epoch())?;
        if let Self::Event { event, .. } = self {
            map.serialize_entry("event", event)?;
        }
        map.end().map_err(S::Error::custom)
    }
}

/// The fields of both kinds.
#[derive(Deserialize)]
#[serde(bound(deserialize = "E: Deserialize<'de>"))]
struct Fields<E> {
    topic: GroupName,
    offset: u64,
    epoch: String,
    // `Option` alone would accept an event that is null.
    #[serde(default = "Option::default", deserialize_with = "present")]
    event: Option<E>,
    #[serde(default)]
    recovered: Option<bool>,
    /// The type of the topic's events, beside `recovered`: an enum may include topics of several.
    #[serde(default)]
    event_type: Option<String>,
}

fn present<'de, E: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<E>, D::Error> {
    E::deserialize(from).map(Some)
}

impl<'de, E: Deserialize<'de>> Deserialize<'de> for TopicEvent<E> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Fields {
            topic,
            offset,
            epoch,
            event,
            recovered,
            event_type,
        } = Fields::deserialize(from)?;
        if event_type.is_some_and(|name| name != type_name::<E>()) {
            return Err(D::Error::custom("the topic has events of another type"));
        }
        let position = Position::new(offset, &epoch).map_err(D::Error::custom)?;
        match (event, recovered) {
            (Some(event), None) => Ok(Self::Event {
                topic,
                position,
                event,
            }),
            (None, Some(all)) => Ok(Self::Recovered {
                topic,
                all,
                position,
            }),
            _ => Err(D::Error::custom(
                "an event of a topic has either `event` or `recovered`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{Envelope, positioned};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Lot {
        #[serde(rename = "lot.placed")]
        Placed { cents: u64 },
    }

    impl Event for Lot {}

    fn examples() -> [(TopicEvent<Lot>, &'static str); 2] {
        let topic = GroupName::new("lot.7").unwrap();
        let position = Position::new(12, "k3x9").unwrap();
        let event = TopicEvent::Event {
            topic: topic.clone(),
            position: position.clone(),
            event: Lot::Placed { cents: 5 },
        };
        let end = TopicEvent::Recovered {
            topic,
            all: false,
            position,
        };
        [
            (
                event,
                r#"{"topic":"lot.7","offset":12,"epoch":"k3x9","event":{"type":"lot.placed","cents":5}}"#,
            ),
            (
                end,
                r#"{"topic":"lot.7","recovered":false,"offset":12,"epoch":"k3x9"}"#,
            ),
        ]
    }

    #[test]
    fn clients_receive_the_place_with_each_event() {
        for (event, json) in examples() {
            assert_eq!(serde_json::to_string(&event).unwrap(), json);
            assert_eq!(
                serde_json::from_str::<TopicEvent<Lot>>(json).unwrap(),
                event
            );
        }
    }

    #[test]
    fn the_channel_layer_encodes_what_consumers_decode() {
        let [(event, _), (end, _)] = examples();
        let (topic, position) = (event.topic(), event.position());
        let placed = Envelope::encode(&Lot::Placed { cents: 5 }).unwrap();

        let encoded = [
            (placed.at(position).in_topic(topic), event.clone()),
            (
                Envelope::from_bytes(positioned::recovered(
                    topic,
                    type_name::<Lot>(),
                    position,
                    false,
                )),
                end,
            ),
        ];

        for (envelope, expected) in encoded {
            assert_eq!(
                *envelope.clone().decode::<TopicEvent<Lot>>().unwrap(),
                expected
            );
            let bytes = rmp_serde::to_vec_named(&expected).unwrap();
            let decoded = Envelope::from_bytes(bytes).decode::<TopicEvent<Lot>>();
            assert_eq!(*decoded.unwrap(), expected, "serde's encoding");
        }
    }

    #[test]
    fn relayed_input_cannot_pass_for_an_event_of_a_topic() {
        #[derive(Serialize, Deserialize)]
        struct Relayed(serde_json::Value);
        impl Event for Relayed {}
        for input in [
            r#"{"type":"chat.message","__seaway_topic__":"1:a"}"#,
            r#"{"type":"seaway.topic","topic":"lot.7","offset":1,"epoch":"a","recovered":true}"#,
        ] {
            let relayed = Relayed(serde_json::from_str(input).unwrap());

            assert!(Envelope::encode(&relayed).is_err(), "{input}");
        }
    }
}
