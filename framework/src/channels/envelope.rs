//! Events that consumers send each other, and their encoding.

use super::{
    Decodes, Position,
    except::Except,
    messagepack,
    positioned::{self, PositionedEvent},
};
use crate::{
    error::{Error, ErrorKind, Result},
    message::Message,
    name::{ChannelName, GroupName},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    any::{Any, TypeId},
    fmt,
    sync::{Arc, OnceLock},
};

/// The `type` of a disconnect request.
const DISCONNECT: &str = "seaway.disconnect";

/// The key of the `type`, as encoders write it.
const TYPE_KEY: &[u8] = b"\xa4type";

/// The type of the events that consumers send each other: serde encodes it as a map with a `type`.
///
/// [`#[derive(Event)]`](macro@crate::Event) implements it and serde's traits for an enum:
///
/// ```
/// use seaway::Event;
///
/// #[derive(Event)]
/// enum ChatEvent {
///     Message { from: String, text: String },
///     Joined { name: String },
/// }
/// # fn is<E: seaway::Event>() {}
/// # is::<ChatEvent>();
/// ```
///
/// By hand:
///
/// ```
/// use seaway::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(tag = "type")]
/// enum ChatEvent {
///     #[serde(rename = "chat.message")]
///     Message { from: String, text: String },
///     #[serde(rename = "chat.joined")]
///     Joined { name: String },
/// }
///
/// impl Event for ChatEvent {}
/// ```
///
/// Use an enum, even for a single kind of event: serde checks the `type` of enums only, and would
/// deserialize any map with the right fields as a struct. A type that serde does not encode as a
/// map with a `type` cannot be sent: [`Envelope::encode`] fails.
///
/// A Python consumer selects its handler by the `type` (`chat.message` calls `chat_message`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "consumers cannot send each other a `{Self}`",
    note = "put #[derive(Event)] on an enum of events, or write `impl Event for …` for a type that serde encodes as a map with a `type`"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What `Self` decodes; `#[derive(Event)]` sets it.
    #[doc(hidden)]
    const DECODES: Decodes = Decodes::PLAIN;

    /// Returns whether this event is of a type that `Self` does not know (`#[serde(other)]`), and
    /// has lost its content.
    ///
    /// `#[consumer(forward)]` skips such events. Default: `false`; `#[derive(Event)]` implements
    /// it.
    fn is_other(&self) -> bool {
        false
    }

    /// Returns the position of an event of a topic, which `#[consumer(sse, forward)]` sends as the id
    /// of the server-sent event.
    ///
    /// Default: `None`. [`TopicEvent`](super::TopicEvent) implements it, and `#[derive(Event)]` for
    /// enums that include one; an enum by hand that includes one calls the method of what its variant
    /// holds.
    fn topic_position(&self) -> Option<&Position> {
        None
    }
}

/// An event type that includes another: its consumers can join groups of both.
///
/// `#[derive(Event)]` implements it for variants with `#[event(include)]`. Every event type
/// includes itself.
///
/// ```
/// use seaway::{Context, Event, Group, Result};
///
/// #[derive(Event)]
/// enum LotEvent {
///     Placed { cents: u64 },
/// }
///
/// #[derive(Event)]
/// enum HallEvent {
///     Notice { text: String },
/// }
///
/// /// The events of both groups.
/// #[derive(Event)]
/// enum BidderEvent {
///     #[event(include)]
///     Lot(LotEvent),
///     #[event(include)]
///     Hall(HallEvent),
/// }
///
/// async fn enter(ctx: &mut Context<BidderEvent>) -> Result<()> {
///     let lot: Group<LotEvent> = ctx.join_as("lot.7").await?;
///     let hall: Group<HallEvent> = ctx.join_as("hall").await?;
/// #   _ = (lot, hall);
///     Ok(())
/// }
/// ```
///
/// By hand, implement it if serde decodes every encoded `E` as `Self` too.
#[diagnostic::on_unimplemented(
    message = "a consumer with the event type `{Self}` cannot join a `Group<{E}>`",
    label = "its events are not included in `{Self}`",
    note = "a consumer has one event type; for two, derive Event for an enum with a variant for each, #[event(include)] Name({E}), and set it by #[consumer(event = …)] above the struct and above the impl"
)]
pub trait Includes<E: Event>: Event {}

impl<E: Event> Includes<E> for E {}

