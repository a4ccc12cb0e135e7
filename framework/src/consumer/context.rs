//! The context of a WebSocket consumer: an accepted connection.

use super::{NoEvent, defaults::logged_reason, open_scope::OpenScope};
use crate::{
    channels::{
        Channels, Event, Group, Includes, Leave, Meta, Position, Presence, PresenceEvent, Topic,
        TopicEvent,
    },
    codec::IntoMessage,
    error::{Error, Result},
    message::Close,
    name::{ChannelName, IntoGroupName},
    protocol::{Importance, SendSource, Sender, Sent, WebSocket},
    rejection_log::{Rejected, Rule},
    scope::Scope,
};
use std::{fmt, hash::Hash, marker::PhantomData};

/// An accepted connection: send, close, join and leave groups.
///
/// ```
/// use seaway::{Context, Json, Result};
///
/// async fn greet(ctx: &mut Context) -> Result<()> {
///     ctx.send("text").await?;
///     ctx.send(vec![0u8, 1, 2]).await?;
///     ctx.send(Json(["any", "value"])).await?;
///     Ok(ctx.close(1000)?)
/// }
/// ```
pub struct Context<E = NoEvent> {
    pub(super) scope: OpenScope,
    pub(super) sender: Sender,
    pub(super) channels: Channels,
    pub(super) channel: ChannelName,
    pub(super) event: PhantomData<fn(E)>,
}

impl<E: Event> Context<E> {
    /// Sends a message to the client.
    ///
    /// Messages that a hook sends are written together once the hook waits or returns. Waits while
    /// at least [`send_buffer`](crate::protocol::WebSocketConfig::send_buffer) bytes are queued for
    /// a client that reads slowly; events for this consumer then queue in its mailbox, up to [its
    /// bound](crate::channels::MAILBOX_CAPACITY).
    ///
    /// With [`SlowClient::DropOldest`](crate::protocol::SlowClient::DropOldest) and `DropNewest` it
    /// does not wait, and a drop is not an error: `send` returns `Ok`, and
    /// [`Sender::dropped`] counts the message. [`send_volatile`](Context::send_volatile)
    /// and [`send_latest`](Context::send_latest) return what happened to theirs.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has left or the connection is
    /// closing: return it (`?`), it is not logged. [`ErrorKind::Codec`](crate::ErrorKind::Codec) if
    /// the message cannot be encoded.
    ///
    /// # Cancel safety
    /// Safe: the message is queued whole or not at all.
    pub async fn send(&self, message: impl IntoMessage) -> Result<()> {
        let message = message.into_message()?;
        self.sender.queue(message, SendSource::Handler).await
    }

    /// Logs that the connection is closed because a message is not an `Input`, with the reason. The
    /// message itself is not logged: it may hold secrets, which serde quotes.
    pub(super) fn log_malformed(&self, error: &Error) {
        let outcome = Rejected::Close(Close::INVALID);
        let reason = logged_reason(error);
        self.scope
            .peer()
            .log_rejection(Rule::Input, outcome, reason.as_deref());
    }

    /// Sends a message that may be dropped if the client reads slowly, such as the position of a
    /// pointer.
    ///
    /// ```
    /// # fn example(ctx: &seaway::Context) -> seaway::Result<()> {
    /// ctx.send_volatile("7,12")?;
    /// # Ok(()) }
    /// ```
    ///
    /// It never waits; a full queue drops it, or drops it later for the sake of any other message.
    ///
    /// # Errors
    /// As [`send`](Context::send).
    pub fn send_volatile(&self, message: impl IntoMessage) -> Result<Sent> {
        let message = message.into_message()?;
        self.sender
            .try_queue(message, Importance::Volatile, SendSource::Handler)
    }

    /// Sends a message that replaces a queued one with the same key, such as a price or a score.
    ///
    /// ```
    /// # fn example(ctx: &seaway::Context) -> seaway::Result<()> {
    /// ctx.send_latest("acme", "9.95")?;
    /// # Ok(()) }
    /// ```
    ///
    /// It takes the place of an older one of the same key that is still queued. It never waits; a
    /// full queue without such a message drops it, unless the policy makes room.
    ///
    /// # Errors
    /// As [`send`](Context::send).
    pub fn send_latest(&self, key: impl Hash, message: impl IntoMessage) -> Result<Sent> {
        let message = message.into_message()?;
        self.sender
            .try_queue(message, Importance::latest(key), SendSource::Handler)
    }

