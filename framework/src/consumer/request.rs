//! Requests in messages, and their replies: `#[on_message("bid", reply)]`.
//!
//! A request is a message with an `id`, a string or an integer, beside its `type`. Its reply is
//! `{"type":"reply","id":…}` with one of `ok`, `error` and `fault`; `docs/macros.md` has the wire
//! format.

use super::{Context, defaults::malformed_reason};
use crate::{
    channels::Event,
    codec::{FromMessage, Json},
    error::{AnyError, Error, ErrorKind, Result},
    message::{Message, Text},
};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::Value;
use std::result::Result as StdResult;

/// The messages of a consumer of which some are requests; for the macro.
pub trait Requests: DeserializeOwned + Send {
    /// The types of messages that have no reply: an `id` in them is a field like any other.
    const WITHOUT_REPLY: &'static [&'static str];
}

/// A message with a `type`, which is no request; for the macro.
#[derive(Debug)]
pub struct Tagged<T>(pub T);

impl<T: DeserializeOwned + Send> FromMessage for Tagged<T> {
    fn from_message(message: Message) -> crate::Result<Self> {
        Self::decode(message).map_err(|(error, _)| error)
    }

    fn decode(message: Message) -> StdResult<Self, (AnyError, Message)> {
        let text = Text::decode(message)?;
        match reject_list(&text) {
            Ok(()) => Json::decode(Message::Text(text)).map(|Json(input)| Self(input)),
            Err(error) => Err((error.into(), Message::Text(text))),
        }
    }
}

/// Returns an error for a list, which serde decodes as well, by the order of the fields.
fn reject_list(text: &str) -> Result<()> {
    if text.trim_ascii_start().starts_with('[') {
        let message = "unexpected JSON: a message must be an object";
        return Err(Error::new(ErrorKind::Codec, message));
    }
    Ok(())
}

/// A message that may be a request.
#[derive(Debug)]
pub struct Request<T> {
    id: Option<RequestId>,
    /// An error only if there is an id to reply under.
    input: Result<T>,
}

/// The id of a request: a string or an integer that the client chooses.
#[derive(Debug, Serialize)]
pub struct RequestId(Value);

/// The reply to a request, encoded, and the error that the handler failed with.
#[derive(Debug)]
pub struct RequestReply {
    message: Option<Message>,
    result: Result<()>,
}

/// The keys that select the method of a message, and the id of its reply.
#[derive(Deserialize)]
struct MessageHead {
    #[serde(default)]
    r#type: Value,
    #[serde(default)]
    id: Value,
}

impl<T: Requests> FromMessage for Request<T> {
    fn from_message(message: Message) -> crate::Result<Self> {
        Self::decode(message).map_err(|(error, _)| error)
    }

    fn decode(message: Message) -> StdResult<Self, (AnyError, Message)> {
        let text = Text::decode(message)?;
        let id = match Self::id(&text) {
            Ok(id) => id,
            Err(error) => return Err((error.into(), Message::Text(text))),
        };
        match (id, Json::decode(Message::Text(text))) {
            (None, Err(malformed)) => Err(malformed),
            (id, input) => Ok(Self {
                id,
                input: match input {
                    Ok(Json(input)) => Ok(input),
                    Err((error, _)) => Err(error.into()),
                },
            }),
        }
    }
}

impl<T: Requests> Request<T> {
    /// Returns the id of the message's reply, if it gets one.
    fn id(text: &str) -> Result<Option<RequestId>> {
        reject_list(text)?;
        let head: MessageHead = serde_json::from_str(text).map_err(|source| {
            Error::new(ErrorKind::Codec, "unexpected JSON").with_source(source)
        })?;
        let kind = head.r#type.as_str();
        match kind.is_some_and(|kind| T::WITHOUT_REPLY.contains(&kind)) {
            true => Ok(None),
            false => RequestId::read(head.id),
        }
    }
}

impl RequestId {
    fn read(id: Value) -> Result<Option<Self>> {
        match id {
            Value::Null => Ok(None),
            Value::String(_) => Ok(Some(Self(id))),
            Value::Number(ref number) if !number.is_f64() => Ok(Some(Self(id))),
            _ => Err(Error::new(
                ErrorKind::Codec,
                "the id of a request must be a string or an integer",
            )),
        }
    }
}

impl<T> Request<T> {
    /// Returns the id and the message, or the reply to a message that could not be decoded.
    ///
    /// # Errors
    /// The reply.
    pub fn open(self) -> StdResult<(Option<RequestId>, T), RequestReply> {
        match self.input {
            Ok(input) => Ok((self.id, input)),
            Err(error) => Err(RequestReply::new(
                self.id,
                "fault",
                &RequestFault::malformed(&error),
            )),
        }
    }
}

