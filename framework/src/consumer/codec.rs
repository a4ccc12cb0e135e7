//! What a consumer hears and says: a codec is a type.

use crate::{
    channels::{Event, Shared},
    error::{Error, ErrorKind, Result},
    frame::{Frame, Text},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// What a frame can be read as: the `Input` of a consumer.
///
/// [`Frame`], [`String`], [`Text`], [`Bytes`] and [`Json<T>`] are such; so is a type of yours:
///
/// ```
/// use seaway::{Error, ErrorKind, Frame, FromFrame, Result};
///
/// /// A square on a chess board, as in "e4".
/// struct Square { file: u8, rank: u8 }
///
/// impl FromFrame for Square {
///     fn from_frame(frame: Frame) -> Result<Self> {
///         match frame.payload() {
///             [file @ b'a'..=b'h', rank @ b'1'..=b'8'] => Ok(Square { file: *file, rank: *rank }),
///             _ => Err(Error::new(ErrorKind::Codec, "a square is a letter a to h and a digit 1 to 8")),
///         }
///     }
/// }
/// ```
pub trait FromFrame: Sized + Send {
    /// Reads the frame.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`]; the consumer's `malformed` hook gets it.
    fn from_frame(frame: Frame) -> Result<Self>;
}

/// What can be sent as a frame.
pub trait IntoFrame: Send {
    /// Writes the frame.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be expressed.
    fn into_frame(self) -> Result<Frame>;
}

/// JSON in a text frame. Binary frames are not JSON.
///
/// ```
/// use seaway::{Frame, FromFrame, IntoFrame, Json};
///
/// let Json(numbers) = Json::<Vec<u8>>::from_frame(Frame::text("[1, 2]")).unwrap();
/// assert_eq!(numbers, [1, 2]);
/// assert_eq!(Json(&numbers).into_frame().unwrap(), Frame::text("[1,2]"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl FromFrame for Frame {
    fn from_frame(frame: Frame) -> Result<Self> {
        Ok(frame)
    }
}

impl FromFrame for Text {
    fn from_frame(frame: Frame) -> Result<Self> {
        match frame {
            Frame::Text(text) => Ok(text),
            Frame::Binary(_) => Err(Error::new(ErrorKind::Codec, "expected a text frame")),
        }
    }
}

impl FromFrame for String {
    fn from_frame(frame: Frame) -> Result<Self> {
        Text::from_frame(frame).map(Self::from)
    }
}

impl FromFrame for Bytes {
    fn from_frame(frame: Frame) -> Result<Self> {
        match frame {
            Frame::Binary(bytes) => Ok(bytes),
            Frame::Text(_) => Err(Error::new(ErrorKind::Codec, "expected a binary frame")),
        }
    }
}

impl<T: DeserializeOwned + Send> FromFrame for Json<T> {
    fn from_frame(frame: Frame) -> Result<Self> {
        let text = Text::from_frame(frame)?;
        serde_json::from_str(&text)
            .map(Json)
            .map_err(|source| Error::new(ErrorKind::Codec, "unexpected JSON").with_source(source))
    }
}

impl IntoFrame for Frame {
    fn into_frame(self) -> Result<Frame> {
        Ok(self)
    }
}

impl IntoFrame for Text {
    fn into_frame(self) -> Result<Frame> {
        Ok(Frame::Text(self))
    }
}

impl IntoFrame for String {
    fn into_frame(self) -> Result<Frame> {
        Ok(Frame::text(self))
    }
}

impl IntoFrame for &str {
    fn into_frame(self) -> Result<Frame> {
        Ok(Frame::text(self))
    }
}

impl IntoFrame for Bytes {
    fn into_frame(self) -> Result<Frame> {
        Ok(Frame::Binary(self))
    }
}

impl IntoFrame for Vec<u8> {
    fn into_frame(self) -> Result<Frame> {
        Ok(Frame::binary(self))
    }
}

impl<T: Serialize + Send> IntoFrame for Json<T> {
    fn into_frame(self) -> Result<Frame> {
        serde_json::to_string(&self.0)
            .map(Frame::text)
            .map_err(|source| {
                Error::new(ErrorKind::Codec, "a value cannot be written as JSON")
                    .with_source(source)
            })
    }
}

/// The event as JSON, made once per process and shared by all members that send it.
impl<E: Event> IntoFrame for Json<Shared<E>> {
    fn into_frame(self) -> Result<Frame> {
        self.0.json()
    }
}

/// The event as JSON, made once per process and shared by all members that send it.
impl<E: Event> IntoFrame for Json<&Shared<E>> {
    fn into_frame(self) -> Result<Frame> {
        self.0.json()
    }
}
