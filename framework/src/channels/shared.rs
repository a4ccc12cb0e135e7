//! An event that is decoded once per process and shared by its receivers.

use super::{Envelope, Event};
use crate::{
    codec::{IntoMessage, Json},
    error::{Error, ErrorKind, Result},
    message::Message,
};
use std::{any::TypeId, fmt, ops::Deref, sync::Arc};

/// An event that all members of a process share.
///
/// Dereferences to the event.
///
/// A group of 1,000 members decodes an event once, not 1,000 times. A message that every member
/// sends unchanged is encoded once too, if it is created through [`json`](Shared::json) or
/// [`message`](Shared::message); `ctx.send(Json(event))` does that by itself. Several events in one
/// message are passed as references and encoded each time: `Json([&*first, &*second])`.
pub struct Shared<E> {
    envelope: Envelope,
    /// The event, unless the envelope holds it. Each reference count is a cache line that the
    /// processors of all members contend for, so the common case has only one.
    own: Option<Arc<E>>,
}

impl Envelope {
    /// Decodes the event once and shares it with all callers that ask for the same type.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the event is not an `E`, if a length exceeds the remaining bytes, or
    /// if lists and maps are nested more than 128 levels deep.
    pub fn decode<E: Event>(self) -> Result<Shared<E>> {
        self.try_decode().map_err(|(error, _)| error)
    }

    /// Decodes the event as [`decode`](Envelope::decode) does; returns the envelope with the error
    /// if it is not an `E`.
    pub(super) fn try_decode<E: Event>(self) -> Result<Shared<E>, (Error, Self)> {
        match self.decode_as::<E>() {
            Ok(own) => Ok(self.shared(own)),
            Err(error) => Err((error, self)),
        }
    }

    /// Shares an event that was decoded from a part of the envelope.
    pub(super) fn share<E: Event>(self, event: E) -> Shared<E> {
        let own = self.keep(event);
        self.shared(own)
    }

    fn shared<E>(self, own: Option<E>) -> Shared<E> {
        Shared {
            envelope: self,
            own: own.map(Arc::new),
        }
    }
}

impl<E: Event> Shared<E> {
    /// Returns the event as a JSON text message, which is encoded once per process.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if JSON cannot represent it (a map whose keys are not strings).
    pub fn json(&self) -> Result<Message> {
        self.message(|event| {
            let text = serde_json::to_string(event).map_err(|source| {
                Error::new(ErrorKind::Codec, "an event cannot be written as JSON")
                    .with_source(source)
            })?;
            Ok(Message::text(text))
        })
    }

    /// Returns a message that `make` creates from the event, once per process for all members that
    /// use the same function.
    ///
    /// `make` is a function, not a closure: all members share its result, so it must depend on
    /// nothing but the event.
    ///
    /// ```
    /// use seaway::{Message, Result, channels::Shared};
    /// # #[derive(seaway::Event)] enum ChatEvent { Message { text: String } }
    /// fn words(event: &Shared<ChatEvent>) -> Result<Message> {
    ///     Ok(event.message(|ChatEvent::Message { text }| Ok(Message::text(text.as_str())))?)
    /// }
    /// ```
    ///
    /// # Errors
    /// Any error that `make` returns.
    pub fn message(&self, make: fn(&E) -> crate::Result<Message>) -> Result<Message> {
        let maker = (TypeId::of::<E>(), make as usize);
        self.envelope.message(maker, || Ok(make(self)?))
    }

    /// Returns a message like [`message`](Shared::message), for a `make` whose result `write` turns
    /// into a message.
    pub(crate) fn message_of<T: 'static>(
        &self,
        make: fn(&E) -> crate::Result<T>,
        write: fn(T) -> Result<Message>,
    ) -> Result<Message> {
        let maker = (TypeId::of::<(E, T)>(), make as usize);
        self.envelope.message(maker, || write(make(self)?))
    }
}

impl<E: Event> Deref for Shared<E> {
    type Target = E;

    fn deref(&self) -> &E {
        match &self.own {
            Some(event) => event,
            None => self
                .envelope
                .decoded()
                .expect("the envelope holds the event unless `own` does"),
        }
    }
}

impl<E> Clone for Shared<E> {
    fn clone(&self) -> Self {
        Self {
            envelope: self.envelope.clone(),
            own: self.own.clone(),
        }
    }
}

impl<E: Event + fmt::Debug> fmt::Debug for Shared<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Encodes the event as JSON, once per process for all members that send it.
impl<E: Event> IntoMessage for Json<Shared<E>> {
    fn into_message(self) -> crate::Result<Message> {
        Ok(self.0.json()?)
    }
}

/// Encodes the event as JSON, once per process for all members that send it.
impl<E: Event> IntoMessage for Json<&Shared<E>> {
    fn into_message(self) -> crate::Result<Message> {
        Ok(self.0.json()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename = "chat.message")]
    struct ChatEvent {
        text: String,
    }

    impl crate::channels::Event for ChatEvent {}

    #[test]
    fn members_share_one_frame() {
        let event = ChatEvent { text: "hi".into() };
        let envelope = Envelope::encode(&event).unwrap();
        let (one, two) = (
            envelope.clone().decode::<ChatEvent>(),
            envelope.decode::<ChatEvent>(),
        );
        let (one, two) = (one.unwrap(), two.unwrap());

        let (first, second) = (one.json().unwrap(), two.json().unwrap());
        let other = one.message(|event| Ok(Message::text(event.text.as_str())));

        assert_eq!(
            first,
            Message::text(r#"{"type":"chat.message","text":"hi"}"#)
        );
        assert_eq!(first.payload().as_ptr(), second.payload().as_ptr());
        assert_eq!(other.unwrap(), Message::text("hi"));
    }
}
