//! An event as all members of a process see it: decoded once, and its message made once.

use super::{Envelope, Event};
use crate::{
    error::{Error, ErrorKind, Result},
    message::Message,
};
use std::{any::TypeId, fmt, ops::Deref, sync::Arc};

/// An event as all members of a process see it. It derefs to the event.
///
/// A room of a thousand decodes a message once, not a thousand times; and what every member sends of it unchanged is
/// encoded once too, if it is made through [`json`](Shared::json) or [`message`](Shared::message). `ctx.send(Json(event))`
/// does that by itself. Several at once are references, written anew: `Json([&*first, &*second])`.
pub struct Shared<E> {
    envelope: Envelope,
    /// The event, unless the envelope has it: every count of references is a cache line that all members' processors
    /// fight for, so the common case has one.
    own: Option<Arc<E>>,
}

impl<E: Event> Shared<E> {
    /// The envelope has the event.
    pub(super) fn of(envelope: Envelope) -> Self {
        Self {
            envelope,
            own: None,
        }
    }

    /// The envelope has the event as another type.
    pub(super) fn own(event: E, envelope: Envelope) -> Self {
        Self {
            envelope,
            own: Some(Arc::new(event)),
        }
    }
}

impl<E: Event> Shared<E> {
    /// The event as a JSON text message, made once per process.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if JSON cannot express it (a map with keys that are no strings).
    pub fn json(&self) -> Result<Message> {
        self.message(|event| {
            serde_json::to_string(event)
                .map(Message::text)
                .map_err(|source| {
                    Error::new(ErrorKind::Codec, "an event cannot be written as JSON")
                        .with_source(source)
                })
        })
    }

    /// A message made of the event alone, made once per process and shared by all members that use the same maker.
    ///
    /// The maker is a function, not a closure: what it makes is everyone's, so it may look at nothing but the event.
    ///
    /// ```
    /// use seaway::{Message, Result, channels::Shared};
    /// # use serde::{Serialize, Deserialize};
    /// # #[derive(Serialize, Deserialize)] #[serde(tag = "type")] enum Said { Message { text: String } }
    /// fn words(event: &Shared<Said>) -> Result<Message> {
    ///     event.message(|Said::Message { text }| Ok(Message::text(text.as_str())))
    /// }
    /// ```
    ///
    /// # Errors
    /// Whatever the maker returns.
    pub fn message(&self, make: fn(&E) -> Result<Message>) -> Result<Message> {
        let maker = (TypeId::of::<E>(), make as usize);
        self.envelope.message(maker, || make(self))
    }

    /// As [`message`](Shared::message), for a maker of something else that a message can hold.
    pub(crate) fn message_of<T: 'static>(
        &self,
        make: fn(&E) -> Result<T>,
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
                .expect("it is there, or this would own one"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename = "said")]
    struct Said {
        text: String,
    }

    #[test]
    fn members_share_one_frame() {
        let said = Said { text: "hi".into() };
        let envelope = Envelope::encode(&said).unwrap();
        let (one, two) = (envelope.clone().decode::<Said>(), envelope.decode::<Said>());
        let (one, two) = (one.unwrap(), two.unwrap());

        let (first, second) = (one.json().unwrap(), two.json().unwrap());
        let other = one.message(|said| Ok(Message::text(said.text.as_str())));

        assert_eq!(first, Message::text(r#"{"type":"said","text":"hi"}"#));
        assert_eq!(first.payload().as_ptr(), second.payload().as_ptr());
        assert_eq!(other.unwrap(), Message::text("hi"));
    }
}