/// An encoded event: a MessagePack map with its `type`, as Django Channels encodes it.
///
/// An event is encoded once per send and decoded once per process; clones share both.
///
/// ```
/// use seaway::{ChannelName, Event, channels::Envelope};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(tag = "type")]
/// enum ChatEvent {
///     #[serde(rename = "chat.message")]
///     Message { text: String },
/// }
///
/// impl Event for ChatEvent {}
///
/// let envelope = Envelope::encode(&ChatEvent::Message { text: "ahoy".to_owned() })?;
/// assert_eq!(envelope.kind().as_deref(), Some("chat.message"));
///
/// // Another process receives the bytes.
/// let received = Envelope::from_bytes(envelope.as_bytes().clone());
/// assert_eq!(received.kind(), envelope.kind());
///
/// // One member of a group is not to receive it.
/// let sender = ChannelName::new("a-channel")?;
/// let for_others = envelope.clone().except(&sender);
///
/// // An event of a topic has a position.
/// let position = "12:k3x9".parse()?;
/// assert_eq!(envelope.at(&position).position(), Some(&position));
/// # Ok::<(), seaway::Error>(())
/// ```
#[derive(Clone)]
pub struct Envelope(Arc<EnvelopeInner>);

struct EnvelopeInner {
    /// The encoded event as sent and received, with its excluded member and its position.
    bytes: Bytes,
    /// The excluded member, if there is one.
    except: Option<Box<Except>>,
    /// The position in its topic, if it has one.
    positioned: Option<Box<TopicForm>>,
    /// The first group of this process that the event was delivered to.
    group: OnceLock<GroupName>,
    /// The event as decoded by the first member of this process.
    decoded: OnceLock<Box<dyn Any + Send + Sync>>,
    /// Whether the event is a disconnect request; computed once.
    is_disconnect: OnceLock<bool>,
    /// The message that the first maker created from the event, and that maker.
    message: OnceLock<(Maker, Message)>,
}

/// A position, and the event as consumers that resume the topic receive it, made once.
struct TopicForm {
    positioned: PositionedEvent,
    in_topic: OnceLock<Envelope>,
}

/// The type of the event and the address of the function. The address alone does not suffice: a
/// compiler may give two functions with the same machine code one address.
pub(super) type Maker = (TypeId, usize);

impl Envelope {
    /// Encodes an event.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if it is not a map with one `type` (tag your enum with
    /// `#[serde(tag = "type")]`), if it nests lists and maps more than 128 levels deep, if its type
    /// is `seaway.disconnect` (use [`Group::disconnect`](super::Group::disconnect)) or
    /// `seaway.topic`, or if it has a key `__seaway_except__` (use
    /// [`Group::send_except`](super::Group::send_except)) or `__seaway_topic__` (use
    /// [`Topic::send`](super::Topic::send)).
    pub fn encode<E: Event>(event: &E) -> Result<Self> {
        let bytes = rmp_serde::to_vec_named(event).map_err(|source| {
            let name = std::any::type_name::<E>();
            Error::new(ErrorKind::Codec, format!("cannot encode a {name}")).with_source(source)
        })?;
        let name = std::any::type_name::<E>;
        // Every receiver runs the same check, and could not decode the event.
        if let Err(mistake) = messagepack::check(&bytes) {
            let message = format!("cannot encode a {} as an event: {mistake}", name());
            return Err(Error::new(ErrorKind::Codec, message));
        }
        let envelope = Self::from_bytes(bytes);
        if !envelope.has_type() {
            return Err(Error::new(
                ErrorKind::Codec,
                format!(
                    "cannot encode a {} as an event: it is not a map with a `type`; add #[serde(tag = \"type\")] to it",
                    name()
                ),
            ));
        }
        // Receivers disagree on which of two counts, and Python takes the last.
        if messagepack::has_twice(envelope.as_bytes(), TYPE_KEY) {
            return Err(Error::new(
                ErrorKind::Codec,
                format!(
                    "cannot encode a {} as an event: it has two keys `type`; a field with #[serde(flatten)] may hold another",
                    name()
                ),
            ));
        }
        // A consumer that relays client input must not let clients close each other's connections,
        // hide what it sends from other members, or number events of a topic.
        if envelope.is_disconnect()
            || envelope.0.except.is_some()
            || PositionedEvent::is_in(envelope.as_bytes())
            || envelope.has_this_type(positioned::TYPE)
        {
            return Err(Error::new(
                ErrorKind::Codec,
                format!(
                    "cannot encode a {} as an event: its type or a key is reserved; use Group::disconnect, Group::send_except or Topic::send",
                    name()
                ),
            ));
        }
        Ok(envelope)
    }

