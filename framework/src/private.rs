//! Items that the macros' code refers to. Not a public API: they change without notice.

pub use crate::{
    catch_panic::Handling,
    channels::Decodes,
    consumer::{
        GroupField,
        request::{Request, Requests, Tagged, reply, reply_nested, send_reply},
    },
};
pub use serde;

use crate::{
    channels::{Event, Position, Shared},
    codec::{FromMessage, Json},
    consumer::{
        Context, FromHandshake, HttpConsumer, HttpResponse, Sse, SseEvent, WebSocketConsumer,
        ignore_event,
    },
    error::{AnyError, Error, ErrorKind, Result},
    extract::FromScope,
    message::Message,
    protocol::{Http, WebSocket},
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{Protocol, Scope},
};
use http::StatusCode;
use std::marker::PhantomData;

/// The list of an enum's event types, implemented by `#[derive(Event)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no list of event types",
    label = "#[on(\"…\")] finds its events through #[derive(Event)]",
    note = "put #[derive(Event)] on `{Self}` in place of #[derive(Serialize, Deserialize)]"
)]
pub trait EventTypes {
    const TYPES: &'static [&'static str];
}

/// A parameter that accepts an event of type `E`.
#[diagnostic::on_unimplemented(
    message = "events are passed as `{E}`, but this method takes `{Self}`",
    label = "write `{E}`",
    note = "a method for one type of event may also take what its variant holds, by reference"
)]
pub trait Handed<E> {
    fn hand(event: E) -> Self;
}

impl<E> Handed<E> for E {
    fn hand(event: E) -> Self {
        event
    }
}

/// What a method of a consumer returns, unless it returns nothing.
#[diagnostic::on_unimplemented(
    message = "a method of a consumer returns `Result<()>` or nothing, and not `{Self}`",
    label = "write `-> seaway::Result<()>`, or no return type",
    note = "the error of the result may be of any type that `?` converts to `seaway::AnyError`: one that implements `std::error::Error`, as with thiserror"
)]
pub trait HookOutput {
    fn into_result(self) -> crate::Result<()>;
}

#[diagnostic::do_not_recommend]
impl<E: Into<AnyError>> HookOutput for Result<(), E> {
    fn into_result(self) -> crate::Result<()> {
        self.map_err(Into::into)
    }
}

/// What `connect` returns.
#[diagnostic::on_unimplemented(
    message = "`connect` returns a `Result` with the consumer, and not `{Self}`",
    label = "write `-> Result<Self, seaway::Rejection>`",
    note = "the error of the result may be of any type that `?` converts to `seaway::Rejection`: one that implements `std::error::Error`, as with thiserror"
)]
pub trait ConnectOutput<C> {
    fn into_result(self) -> Result<C, Rejection>;
}

#[diagnostic::do_not_recommend]
impl<C, E: Into<Rejection>> ConnectOutput<C> for Result<C, E> {
    fn into_result(self) -> Result<C, Rejection> {
        self.map_err(Into::into)
    }
}

/// What `handle` returns.
#[diagnostic::on_unimplemented(
    message = "`handle` returns a `Result` with an `HttpResponse`, and not `{Self}`",
    label = "write `-> seaway::Result<seaway::HttpResponse>`",
    note = "the error of the result may be a `seaway::Rejection`, or of any type that `?` converts to `seaway::AnyError`: one that implements `std::error::Error`, as with thiserror"
)]
pub trait HandleOutput {
    fn into_result(self) -> crate::Result<HttpResponse>;
}

#[diagnostic::do_not_recommend]
impl<E: Into<AnyError>> HandleOutput for Result<HttpResponse, E> {
    fn into_result(self) -> crate::Result<HttpResponse> {
        self.map_err(Into::into)
    }
}

/// A context or handshake that a method takes, where the consumer has a `Given` one.
#[diagnostic::on_unimplemented(
    message = "this consumer has a `{Given}`, not a `{Self}`",
    label = "the event types differ",
    note = "the event type of a consumer is that of its first #[group], #[topic] or #[presence], or of #[consumer(event = TheEvent)] above the struct and above the impl"
)]
pub trait Taken<Given> {
    fn take(given: &mut Given) -> &mut Self;
}

impl<T> Taken<T> for T {
    fn take(given: &mut T) -> &mut T {
        given
    }
}

/// Drops an event for which a stream has no method.
pub fn ignored<E: Event>(event: &Shared<E>) -> crate::Result<()> {
    ignore_event(event);
    Ok(())
}

/// Sends an event to the client as it is, unless it is of a type that `E` does not know.
pub async fn send_event<E: Event>(ctx: &Context<E>, event: Shared<E>) -> crate::Result<()> {
    match event.is_other() {
        true => Ok(()),
        false => Ok(ctx.send(Json(event)).await?),
    }
}

/// Sends an event over a stream as it is, unless it is of a type that `E` does not know.
///
/// An event of a topic has its position as its id.
pub async fn stream_event<E: Event>(stream: &Sse, event: Shared<E>) -> crate::Result<()> {
    if event.is_other() {
        return Ok(());
    }
    if event.topic_position().is_none() {
        return Ok(stream.send(Json(event)).await?);
    }
    let event = SseEvent::shared(&event, |event| {
        let id = event.topic_position().map(Position::to_string);
        Ok(SseEvent::json(event)?.id(id.unwrap_or_default()))
    })?;
    Ok(stream.send(event).await?)
}

/// The payload of an event whose variant holds no struct: an `#[on]` method for it takes no
/// `&Payload`.
#[derive(Debug)]
pub struct NoPayload;

/// The input of a consumer without methods for messages: every message is malformed.
#[derive(Debug)]
pub enum Nothing {}

