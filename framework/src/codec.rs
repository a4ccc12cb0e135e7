//! Codecs: types that are decoded from messages and encoded as messages.

use crate::{
    error::{AnyError, Error, ErrorKind},
    message::{Message, Text},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    borrow::Cow,
    ops::{Deref, DerefMut},
};

/// A type that can be decoded from a message: the `Input` of a consumer.
///
/// Implemented by [`Message`], [`String`], [`Text`], [`Bytes`], `Vec<u8>` and [`Json<T>`]; implement
/// it for your own type:
///
/// ```
/// use seaway::{Error, ErrorKind, Message, FromMessage, Result};
///
/// /// A square on a chess board, as in "e4".
/// struct Square { file: u8, rank: u8 }
///
/// impl FromMessage for Square {
///     fn from_message(message: Message) -> Result<Self> {
///         match message.payload() {
///             [file @ b'a'..=b'h', rank @ b'1'..=b'8'] => Ok(Square { file: *file, rank: *rank }),
///             _ => Err(Error::new(ErrorKind::Codec, "a square is a letter a to h and a digit 1 to 8").into()),
///         }
///     }
/// }
/// ```
pub trait FromMessage: Sized + Send {
    /// Decodes the message.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the message is not such a value. The error is passed to the consumer's
    /// `malformed` hook, which by default sends its message, without its sources, to the client;
    /// errors of other kinds are only logged.
    fn from_message(message: Message) -> crate::Result<Self>;

    /// Decodes the message, and returns it beside the error if that fails.
    ///
    /// Default: [`from_message`](FromMessage::from_message) with a clone of the message, which
    /// shares its payload. A codec that only borrows the message saves the clone by a `decode` of
    /// its own.
    ///
    /// ```
    /// use seaway::{FromMessage, Json, Message};
    ///
    /// let Err((error, message)) = Json::<u32>::decode(Message::text("seven")) else { panic!() };
    /// assert_eq!(format!("{error:#}"), "unexpected JSON: expected value at line 1 column 1");
    /// assert_eq!(message, Message::text("seven"));
    /// ```
    ///
    /// # Errors
    /// As [`from_message`](FromMessage::from_message).
    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        let kept = message.clone();
        Self::from_message(message).map_err(|error| (error, kept))
    }
}

/// A type that can be sent as a message.
///
/// ```
/// use seaway::{IntoMessage, Message, Result};
///
/// /// A square on a chess board, as in "e4".
/// struct Square { file: char, rank: u8 }
///
/// impl IntoMessage for Square {
///     fn into_message(self) -> Result<Message> {
///         Ok(Message::text(format!("{}{}", self.file, self.rank)))
///     }
/// }
///
/// let message = Square { file: 'e', rank: 4 }.into_message().unwrap();
/// assert_eq!(message, Message::text("e4"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "wrap it to send it as JSON: `Json(…)`",
    note = "messages are text, bytes, `Message`, `Json(value)` for a type that implements serde's `Serialize`, or a type that implements `IntoMessage`"
)]
pub trait IntoMessage: Send {
    /// Encodes the value as a message.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be encoded.
    fn into_message(self) -> crate::Result<Message>;
}

/// A value as JSON in a text message.
///
/// A binary message is not decoded as JSON.
///
/// ```
/// use seaway::{Message, FromMessage, IntoMessage, Json};
///
/// let Json(numbers) = Json::<Vec<u8>>::from_message(Message::text("[1, 2]")).unwrap();
/// assert_eq!(numbers, [1, 2]);
/// assert_eq!(Json(&numbers).into_message().unwrap(), Message::text("[1,2]"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl FromMessage for Message {
    fn from_message(message: Message) -> crate::Result<Self> {
        Ok(message)
    }

    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        Ok(message)
    }
}

impl FromMessage for Text {
    fn from_message(message: Message) -> crate::Result<Self> {
        without_message(Self::decode(message))
    }

    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        match message {
            Message::Text(text) => Ok(text),
            binary => Err((unexpected("expected a text message"), binary)),
        }
    }
}

impl FromMessage for String {
    fn from_message(message: Message) -> crate::Result<Self> {
        without_message(Self::decode(message))
    }

    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        Text::decode(message).map(Self::from)
    }
}

impl FromMessage for Bytes {
    fn from_message(message: Message) -> crate::Result<Self> {
        without_message(Self::decode(message))
    }

    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        match message {
            Message::Binary(bytes) => Ok(bytes),
            text => Err((unexpected("expected a binary message"), text)),
        }
    }
}

impl FromMessage for Vec<u8> {
    fn from_message(message: Message) -> crate::Result<Self> {
        without_message(Self::decode(message))
    }

    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        Bytes::decode(message).map(Self::from)
    }
}

impl<T: DeserializeOwned + Send> FromMessage for Json<T> {
    fn from_message(message: Message) -> crate::Result<Self> {
        without_message(Self::decode(message))
    }

    fn decode(message: Message) -> Result<Self, (AnyError, Message)> {
        let text = Text::decode(message)?;
        serde_json::from_str(&text).map(Json).map_err(|source| {
            let error = Error::new(ErrorKind::Codec, "unexpected JSON").with_source(source);
            (error.into(), Message::Text(text))
        })
    }
}

fn unexpected(message: &'static str) -> AnyError {
    Error::new(ErrorKind::Codec, message).into()
}

fn without_message<T>(decoded: Result<T, (AnyError, Message)>) -> crate::Result<T> {
    decoded.map_err(|(error, _)| error)
}

impl IntoMessage for Message {
    fn into_message(self) -> crate::Result<Message> {
        Ok(self)
    }
}

impl IntoMessage for Text {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::Text(self))
    }
}

impl IntoMessage for String {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::text(self))
    }
}

impl IntoMessage for &str {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::text(self))
    }
}

impl IntoMessage for &String {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::text(self.as_str()))
    }
}

impl IntoMessage for Cow<'_, str> {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::text(self.into_owned()))
    }
}

impl IntoMessage for Bytes {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::Binary(self))
    }
}

impl IntoMessage for &[u8] {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::binary(self.to_vec()))
    }
}

impl IntoMessage for Vec<u8> {
    fn into_message(self) -> crate::Result<Message> {
        Ok(Message::binary(self))
    }
}

impl<T: Serialize> Json<T> {
    pub(crate) fn encode(&self) -> Result<Message, Error> {
        let text = serde_json::to_string(&self.0).map_err(|source| {
            Error::new(ErrorKind::Codec, "a value cannot be written as JSON").with_source(source)
        })?;
        Ok(Message::text(text))
    }
}

impl<T: Serialize + Send> IntoMessage for Json<T> {
    fn into_message(self) -> crate::Result<Message> {
        Ok(self.encode()?)
    }
}