    /// Closes the connection after the messages that were sent before; then `disconnect` runs.
    ///
    /// It queues the close frame and does not wait: the closing handshake runs once the hook has
    /// returned.
    ///
    /// Your own codes are 4000 to 4999, with a reason of at most 123 bytes:
    /// `ctx.close(Close::new(4001, "kicked"))`.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the connection is already closing or
    /// closed, [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the code may not be sent (RFC 6455,
    /// 7.4).
    pub fn close(&self, close: impl Into<Close>) -> Result<()> {
        self.sender.close(close)
    }

    /// Returns a sender to this client, for a task that you spawn.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Adds this consumer to a group.
    ///
    /// The membership ends with the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if `group` is not a valid group name,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not accept it.
    pub async fn join(&self, group: impl IntoGroupName) -> Result<Group<E>> {
        let group = self.channels.group(group)?;
        group.add(&self.channel).await?;
        Ok(group)
    }

    /// Adds this consumer to a group of events that `E` [includes](crate::Includes): for consumers
    /// that receive the events of groups with different event types.
    ///
    /// ```
    /// use seaway::{Context, Event, Group, Result};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Sold }
    ///
    /// #[derive(Event)]
    /// enum BidderEvent {
    ///     #[event(include)]
    ///     Lot(LotEvent),
    /// }
    ///
    /// async fn watch(ctx: &Context<BidderEvent>) -> Result<Group<LotEvent>> {
    ///     Ok(ctx.join_as::<LotEvent>("lot.8").await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`join`](Context::join).
    pub async fn join_as<G: Event>(&self, group: impl IntoGroupName) -> Result<Group<G>>
    where
        E: Includes<G>,
    {
        let group = self.channels.group(group)?;
        group.add(&self.channel).await?;
        Ok(group)
    }

    /// Makes this consumer present in a group; see
    /// [`Handshake::present`](crate::Handshake::present).
    ///
    /// If it is present there already, it changes to this key and meta, and receives the whole list
    /// again: so it catches up if it has [missed](crate::Missed) events.
    ///
    /// # Errors
    /// As [`Handshake::present`](crate::Handshake::present).
    ///
    /// # Cancel safety
    /// Safe: the consumer is present or not.
    pub async fn present<M: Meta>(
        &self,
        group: impl IntoGroupName,
        key: impl ToString,
        meta: M,
    ) -> Result<Presence<M>>
    where
        E: Includes<PresenceEvent<M>>,
    {
        let key = key.to_string();
        let present = self.channels.present(group, &self.channel, key, &meta);
        present.await
    }

    /// Changes the meta of this connection's person, for all of their connections.
    ///
    /// # Errors
    /// As [`Presence::update`].
    pub async fn update<M: Meta>(&self, presence: &Presence<M>, meta: M) -> Result<()> {
        presence.update_of(&self.channel, &meta).await
    }

    /// Resumes a topic, as [`Handshake::resume`](crate::Handshake::resume) does: the consumer
    /// receives the events after a position, then live events.
    ///
    /// ```
    /// use seaway::{Context, Event, Result, Topic, TopicEvent};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Placed { cents: u64 } }
    ///
    /// async fn watch(ctx: &mut Context<TopicEvent<LotEvent>>, number: u32) -> Result<Topic<LotEvent>> {
    ///     let lot = ctx.channels().topic(format!("lot.{number}"))?;
    ///     ctx.resume(&lot, None).await?;
    ///     Ok(lot)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not accept the
    /// membership, or cannot read the history.
    pub async fn resume<G: Event>(&self, topic: &Topic<G>, since: Option<Position>) -> Result<()>
    where
        E: Includes<TopicEvent<G>>,
    {
        topic.resume(&self.channel, since).await
    }

    /// Removes this consumer from a group, or ends its presence there, while the connection remains
    /// open.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the channel layer did not accept it.
    pub async fn leave(&self, from: &impl Leave) -> Result<()> {
        from.leave(&self.channel).await
    }

    /// Returns the scope: the metadata of the connection.
    ///
    /// The headers of the handshake itself, such as `Sec-WebSocket-Key`, and `Accept-Encoding`,
    /// `Cache-Control` and `Pragma` are no longer in it: read those in
    /// [`connect`](super::WebSocketConsumer::connect).
    ///
    /// An open connection keeps its headers packed. The first call unpacks them, after which they
    /// take 100 bytes each; [`state`](Context::state) does not.
    pub fn scope(&self) -> &Scope<WebSocket> {
        self.scope.whole()
    }

    /// Returns a mutable reference to the scope.
    pub fn scope_mut(&mut self) -> &mut Scope<WebSocket> {
        self.scope.whole_mut()
    }

    /// Returns a value that [`Provide`](crate::middleware::Provide) or other middleware has added.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if there is none of this type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.state()
    }

    /// Returns the name of this consumer's own channel, its address in every process.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Returns the handle to the channel layer.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }
}

impl<E> fmt::Debug for Context<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
