//! What may travel between consumers, and its one encoding.

use super::{Shared, except::Except, messagepack};
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

/// Anything consumers may tell each other: a type that serde knows and that has a `type`.
///
/// ```
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
/// # fn is<E: seaway::Event>() {}
/// # is::<ChatEvent>();
/// ```
///
/// Use an enum, also for a single kind of event: serde checks the `type` of enums only, and would read any map with the
/// right fields as a struct.
///
/// It is implemented for every such type. The `type` is what a Python consumer picks its handler by
/// (`chat.message` calls `chat_message`).
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Event for T {}

/// One event, encoded: a MessagePack map with its `type`, as Django Channels writes it.
///
/// It is encoded once per send and decoded once per process; clones share both.
#[derive(Clone)]
pub struct Envelope(Arc<Inner>);

struct Inner {
    /// The event as it travels.
    bytes: Bytes,
    /// The member that is not to get it, if there is one.
    except: Option<Box<Except>>,
    /// The first group of this process that it was delivered to.
    group: OnceLock<GroupName>,
    /// The event, as the first member of this process decoded it.
    decoded: OnceLock<Box<dyn Any + Send + Sync>>,
    /// Whether it ends conversations, as the first mailbox found out.
    is_disconnect: OnceLock<bool>,
    /// The message that members make of the event, and who made it.
    message: OnceLock<(Maker, Message)>,
}

/// The type of the event, and the address of the function. The type too: a compiler may give two functions that do the
/// same to their bytes one address.
pub(super) type Maker = (TypeId, usize);

impl Envelope {
    /// Encodes an event.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if it is not a map with a `type` (tag your enum with `#[serde(tag = "type")]`), if it nests
    /// lists and maps more than 128 levels deep, or if the type is `seaway.disconnect`, which
    /// [`Group::disconnect`](super::Group::disconnect) is for.
    pub fn encode<E: Event>(event: &E) -> Result<Self> {
        let bytes = rmp_serde::to_vec_named(event).map_err(|source| {
            let name = std::any::type_name::<E>();
            Error::new(ErrorKind::Codec, format!("cannot encode a {name}")).with_source(source)
        })?;
        let name = std::any::type_name::<E>;
        // Whoever gets it checks this, and could not read it.
        if let Err(mistake) = messagepack::check(&bytes) {
            let message = format!("a {} cannot be an event: {mistake}", name());
            return Err(Error::new(ErrorKind::Codec, message));
        }
        let envelope = Self::from_bytes(bytes);
        if !envelope.has_type() {
            return Err(Error::new(
                ErrorKind::Codec,
                format!(
                    "an event is a map with a `type`, and a {} is none: add #[serde(tag = \"type\")] to it",
                    name()
                ),
            ));
        }
        // A consumer that relays what clients send must not let them close each other's connections, nor hide from others
        // what it sends.
        if envelope.is_disconnect() || envelope.0.except.is_some() {
            return Err(Error::new(
                ErrorKind::Codec,
                format!(
                    "a {} has a type or a key that is Seaway's own: use Group::disconnect or Group::send_except",
                    name()
                ),
            ));
        }
        Ok(envelope)
    }

