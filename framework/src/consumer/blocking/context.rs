//! The open conversation, for code that may block.

use crate::{
    blocking::block_on,
    channels::{Event, Group},
    consumer::{Context, IntoMessage, NoEvent},
    error::Result,
    message::Close,
    protocol::Speaker,
};
use std::ops::{Deref, DerefMut};

/// The open conversation, for code that may block: send, close, join. All else is [`Context`]'s.
///
/// ```
/// use seaway::{BlockingContext, Json, Result};
///
/// fn greet(ctx: &mut BlockingContext) -> Result<()> {
///     ctx.send("text")?;
///     ctx.send(Json(["any", "value"]))?;
///     ctx.close(1000)
/// }
/// ```
///
/// For another future there is [`block_on`]: `block_on(self.room.send(&event))?`.
pub struct BlockingContext<E = NoEvent>(pub(super) Context<E>);

impl<E: Event> BlockingContext<E> {
    /// Sends to this consumer's client. Blocks this thread while more bytes wait for the client than
    /// [`send_buffer`](crate::protocol::WebSocketConfig::send_buffer) allows.
    ///
    /// # Errors
    /// As [`Context::send`].
    pub fn send(&self, message: impl IntoMessage) -> Result<()> {
        let message = message.into_message()?;
        // The conversation's task sleeps while this hook runs: it has to be woken.
        block_on(self.0.sender.queue(message, Speaker::Anyone))
    }

    /// Ends the conversation after what was sent before; `disconnect` follows.
    ///
    /// # Errors
    /// As [`Context::close`].
    pub fn close(&self, close: impl Into<Close>) -> Result<()> {
        self.0.sender.close(close)
    }

    /// Makes this consumer a member of the group. Leaving happens by itself when the conversation ends.
    ///
    /// # Errors
    /// As [`Context::join`].
    pub fn join(&self, group: &str) -> Result<Group<E>> {
        block_on(self.0.join(group))
    }

    /// Ends a membership while the conversation goes on.
    ///
    /// # Errors
    /// As [`Context::leave`].
    pub fn leave(&self, group: &Group<E>) -> Result<()> {
        block_on(self.0.leave(group))
    }
}

impl<E> Deref for BlockingContext<E> {
    type Target = Context<E>;

    fn deref(&self) -> &Context<E> {
        &self.0
    }
}

impl<E> DerefMut for BlockingContext<E> {
    fn deref_mut(&mut self) -> &mut Context<E> {
        &mut self.0
    }
}