/// What a method that replies to requests returns.
#[diagnostic::on_unimplemented(
    message = "a method that replies to requests returns a `Result<T, E>`, and not `{Self}`",
    label = "write `-> seaway::Result<{Self}>`",
    note = "`Ok` is sent to the client as the result of its request, `Err` as its error"
)]
pub trait ReplyOutcome {
    /// What the client gets as the result of its request.
    type Value;
    /// The error of the method.
    type Error;

    /// Returns the method's result.
    ///
    /// # Errors
    /// That of the method.
    fn outcome(self) -> StdResult<Self::Value, Self::Error>;
}

impl<T, E> ReplyOutcome for StdResult<T, E> {
    type Value = T;
    type Error = E;

    fn outcome(self) -> Self {
        self
    }
}

/// An error type of a method that replies to requests: an error of the client's, which is sent to
/// it, or Seaway's own, which is not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to the client as the error of a request",
    label = "this error has no `Serialize`",
    note = "derive `serde::Serialize` for it, if the client may see it; return `seaway::Result<T>`, or `seaway::Result<Result<T, E>>`, for errors that it may not"
)]
pub trait ReplyError {
    /// The type that is encoded for the client.
    type Sent: Serialize;

    /// Returns the value that is encoded for the client.
    ///
    /// # Errors
    /// An error that the client must not see.
    fn sent(self) -> Result<Self::Sent>;
}

impl<E: Serialize> ReplyError for E {
    type Sent = E;

    fn sent(self) -> Result<E> {
        Ok(self)
    }
}

impl ReplyError for Error {
    type Sent = ();

    fn sent(self) -> Result<()> {
        Err(self)
    }
}

impl ReplyError for AnyError {
    type Sent = ();

    fn sent(self) -> Result<()> {
        Err(self.into())
    }
}

/// Encodes the reply to a request: the `Result<T, E>` of its method.
pub fn reply<O>(id: Option<RequestId>, outcome: O) -> RequestReply
where
    O: ReplyOutcome<Value: Serialize, Error: ReplyError>,
{
    match outcome.outcome().map_err(ReplyError::sent) {
        Ok(value) => RequestReply::new(id, "ok", &value),
        Err(Ok(error)) => RequestReply::new(id, "error", &error),
        Err(Err(error)) => RequestReply::failed(id, error),
    }
}

/// Encodes the reply to a request: the `Result<Result<T, E>>` of its method.
pub fn reply_nested<T: Serialize, E: Serialize>(
    id: Option<RequestId>,
    outcome: StdResult<StdResult<T, E>, impl Into<AnyError>>,
) -> RequestReply {
    match outcome {
        Ok(Ok(value)) => RequestReply::new(id, "ok", &value),
        Ok(Err(error)) => RequestReply::new(id, "error", &error),
        Err(error) => RequestReply::failed(id, error.into().into()),
    }
}

/// Sends a reply. Returns the error that the handler failed with.
pub async fn send_reply<E: Event>(ctx: &Context<E>, reply: RequestReply) -> crate::Result<()> {
    let sent = match reply.message {
        Some(message) => ctx.send(message).await,
        None => Ok(()),
    };
    Ok(reply.result.and(sent)?)
}

impl RequestReply {
    /// Encodes a reply, unless the message has no id. A value that cannot be encoded is a failure
    /// of the handler.
    fn new(id: Option<RequestId>, key: &'static str, value: &impl Serialize) -> Self {
        let Some(id) = id else {
            return Self {
                message: None,
                result: Ok(()),
            };
        };
        let wire = ReplyMessage {
            id: &id,
            key,
            value,
        };
        match Json(&wire).encode() {
            Ok(message) => Self {
                message: Some(message),
                result: Ok(()),
            },
            Err(error) => Self::failed(Some(id), error),
        }
    }

    /// Encodes the reply of a handler that failed, without its error.
    fn failed(id: Option<RequestId>, error: Error) -> Self {
        Self {
            message: Self::new(id, "fault", &RequestFault::FAILED).message,
            result: Err(error),
        }
    }
}

/// The reason for which a request has neither result nor error.
#[derive(Serialize)]
struct RequestFault {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl RequestFault {
    const FAILED: Self = Self {
        kind: "failed",
        reason: None,
    };

    fn malformed(error: &Error) -> Self {
        Self {
            kind: "malformed",
            reason: Some(malformed_reason(error)),
        }
    }
}

/// A reply on the wire.
struct ReplyMessage<'a, T> {
    id: &'a RequestId,
    key: &'static str,
    value: &'a T,
}

impl<T: Serialize> Serialize for ReplyMessage<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> StdResult<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", "reply")?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry(self.key, self.value)?;
        map.end()
    }
}
