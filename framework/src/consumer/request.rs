//! Requests in messages, and their answers: `#[on_message("bid", reply)]`.
//!
//! A request is a message with an `id`, a string or an integer, beside its `type`. Its answer is
//! `{"type":"reply","id":…}` with one of `ok`, `error` and `fault`; `docs/macros.md` has the wire
//! format.

use super::{Context, FromMessage, Json};
use crate::{
    channels::Event,
    error::{AnyError, Error, ErrorKind, Result},
    message::{Message, Text},
};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::Value;
use std::result::Result as StdResult;

/// The messages of a consumer of which some are requests; for the macro.
pub trait Requests: DeserializeOwned + Send {
    /// The types of messages that are not answered: an `id` in them is a field like any other.
    const UNANSWERED: &'static [&'static str];
}

/// A message that may be a request.
#[derive(Debug)]
pub struct Request<T> {
    id: Option<RequestId>,
    /// An error only if there is an id to answer under.
    input: Result<T>,
}

/// The id of a request: a string or an integer that the client chooses.
#[derive(Debug, Serialize)]
pub struct RequestId(Value);

/// The answer to a request, encoded, and the error that the handler failed with.
#[derive(Debug)]
pub struct Answer {
    message: Option<Message>,
    result: Result<()>,
}

/// What selects and answers a message.
#[derive(Deserialize)]
struct Head {
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
    /// Returns the id under which the message is answered, if it is.
    fn id(text: &str) -> Result<Option<RequestId>> {
        let head: Head = serde_json::from_str(text).map_err(|source| {
            Error::new(ErrorKind::Codec, "unexpected JSON").with_source(source)
        })?;
        let kind = head.r#type.as_str();
        match kind.is_some_and(|kind| T::UNANSWERED.contains(&kind)) {
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
    /// Returns the id and the message, or the answer to a message that could not be decoded.
    ///
    /// # Errors
    /// The answer.
    pub fn open(self) -> StdResult<(Option<RequestId>, T), Answer> {
        match self.input {
            Ok(input) => Ok((self.id, input)),
            Err(error) => Err(Answer::new(self.id, "fault", &Fault::malformed(&error))),
        }
    }
}

/// An error type of a method that answers requests: an error of the client's, which is sent to it,
/// or Seaway's own, which is not.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to the client as the error of a request",
    label = "this error has no `Serialize`",
    note = "derive `serde::Serialize` for it, if the client may see it; return `seaway::Result<Answer>`, or `seaway::Result<Result<Answer, Refusal>>`, for errors that it may not"
)]
pub trait AnswerError {
    /// What the client sees of it.
    type Sent: Serialize;

    /// Returns what the client sees of it.
    ///
    /// # Errors
    /// An error that the client must not see.
    fn sent(self) -> Result<Self::Sent>;
}

impl<E: Serialize> AnswerError for E {
    type Sent = E;

    fn sent(self) -> Result<E> {
        Ok(self)
    }
}

impl AnswerError for Error {
    type Sent = ();

    fn sent(self) -> Result<()> {
        Err(self)
    }
}

impl AnswerError for AnyError {
    type Sent = ();

    fn sent(self) -> Result<()> {
        Err(self.into())
    }
}

/// Answers a request with the `Result<Answer, Refusal>` of its method.
pub fn answer<T: Serialize, E: AnswerError>(
    id: Option<RequestId>,
    outcome: StdResult<T, E>,
) -> Answer {
    match outcome.map_err(E::sent) {
        Ok(value) => Answer::new(id, "ok", &value),
        Err(Ok(error)) => Answer::new(id, "error", &error),
        Err(Err(error)) => Answer::failed(id, error),
    }
}

/// Answers a request with the `Result<Result<Answer, Refusal>>` of its method.
pub fn answer_or_refuse<T: Serialize, E: Serialize>(
    id: Option<RequestId>,
    outcome: StdResult<StdResult<T, E>, impl Into<AnyError>>,
) -> Answer {
    match outcome {
        Ok(Ok(value)) => Answer::new(id, "ok", &value),
        Ok(Err(error)) => Answer::new(id, "error", &error),
        Err(error) => Answer::failed(id, error.into().into()),
    }
}

/// Sends an answer. Returns the error that the handler failed with.
pub async fn send_answer<E: Event>(ctx: &Context<E>, answer: Answer) -> crate::Result<()> {
    let sent = match answer.message {
        Some(message) => ctx.send(message).await,
        None => Ok(()),
    };
    Ok(answer.result.and(sent)?)
}

impl Answer {
    /// Encodes an answer, unless the message has no id. A value that cannot be encoded is a failure
    /// of the handler.
    fn new(id: Option<RequestId>, key: &'static str, value: &impl Serialize) -> Self {
        let Some(id) = id else {
            return Self {
                message: None,
                result: Ok(()),
            };
        };
        let wire = Wire {
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

    /// Answers that the handler failed, without its error. A client that has left gets no answer.
    fn failed(id: Option<RequestId>, error: Error) -> Self {
        let message = match error.is_closed() {
            true => None,
            false => Self::new(id, "fault", &Fault::FAILED).message,
        };
        Self {
            message,
            result: Err(error),
        }
    }
}

/// The reason for which a request has neither result nor error.
#[derive(Serialize)]
struct Fault {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Fault {
    const FAILED: Self = Self {
        kind: "failed",
        reason: None,
    };

    fn malformed(error: &Error) -> Self {
        Self {
            kind: "malformed",
            reason: Some(format!("{error:#}")),
        }
    }
}

/// An answer on the wire.
struct Wire<'a, T> {
    id: &'a RequestId,
    key: &'static str,
    value: &'a T,
}

impl<T: Serialize> Serialize for Wire<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> StdResult<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("type", "reply")?;
        map.serialize_entry("id", self.id)?;
        map.serialize_entry(self.key, self.value)?;
        map.end()
    }
}
