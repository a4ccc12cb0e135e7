//! Values filled from a handshake: what the derive macro writes.

use super::Handshake;
use crate::{
    channels::{Event, Group},
    rejection::Rejection,
};
use std::future::Future;

/// A consumer, or a part of one, that is filled from the handshake.
///
/// `#[derive(WebSocketConsumer)]` writes this, and `#[consumer]` calls it from `connect`. By hand:
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
    message = "`{Self}` has no `connect`",
    label = "write `async fn connect`, or put #[derive(WebSocketConsumer)] on `{Self}`"
)]
pub trait FromHandshake: Sized + Send {
    /// What its groups tell it.
    type Event: Event;

    /// Fills it.
    ///
    /// # Errors
    /// The answer that the client gets instead.
    fn from_handshake(
        handshake: &mut Handshake<Self::Event>,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;
}

/// A field that is a group, and what is told there. For the derive macro.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a field with #[group(\"…\")] is a `Group<YourEvent>`, and `{Self}` is none"
)]
pub trait GroupField {
    type Event: Event;
}

impl<E: Event> GroupField for Group<E> {
    type Event = E;
}
