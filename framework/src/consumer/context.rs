//! The open conversation: send, close, join.

use super::{IntoMessage, NoEvent};
use crate::{
    channels::{Channels, Event, Group},
    error::Result,
    message::Close,
    name::ChannelName,
    protocol::{Sender, Speaker, WebSocket},
    refusal_log::{Outcome, Rule},
    scope::Scope,
};
use std::marker::PhantomData;

/// The open conversation: send, close, join.
///
/// ```
/// use seaway::{Context, Json, Result};
///
/// async fn greet(ctx: &mut Context) -> Result<()> {
///     ctx.send("text").await?;
///     ctx.send(vec![0u8, 1, 2]).await?;
///     ctx.send(Json(["any", "value"])).await?;
///     ctx.close(1000).await
/// }
/// ```
pub struct Context<E = NoEvent> {
    pub(super) scope: Scope<WebSocket>,
    pub(super) sender: Sender,
    pub(super) channels: Channels,
    pub(super) channel: ChannelName,
    pub(super) event: PhantomData<fn(E)>,
}

impl<E: Event> Context<E> {
    /// Sends to this consumer's client.
    ///
    /// What a handler sends leaves together once the handler rests. Waits while more than
    /// [`send_buffer`](crate::protocol::WebSocketConfig::send_buffer) bytes wait for a client that reads slowly; events for
    /// this consumer then queue up in its mailbox, whose bound says what happens next.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client is gone or the conversation is closing: return it
    /// (`?`), it is no fault. [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the message cannot be expressed.
    ///
    /// # Cancel safety
    /// Safe: the message is queued whole or not at all.
    pub async fn send(&self, message: impl IntoMessage) -> Result<()> {
        let message = message.into_message()?;
        self.sender.queue(message, Speaker::Handler).await
    }

    /// Logs that the client is closed out because its message is no `Input`. The message may hold secrets.
    pub(super) fn note_malformed(&self) {
        let answer = Outcome::Close(Close::INVALID);
        self.scope.peer().refused(Rule::Input, answer, None);
    }

    /// Ends the conversation after what was sent before; `disconnect` follows.
    ///
    /// Codes of your own are 4000 to 4999, with a reason of at most 123 bytes: `ctx.close(Close::new(4001, "kicked"))`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if it is over already,
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the code may not travel (RFC 6455, 7.4).
    pub async fn close(&self, close: impl Into<Close>) -> Result<()> {
        self.sender.close(close)
    }

    /// The right to speak to this client, for a task of your own.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Makes this consumer a member of the group. Leaving happens by itself when the conversation ends.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if it is no group name,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not take it.
    pub async fn join(&self, group: &str) -> Result<Group<E>> {
        let group = self.channels.group(group)?;
        group.add(&self.channel).await?;
        Ok(group)
    }

    /// Ends a membership while the conversation goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not take it.
    pub async fn leave(&self, group: &Group<E>) -> Result<()> {
        group.discard(&self.channel).await
    }

    /// The facts of the connection.
    pub fn scope(&self) -> &Scope<WebSocket> {
        &self.scope
    }

    /// The facts of the connection, to add to.
    pub fn scope_mut(&mut self) -> &mut Scope<WebSocket> {
        &mut self.scope
    }

    /// A value that [`Provide`](crate::middleware::Provide) or other middleware has put in.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if there is none of this type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.get()
    }

    /// This consumer's own channel: its address for everyone, in every process.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The channel layer.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The same conversation, for hooks on other threads. The facts of the connection go there.
    pub(super) fn lend(&mut self) -> Self {
        Self {
            scope: std::mem::replace(&mut self.scope, Scope::empty()),
            sender: self.sender.clone(),
            channels: self.channels.clone(),
            channel: self.channel.clone(),
            event: PhantomData,
        }
    }
}