    /// Creates an envelope from received bytes.
    ///
    /// Nothing is checked before it is [decoded](Envelope::decode).
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let positioned = PositionedEvent::read(&bytes).map(|positioned| {
            Box::new(TopicForm {
                positioned,
                in_topic: OnceLock::new(),
            })
        });
        Self(Arc::new(EnvelopeInner {
            except: Except::read(&bytes).map(Box::new),
            positioned,
            bytes,
            group: OnceLock::new(),
            decoded: OnceLock::new(),
            is_disconnect: OnceLock::new(),
            message: OnceLock::new(),
        }))
    }

    /// Decodes the event, unless that was done before. Returns it if the envelope cannot hold it
    /// because it holds the event as another type.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] as [`decode`](Envelope::decode).
    pub(super) fn decode_as<E: Event>(&self) -> Result<Option<E>> {
        if self.decoded::<E>().is_some() {
            return Ok(None);
        }
        Ok(self.keep(self.decode_anew()?))
    }

    /// Keeps the event as decoded. Returns it if the envelope cannot hold it because it holds the
    /// event as another type.
    pub(super) fn keep<E: Event>(&self, event: E) -> Option<E> {
        match self.0.decoded.set(Box::new(event)) {
            Ok(()) => None,
            // Another member decoded first; or members of two event types share the group.
            Err(event) => match event.downcast() {
                Ok(event) if self.decoded::<E>().is_none() => Some(*event),
                _ => None,
            },
        }
    }

    /// Decodes a value that the envelope does not keep.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] as [`decode`](Envelope::decode).
    pub(crate) fn decode_anew<E: Event>(&self) -> Result<E> {
        let decoded = messagepack::decode(self.event_bytes());
        let decoded = decoded.or_else(|error| match self.without_event_type() {
            Some(bytes) => messagepack::decode(&bytes),
            None => Err(error),
        });
        decoded.map_err(|source| {
            let name = std::any::type_name::<E>();
            let message = match foreign_setting(self.event_bytes()) {
                Some(setting) => format!("cannot decode an event as {name}: {setting}"),
                None if self.is_of_no_variant(&source) => format!(
                    "cannot decode an event as {name}: correct the `type` that the sender uses, \
                     or name it with #[event(\"…\")]"
                ),
                None => format!("cannot decode an event as {name}"),
            };
            Error::new(ErrorKind::Codec, message).with_source(source)
        })
    }

    /// Returns the end of a resume without the type of the topic's events, for an enum that does not
    /// include that type, but another one that it decodes the topic as.
    fn without_event_type(&self) -> Option<Bytes> {
        let is_of_topic = self.has_this_type(positioned::TYPE);
        is_of_topic.then(|| positioned::without_event_type(self.event_bytes()))?
    }

    /// Returns whether decoding failed because the enum has no variant of this `type`.
    fn is_of_no_variant(&self, error: &rmp_serde::decode::Error) -> bool {
        let rmp_serde::decode::Error::Syntax(text) = error else {
            return false;
        };
        let kind = self.kind();
        kind.is_some_and(|kind| text.starts_with(&format!("unknown variant `{kind}`")))
    }

    /// Returns the event's `type`, if it is a map that has one.
    pub fn kind(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Tagged {
            r#type: String,
        }
        messagepack::decode::<Tagged>(self.event_bytes())
            .ok()
            .map(|tagged| tagged.r#type)
    }

    /// Returns whether this is a map with a `type`. Encoders put the tag first, so the first key
    /// usually suffices.
    fn has_type(&self) -> bool {
        let starts = |entries: &[u8]| entries.starts_with(TYPE_KEY) || self.kind().is_some();
        self.entries().is_some_and(starts)
    }

    /// Returns whether the event has this `type`. Only compares bytes if the tag comes first, as
    /// encoders put it.
    fn has_this_type(&self, kind: &str) -> bool {
        let Some(entries) = self.entries() else {
            return false;
        };
        match entries.strip_prefix(TYPE_KEY) {
            // A short string has its length in one byte before it.
            Some([length @ 0xa0..=0xbf, text @ ..]) => {
                usize::from(length & 0x1f) == kind.len() && text.starts_with(kind.as_bytes())
            }
            _ => self.kind().as_deref() == Some(kind),
        }
    }

    /// Returns the encoded keys and values, if this is a map.
    fn entries(&self) -> Option<&[u8]> {
        match &self.event_bytes()[..] {
            [0x80..=0x8f, entries @ ..]
            | [0xde, _, _, entries @ ..]
            | [0xdf, _, _, _, _, entries @ ..] => Some(entries),
            _ => None,
        }
    }

    /// Returns whether the event is a disconnect request; computed once for all mailboxes.
    pub(super) fn is_disconnect(&self) -> bool {
        let known = &self.0.is_disconnect;
        *known.get_or_init(|| self.has_this_type(DISCONNECT))
    }

    /// Returns the same event, to be delivered to all members of a group except `channel`.
    ///
    /// An envelope that is not a MessagePack map is returned unchanged and reaches all members.
    #[must_use]
    pub fn except(self, channel: &ChannelName) -> Self {
        match Except::write(channel, self.event_bytes()) {
            Some(bytes) => Self::from_bytes(bytes),
            None => self,
        }
    }

    /// Returns the same event with its position in a topic.
    ///
    /// A channel layer delivers an event of a topic with it. An envelope that is not a MessagePack
    /// map is returned unchanged.
    #[must_use]
    pub fn at(self, position: &Position) -> Self {
        match PositionedEvent::write(position, self.event_bytes()) {
            Some(bytes) => Self::from_bytes(bytes),
            None => self,
        }
    }

    /// Returns the position of the event in its topic, if it has one.
    pub fn position(&self) -> Option<&Position> {
        let form = self.0.positioned.as_ref()?;
        Some(&form.positioned.position)
    }

    /// Returns the event as consumers that resume the topic receive it, which is encoded once for
    /// all of them; the envelope itself if it has no position.
    pub(super) fn in_topic(&self, topic: &GroupName) -> Self {
        let Some(form) = &self.0.positioned else {
            return self.clone();
        };
        let made = form.in_topic.get_or_init(|| {
            let PositionedEvent { position, event } = &form.positioned;
            Self::from_bytes(positioned::topic_event(topic, position, event))
        });
        made.record_group(topic);
        made.clone()
    }

    /// Returns whether `channel` is the excluded member.
    pub(super) fn excludes(&self, channel: &ChannelName) -> bool {
        let except = self.0.except.as_ref();
        except.is_some_and(|except| except.channel == *channel)
    }

    /// Records a group that the event is delivered to; the first one is kept.
    pub(super) fn record_group(&self, group: &GroupName) {
        if self.0.group.get().is_none() {
            _ = self.0.group.set(group.clone());
        }
    }

    /// Returns the first group of this process that the event was delivered to.
    pub(super) fn group(&self) -> Option<&GroupName> {
        self.0.group.get()
    }

    /// Returns the encoded event without its excluded member and its position.
    pub(super) fn event_bytes(&self) -> &Bytes {
        match (&self.0.except, &self.0.positioned) {
            (Some(except), _) => &except.event,
            (None, Some(form)) => &form.positioned.event,
            (None, None) => &self.0.bytes,
        }
    }

    /// Returns the encoded event as it is sent and received.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// Returns the event, if it was decoded as an `E`.
    pub(super) fn decoded<E: Event>(&self) -> Option<&E> {
        self.0.decoded.get()?.downcast_ref()
    }

    /// Returns the message that `maker` created before, or creates it. The first maker's message is
    /// kept.
    pub(super) fn message(
        &self,
        maker: Maker,
        make: impl FnOnce() -> Result<Message>,
    ) -> Result<Message> {
        match self.0.message.get() {
            Some((kept, message)) if *kept == maker => Ok(message.clone()),
            Some(_) => make(),
            None => {
                let message = make()?;
                _ = self.0.message.set((maker, message.clone()));
                Ok(message)
            }
        }
    }
}

/// Returns which setting of channels_redis the sender seems to use that this process does not.
fn foreign_setting(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'{', ..] => Some(
            "it is JSON; call RedisConfig::serializer(Serializer::Json), or remove serializer_format=\"json\" from the CHANNEL_LAYERS of the Django project",
        ),
        // A Fernet token: version 0x80 in Base64, and a timestamp of this century.
        [b'g', b'A', b'A', b'A', b'A', ..] => Some(
            "it is encrypted; call RedisConfig::symmetric_encryption_keys with the same keys as in the CHANNEL_LAYERS of the Django project",
        ),
        _ => None,
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("type", &self.kind())
            .field("len", &self.0.bytes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
