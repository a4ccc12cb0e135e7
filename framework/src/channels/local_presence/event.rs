//! The events of presence.

use crate::{
    channels::{Decodes, Event},
    name::GroupName,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A value that a presence shows of a person; implemented for every type that serde can encode
/// and decode.
///
/// It is implemented for all types with the bounds of an [`Event`], without a `type` of its own.
///
/// ```
/// use seaway::channels::Meta;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Bidder { name: String }
///
/// fn is_meta<M: Meta>() {}
/// is_meta::<Bidder>();
/// is_meta::<()>();
/// ```
pub trait Meta: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<M: Serialize + DeserializeOwned + Send + Sync + 'static> Meta for M {}

/// A presence event: first the whole list of a group, then each change.
///
/// A consumer receives it in its `event` hook once it is [present](crate::Handshake::present). It
/// is encoded as JSON in this form:
///
/// ```
/// use seaway::channels::PresenceEvent;
/// use serde_json::{from_value, json};
///
/// let state = json!({ "presence": "lot.7", "state": [{ "key": "ana", "count": 2, "meta": "Ana" }] });
/// let changes = json!({
///     "presence": "lot.7",
///     "joined": [{ "key": "bo", "count": 1, "meta": "Bo" }],
///     "updated": [{ "key": "ana", "count": 0, "meta": "Ana" }],
///     "left": [{ "key": "cy" }],
/// });
/// assert!(matches!(from_value(state)?, PresenceEvent::<String>::State { .. }));
/// assert!(matches!(from_value(changes)?, PresenceEvent::<String>::Changes { .. }));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Lists of changes that are empty are left out. To receive it with other events, include it in an
/// enum: `#[event(include)] Here(PresenceEvent<Bidder>)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum PresenceEvent<M> {
    /// The whole list, which comes once, before all changes.
    #[non_exhaustive]
    State {
        /// The group.
        #[serde(rename = "presence")]
        group: GroupName,
        /// All people, in any order; this consumer's own person is among them, or joins afterwards.
        /// Those whose meta cannot be decoded as `M` are left out.
        #[serde(rename = "state")]
        people: Vec<Present<M>>,
    },
    /// Changes of the list since the event before.
    #[non_exhaustive]
    Changes {
        /// The group.
        #[serde(rename = "presence")]
        group: GroupName,
        /// Those who are new.
        #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
        joined: Vec<Present<M>>,
        /// Those whose count or meta has changed; also somebody new, whose meta could not be decoded
        /// before.
        #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
        updated: Vec<Present<M>>,
        /// Those whose grace time is over.
        #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
        left: Vec<Left>,
    },
}

impl<M: Meta> Event for PresenceEvent<M> {
    const DECODES: Decodes = Decodes::PRESENCE;
}

/// A person who is present in a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Present<M> {
    /// The key under which they are present, as the id of a user.
    pub key: String,
    /// The number of their open connections; 0 within the grace time.
    pub count: u32,
    /// The meta that was set last, by any of their connections.
    pub meta: M,
}

/// A person who has left a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Left {
    /// The key under which they were present.
    pub key: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::Envelope;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Both {
        #[serde(rename = "chat.message")]
        Message { text: String },
        #[serde(untagged)]
        Here(PresenceEvent<u32>),
    }

    impl Event for Both {}

    #[test]
    fn an_enum_of_several_event_types_includes_it() {
        let mut out = vec![0x82, 0xa8];
        out.extend(b"presence\xa1t\xa5state\x90");
        let event = Envelope::from_bytes(out).decode::<Both>().unwrap();
        assert!(
            matches!(&*event, Both::Here(PresenceEvent::State { people, .. }) if people.is_empty())
        );

        let message = Both::Message {
            text: "hi".to_owned(),
        };
        let event = Envelope::encode(&message)
            .unwrap()
            .decode::<Both>()
            .unwrap();
        assert!(matches!(&*event, Both::Message { .. }));
        let event = Envelope::encode(&message)
            .unwrap()
            .decode::<PresenceEvent<u32>>();
        assert!(event.is_err(), "another event is none of presence");
    }
}