impl FromMessage for Nothing {
    fn from_message(_: Message) -> crate::Result<Self> {
        let message = "this consumer accepts no messages";
        Err(Error::new(ErrorKind::Codec, message).into())
    }
}

/// Returns the rejection of a client whose session has no value of this name.
pub fn not_in_session(key: &str) -> Rejection {
    let sentence = format!("the session has no value {key:?}");
    Rejection::new(StatusCode::UNAUTHORIZED, sentence).by(Rule::User)
}

/// Returns the path parameter for a name in braces in a group name, if no field of the consumer has
/// that name.
pub fn placeholder<P: Protocol>(
    scope: &Scope<P>,
    consumer: &str,
    group: &str,
    name: &str,
    fields: &[&str],
) -> Result<String, Rejection> {
    if let Some(value) = scope.raw_param(name) {
        return Ok(value.to_owned());
    }
    let params: Vec<&str> = scope.params().map(|(name, _)| name).collect();
    let message = format!(
        "`{consumer}` joins {group:?}, but no field and no path parameter is called {name:?}: \
         route it by a seaway::PathRouter under a path with {{{name}}} (parameters that axum captures \
         are not seen), or fill a field {name}; its filled fields are {fields:?} and the path \
         parameters {params:?}"
    );
    Err(Rejection::from(Error::new(ErrorKind::Missing, message)))
}

/// What a type of a consumer needs in the scope, found without a bound: a field whose type is a
/// mistake needs nothing here, so the compiler reports it once, in the code that fills the field.
///
/// An inherent method takes precedence over that of [`NeedsNothing`] where its bounds hold.
#[derive(Debug)]
pub struct Needs<T>(PhantomData<fn() -> T>);

impl<T> Needs<T> {
    #[expect(clippy::new_without_default, reason = "only macros call it")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Clone + Send + Sync + 'static> Needs<T> {
    /// For a field with `#[state]`.
    pub fn state(&self) -> RequiredState {
        RequiredState::of::<T>()
    }
}

impl<T: FromScope<WebSocket>> Needs<T> {
    /// For an extractor.
    pub fn extractor(&self) -> RequiredState {
        T::required_state()
    }
}

impl<T: FromScope<Http>> Needs<T> {
    /// For an extractor of an HTTP consumer.
    pub fn http_extractor(&self) -> RequiredState {
        T::required_state()
    }
}

impl<T: FromHandshake> Needs<T> {
    /// For a consumer whose fields are filled by the derive macro.
    pub fn fields(&self) -> RequiredState {
        T::required_state()
    }
}

impl<T: FromHandshake<Http>> Needs<T> {
    /// For an HTTP consumer whose fields are filled by the derive macro.
    pub fn http_fields(&self) -> RequiredState {
        T::required_state()
    }
}

/// The methods of a [`Needs`] whose bounds do not hold.
pub trait NeedsNothing {
    fn state(&self) -> RequiredState {
        RequiredState::none()
    }
    fn extractor(&self) -> RequiredState {
        RequiredState::none()
    }
    fn http_extractor(&self) -> RequiredState {
        RequiredState::none()
    }
    fn fields(&self) -> RequiredState {
        RequiredState::none()
    }
    fn http_fields(&self) -> RequiredState {
        RequiredState::none()
    }
}

impl<T> NeedsNothing for Needs<T> {}

/// Compiles if `C` is a consumer.
pub const fn is_consumer<C: WebSocketConsumer>() {}

/// Compiles if `C` is an HTTP consumer.
pub const fn is_http_consumer<C: HttpConsumer>() {}

/// Compiles if every type of event is handled; otherwise the compile error names the others.
#[track_caller]
pub const fn all_handled<E: EventTypes>(handled: &[&str]) {
    let mut message = CompileError::new("no method for these events: ");
    let mut missing = 0;
    let mut at = 0;
    while at < E::TYPES.len() {
        let kind = E::TYPES[at];
        if !contains(handled, kind) {
            if missing > 0 {
                message.push(", ");
            }
            message.push("`");
            message.push(kind);
            message.push("`");
            missing += 1;
        }
        at += 1;
    }
    message.push(
        "; write an #[on(\"…\")] method for each, forward them, or write `event` for the rest",
    );
    if missing > 0 {
        panic!("{}", message.text());
    }
}

/// Compiles unless `E`, which an enum includes before `Next`, decodes events that are meant for
/// `Next`.
#[track_caller]
pub const fn is_included_before<E: Event, Next: Event>() {
    assert!(
        !E::DECODES.takes_from(Next::DECODES),
        "`#[serde(other)]` takes the events of the enums that are included after this one: include it last"
    );
    // Somebody who leaves has no meta by which to tell the types apart.
    assert!(
        !E::DECODES.are_presences(Next::DECODES),
        "an enum includes one `PresenceEvent`: make its meta an enum, and match on its `group`"
    );
}

/// A text built at compile time. Parts that do not fit are left out.
struct CompileError {
    bytes: [u8; 2048],
    len: usize,
}

impl CompileError {
    const fn new(text: &str) -> Self {
        let mut message = Self {
            bytes: [0; 2048],
            len: 0,
        };
        message.push(text);
        message
    }

    const fn push(&mut self, text: &str) {
        let text = text.as_bytes();
        if self.len + text.len() > self.bytes.len() {
            return;
        }
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.len] = text[at];
            self.len += 1;
            at += 1;
        }
    }

    const fn text(&self) -> &str {
        match std::str::from_utf8(self.bytes.split_at(self.len).0) {
            Ok(text) => text,
            Err(_) => "there are events without a method",
        }
    }
}

const fn contains(texts: &[&str], text: &str) -> bool {
    let mut at = 0;
    while at < texts.len() {
        if equal(texts[at].as_bytes(), text.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}