    /// What came over a wire. Nothing is checked before it is [decoded](Envelope::decode).
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(Arc::new(Inner {
            except: Except::read(&bytes).map(Box::new),
            bytes,
            group: OnceLock::new(),
            decoded: OnceLock::new(),
            is_disconnect: OnceLock::new(),
            message: OnceLock::new(),
        }))
    }

    /// The event, decoded by whoever asks first and shared by all who ask for the same type.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if this is no `E`, announces more than it contains, or nests lists and maps more than 128
    /// levels deep.
    pub fn decode<E: Event>(self) -> Result<Shared<E>> {
        self.try_decode().map_err(|(error, _)| error)
    }

    /// As [`decode`](Envelope::decode), and gives the envelope back that is no `E`.
    pub(super) fn try_decode<E: Event>(self) -> Result<Shared<E>, (Error, Self)> {
        if self.decoded::<E>().is_some() {
            return Ok(Shared::of(self));
        }
        let event: E = match messagepack::decode(self.event_bytes()) {
            Ok(event) => event,
            Err(source) => {
                let name = std::any::type_name::<E>();
                let message = match foreign_setting(self.event_bytes()) {
                    Some(setting) => format!("an event is no {name}: {setting}"),
                    None => format!("an event is no {name}"),
                };
                let error = Error::new(ErrorKind::Codec, message).with_source(source);
                return Err((error, self));
            }
        };
        match self.0.decoded.set(Box::new(event)) {
            Ok(()) => Ok(Shared::of(self)),
            // Somebody was quicker; or members of two kinds share a group, and the second kind decodes for itself.
            Err(event) => match event.downcast() {
                Ok(event) if self.decoded::<E>().is_none() => Ok(Shared::own(*event, self)),
                _ => Ok(Shared::of(self)),
            },
        }
    }

    /// The `type`, if this is a map that has one.
    pub fn kind(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Tagged {
            r#type: String,
        }
        messagepack::decode::<Tagged>(self.event_bytes())
            .ok()
            .map(|tagged| tagged.r#type)
    }

    /// Whether this is a map with a `type`. Encoders put the tag first, so a look at the first key usually does.
    fn has_type(&self) -> bool {
        let starts = |entries: &[u8]| entries.starts_with(b"\xa4type") || self.kind().is_some();
        self.entries().is_some_and(starts)
    }

    /// Whether it has this `type`: at a glance where the tag comes first, as encoders put it.
    fn has_this_type(&self, kind: &str) -> bool {
        let Some(entries) = self.entries() else {
            return false;
        };
        match entries.strip_prefix(b"\xa4type") {
            // The length of a short text stands in one byte before it.
            Some([length @ 0xa0..=0xbf, text @ ..]) => {
                usize::from(length & 0x1f) == kind.len() && text.starts_with(kind.as_bytes())
            }
            _ => self.kind().as_deref() == Some(kind),
        }
    }

    /// The keys and values, one behind the other, if this is a map.
    fn entries(&self) -> Option<&[u8]> {
        match &self.event_bytes()[..] {
            [0x80..=0x8f, entries @ ..]
            | [0xde, _, _, entries @ ..]
            | [0xdf, _, _, _, _, entries @ ..] => Some(entries),
            _ => None,
        }
    }

    /// As [`has_this_type`](Self::has_this_type) for what ends conversations, found out once for all mailboxes.
    pub(super) fn is_disconnect(&self) -> bool {
        let known = &self.0.is_disconnect;
        *known.get_or_init(|| self.has_this_type(super::disconnect::TYPE))
    }

    /// Whether this member is not to get it.
    pub(super) fn excepts(&self, channel: &ChannelName) -> bool {
        let except = self.0.except.as_ref();
        except.is_some_and(|except| except.channel == *channel)
    }

    /// Notes a group that it is delivered to.
    pub(super) fn note_group(&self, group: &GroupName) {
        if self.0.group.get().is_none() {
            _ = self.0.group.set(group.clone());
        }
    }

    /// The first group of this process that it was delivered to.
    pub(super) fn group(&self) -> Option<&GroupName> {
        self.0.group.get()
    }

    /// The encoded event, without whom it excepts.
    pub(super) fn event_bytes(&self) -> &Bytes {
        match &self.0.except {
            Some(except) => &except.event,
            None => &self.0.bytes,
        }
    }

    /// The encoded event as it travels.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The event, if it was decoded as an `E`.
    pub(super) fn decoded<E: Event>(&self) -> Option<&E> {
        self.0.decoded.get()?.downcast_ref()
    }

    /// The message that this maker made before, or makes now. The first maker's is kept.
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

/// What a setting of channels_redis looks like that the other side has and this side does not read.
fn foreign_setting(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'{', ..] => Some(
            "it is JSON; remove serializer_format=\"json\" from the CHANNEL_LAYERS of the Django project",
        ),
        // A Fernet token: version 0x80 in Base64, and a time in this century.
        [b'g', b'A', b'A', b'A', b'A', ..] => Some(
            "it is encrypted; remove symmetric_encryption_keys from the CHANNEL_LAYERS of the Django project",
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
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Chat {
        #[serde(rename = "chat.message")]
        Message { text: String },
    }

    fn hello() -> Chat {
        Chat::Message {
            text: "Hello there!".into(),
        }
    }

    #[test]
    fn an_event_is_encoded_as_python_encodes_it() {
        let envelope = Envelope::encode(&hello()).unwrap();

        let hex: String = envelope
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "82a474797065ac636861742e6d657373616765a474657874ac48656c6c6f20746865726521"
        );
        assert_eq!(envelope.kind().as_deref(), Some("chat.message"));
    }

    #[test]
    fn an_event_is_decoded_once_for_everyone() {
        let envelope = Envelope::encode(&hello()).unwrap();

        let first = envelope.clone().decode::<Chat>().unwrap();
        let second = envelope.decode::<Chat>().unwrap();

        assert_eq!(*first, hello());
        assert!(std::ptr::eq(&*first, &*second));
    }

    #[test]
    fn an_event_without_a_type_is_refused_with_the_remedy() {
        #[derive(Serialize, Deserialize)]
        struct Bare {
            text: String,
        }
        let bare = Bare {
            text: "hi".to_owned(),
        };

        let error = Envelope::encode(&bare).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::Codec);
        assert!(error.to_string().contains("#[serde(tag = \"type\")]"));
        assert!(Envelope::encode(&String::from("hi")).is_err());
    }

    #[test]
    fn an_event_that_would_end_conversations_is_refused() {
        let relayed = serde_json::json!({ "type": "seaway.disconnect", "code": 4000 });

        let error = Envelope::encode(&relayed).unwrap_err();

        assert!(error.to_string().contains("Group::disconnect"), "{error}");
    }

    #[test]
    fn settings_of_channels_redis_that_are_not_read_are_named() {
        for (bytes, setting) in [
            (&br#"{"type": "chat.message"}"#[..], "serializer_format"),
            (b"gAAAAABnk3Vt", "symmetric_encryption_keys"),
        ] {
            let Err(error) = Envelope::from_bytes(bytes).decode::<Chat>() else {
                panic!("{setting} was read");
            };
            assert!(error.to_string().contains(setting), "{error}");
        }
    }

    #[test]
    fn an_event_that_nobody_could_decode_is_not_encoded() {
        let mut nested = serde_json::json!(null);
        for _ in 0..200 {
            nested = serde_json::json!([nested]);
        }
        let event = serde_json::json!({ "type": "deep", "nested": nested });

        let error = Envelope::encode(&event).unwrap_err();

        assert_eq!(error.kind(), ErrorKind::Codec);
        assert!(error.to_string().contains("128 levels"), "{error}");
    }

    #[test]
    fn deep_nesting_and_announced_giants_are_no_event() {
        let deep = [b"\x82\xa1x".to_vec(), vec![0x91; 1_000_000]].concat();
        let giant = b"\x82\xa1x\xdd\xff\xff\xff\xff".to_vec();
        for bytes in [deep, giant] {
            let envelope = Envelope::from_bytes(bytes);
            assert_eq!(envelope.kind(), None);
            assert!(!envelope.is_disconnect());
            assert!(envelope.decode::<Chat>().is_err());
        }
    }

    #[test]
    fn strange_bytes_are_an_error_and_no_more() {
        for bytes in [&b""[..], b"\x00", b"\xc1", b"\x81\xa1x", b"not msgpack"] {
            let envelope = Envelope::from_bytes(bytes.to_vec());
            assert_eq!(envelope.kind(), None, "{bytes:?}");
            assert!(envelope.decode::<Chat>().is_err(), "{bytes:?}");
        }
    }
}
