//! The context of a blocking consumer.

use crate::{
    blocking::block_on,
    channels::{
        Event, Group, Includes, Leave, Meta, Position, Presence, PresenceEvent, Topic, TopicEvent,
    },
    codec::IntoMessage,
    consumer::{Context, NoEvent},
    error::Result,
    message::Close,
    name::IntoGroupName,
    protocol::Sent,
};
use std::{
    fmt,
    hash::Hash,
    ops::{Deref, DerefMut},
};

/// An accepted connection, for code that may block: send, close, join and leave groups.
///
/// The other methods are those of [`Context`].
///
/// ```
/// use seaway::{BlockingContext, Json, Result};
///
/// fn greet(ctx: &mut BlockingContext) -> Result<()> {
///     ctx.send("text")?;
///     ctx.send(Json(["any", "value"]))?;
///     Ok(ctx.close(1000)?)
/// }
/// ```
///
/// For any other future use [`block_on`]: `block_on(self.room.send(&event))?`.
pub struct BlockingContext<E = NoEvent>(pub(super) Context<E>);

impl<E: Event> BlockingContext<E> {
    /// Sends a message to the client.
    ///
    /// Blocks this thread while at least
    /// [`send_buffer`](crate::protocol::WebSocketConfig::send_buffer) bytes are queued for it. If the
    /// client makes no room within the time of
    /// [`SlowClient::Wait`](crate::protocol::SlowClient::Wait), the connection is closed with 1013,
    /// even if it reads a little: this thread may be one of a pool that all connections share.
    ///
    /// # Errors
    /// As [`Context::send`].
    pub fn send(&self, message: impl IntoMessage) -> Result<()> {
        let message = message.into_message()?;
        // The connection's task sleeps while this hook runs, and has to be woken.
        block_on(self.0.sender.queue_blocking(message))
    }

    /// Sends a message that may be dropped; see [`Context::send_volatile`].
    ///
    /// ```
    /// # fn example(ctx: &seaway::BlockingContext) -> seaway::Result<()> {
    /// ctx.send_volatile("7,12")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Context::send`].
    pub fn send_volatile(&self, message: impl IntoMessage) -> Result<Sent> {
        self.0.sender.send_volatile(message.into_message()?)
    }

    /// Sends a message that replaces a queued one with the same key; see [`Context::send_latest`].
    ///
    /// ```
    /// # fn example(ctx: &seaway::BlockingContext) -> seaway::Result<()> {
    /// ctx.send_latest("acme", "9.95")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Context::send`].
    pub fn send_latest(&self, key: impl Hash, message: impl IntoMessage) -> Result<Sent> {
        self.0.sender.send_latest(key, message.into_message()?)
    }

    /// Closes the connection after the messages that were sent before; then `disconnect` runs.
    ///
    /// # Errors
    /// As [`Context::close`].
    pub fn close(&self, close: impl Into<Close>) -> Result<()> {
        self.0.sender.close(close)
    }

    /// Adds this consumer to a group.
    ///
    /// The membership ends with the connection.
    ///
    /// # Errors
    /// As [`Context::join`].
    pub fn join(&self, group: impl IntoGroupName) -> Result<Group<E>> {
        block_on(self.0.join(group))
    }

    /// Adds this consumer to a group of events that `E` includes.
    ///
    /// ```
    /// use seaway::{BlockingContext, Event, Group, Result};
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
    /// fn watch(ctx: &BlockingContext<BidderEvent>) -> Result<Group<LotEvent>> {
    ///     Ok(ctx.join_as::<LotEvent>("lot.8")?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Context::join_as`].
    pub fn join_as<G: Event>(&self, group: impl IntoGroupName) -> Result<Group<G>>
    where
        E: Includes<G>,
    {
        block_on(self.0.join_as(group))
    }

    /// Makes this consumer present in a group.
    ///
    /// # Errors
    /// As [`Context::present`].
    pub fn present<M: Meta>(
        &self,
        group: impl IntoGroupName,
        key: impl ToString,
        meta: M,
    ) -> Result<Presence<M>>
    where
        E: Includes<PresenceEvent<M>>,
    {
        block_on(self.0.present(group, key, meta))
    }

    /// Changes the meta of this connection's person, for all of their connections.
    ///
    /// ```
    /// use seaway::{BlockingContext, Presence, PresenceEvent, Result};
    ///
    /// fn raise_hand(ctx: &BlockingContext<PresenceEvent<bool>>) -> Result<Presence<bool>> {
    ///     let here = ctx.present("lecture", "ana", false)?;
    ///     ctx.update(&here, true)?;
    ///     Ok(here)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Context::update`].
    pub fn update<M: Meta>(&self, presence: &Presence<M>, meta: M) -> Result<()> {
        block_on(self.0.update(presence, meta))
    }

    /// Resumes a topic: the consumer receives the events after a position, then live events.
    ///
    /// ```
    /// use seaway::{BlockingContext, Event, Result, Topic, TopicEvent};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Sold }
    ///
    /// fn watch(ctx: &BlockingContext<TopicEvent<LotEvent>>, lot: &Topic<LotEvent>) -> Result<()> {
    ///     Ok(ctx.resume(lot, None)?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Context::resume`].
    pub fn resume<G: Event>(&self, topic: &Topic<G>, since: Option<Position>) -> Result<()>
    where
        E: Includes<TopicEvent<G>>,
    {
        block_on(self.0.resume(topic, since))
    }

    /// Removes this consumer from a group, or ends its presence there, while the connection remains
    /// open.
    ///
    /// ```
    /// use seaway::{BlockingContext, Event, Group, Result};
    ///
    /// fn move_to<E: Event>(ctx: &BlockingContext<E>, from: &Group<E>, to: &str) -> Result<Group<E>> {
    ///     ctx.leave(from)?;
    ///     Ok(ctx.join(to)?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Context::leave`].
    pub fn leave(&self, from: &impl Leave) -> Result<()> {
        block_on(self.0.leave(from))
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

impl<E> fmt::Debug for BlockingContext<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingContext")
            .field("channel", &self.0.channel)
            .finish_non_exhaustive()
    }
}
