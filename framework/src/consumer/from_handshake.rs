//! The trait of values that are created from a handshake, which the derive macro implements.

use super::Handshake;
use crate::{
    channels::{Event, Group, Meta, Presence, PresenceEvent, Topic, TopicEvent},
    protocol::WebSocket,
    rejection::Rejection,
    required_state::RequiredState,
    scope::Protocol,
};
use std::future::Future;

/// A consumer, or a part of one, that is created from the handshake.
///
/// `#[derive(WebSocketConsumer)]` implements this, `#[derive(HttpConsumer)]` implements it for HTTP
/// (`FromHandshake<Http>`), and `#[consumer]` calls it in `connect`. By hand:
///
/// ```
/// use seaway::{FromHandshake, Handshake, NoEvent, Rejection};
///
/// struct Visitor { name: String }
///
/// impl FromHandshake for Visitor {
///     type Event = NoEvent;
///
///     async fn from_handshake(handshake: &mut Handshake) -> Result<Self, Rejection> {
///         Ok(Visitor { name: handshake.query("name")? })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no `connect` for a `{P}` connection",
    label = "write `async fn connect`, or put #[derive(WebSocketConsumer)] on `{Self}`, for an `Http` connection #[derive(HttpConsumer)]",
    note = "an HTTP consumer has #[derive(HttpConsumer)], and on its `impl` block #[consumer] with a `handle`, or #[consumer(sse)] or #[consumer(sse, forward)] without one"
)]
pub trait FromHandshake<P: Protocol = WebSocket>: Sized + Send {
    /// The type of events in its groups.
    type Event: Event;

    /// Creates the value.
    ///
    /// # Errors
    /// The rejection that is sent to the client.
    fn from_handshake(
        handshake: &mut Handshake<Self::Event, P>,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Returns the values that it needs in the scope, for
    /// [`WebSocketConsumer::required_state`](crate::WebSocketConsumer::required_state) (default:
    /// none).
    ///
    /// ```
    /// use seaway::RequiredState;
    /// # #[derive(Clone)] struct Database;
    ///
    /// fn required_state() -> RequiredState {
    ///     RequiredState::of::<Database>()
    /// }
    /// # required_state();
    /// ```
    fn required_state() -> RequiredState {
        RequiredState::none()
    }
}

/// A field that is a group, a presence or a topic, with its event type.
///
/// For the derive macro.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a field with #[group(\"…\")] must be a `Group<YourEvent>`, not `{Self}`"
)]
pub trait GroupField {
    type Event: Event;
}

impl<E: Event> GroupField for Group<E> {
    type Event = E;
}

impl<M: Meta> GroupField for Presence<M> {
    type Event = PresenceEvent<M>;
}

impl<E: Event> GroupField for Topic<E> {
    type Event = TopicEvent<E>;
}
