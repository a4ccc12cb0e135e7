//! The handshake of a blocking consumer.

use crate::{
    blocking::block_on,
    channels::{
        Event, Group, Includes, Meta, Position, Presence, PresenceEvent, Topic, TopicEvent,
    },
    consumer::{Handshake, NoEvent},
    error::Result,
    extract::FromScope,
    name::IntoGroupName,
    protocol::WebSocket,
    rejection::Rejection,
};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// A connection before it is accepted, for code that may block: join groups, extract values.
///
/// The other methods are those of [`Handshake`].
///
/// ```
/// use seaway::{BlockingHandshake, Cookies, Rejection};
///
/// fn connect(handshake: &mut BlockingHandshake) -> Result<(), Rejection> {
///     let room: String = handshake.param("room")?;
///     let cookies: Cookies = handshake.extract()?;
///     handshake.join(format!("chat.{room}"))?;
///     Ok(())
/// }
/// ```
pub struct BlockingHandshake<E = NoEvent>(pub(super) Handshake<E>);

impl<E: Event> BlockingHandshake<E> {
    /// Adds this consumer to a group, whose events arrive once the handshake is accepted.
    ///
    /// The membership ends with the connection.
    ///
    /// # Errors
    /// As [`Handshake::join`].
    pub fn join(&self, group: impl IntoGroupName) -> Result<Group<E>> {
        block_on(self.0.join(group))
    }

    /// Adds this consumer to a group of events that `E` includes.
    ///
    /// ```
    /// use seaway::{BlockingHandshake, Event, Group, Result};
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
    /// fn watch(handshake: &mut BlockingHandshake<BidderEvent>) -> Result<Group<LotEvent>> {
    ///     Ok(handshake.join_as::<LotEvent>("lot.8")?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Handshake::join_as`].
    pub fn join_as<G: Event>(&self, group: impl IntoGroupName) -> Result<Group<G>>
    where
        E: Includes<G>,
    {
        block_on(self.0.join_as(group))
    }

    /// Makes this consumer present in a group, once `connect` has succeeded.
    ///
    /// ```
    /// use seaway::{BlockingHandshake, PresenceEvent, Rejection};
    ///
    /// fn connect(handshake: &mut BlockingHandshake<PresenceEvent<()>>) -> Result<(), Rejection> {
    ///     let user: u64 = handshake.query("user")?;
    ///     handshake.present("lobby", user, ())?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Handshake::present`].
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

    /// Resumes a topic: the consumer receives the events after a position, then live events.
    ///
    /// ```
    /// use seaway::{BlockingHandshake, Event, Rejection, Result, Topic, TopicEvent};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Sold }
    ///
    /// fn watch(handshake: &mut BlockingHandshake<TopicEvent<LotEvent>>) -> Result<Topic<LotEvent>, Rejection> {
    ///     let lot = handshake.channels().topic("lot.8")?;
    ///     let since = handshake.since(&lot)?;
    ///     handshake.resume(&lot, since)?;
    ///     Ok(lot)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Handshake::resume`].
    pub fn resume<G: Event>(&self, topic: &Topic<G>, since: Option<Position>) -> Result<()>
    where
        E: Includes<TopicEvent<G>>,
    {
        block_on(self.0.resume(topic, since))
    }

    /// Extracts a value from the scope: the session, the user, cookies, your own type.
    ///
    /// # Errors
    /// The rejection of the extractor `T`.
    pub fn extract<T: FromScope<WebSocket>>(&self) -> Result<T, Rejection> {
        block_on(self.0.extract())
    }
}

impl<E> Deref for BlockingHandshake<E> {
    type Target = Handshake<E>;

    fn deref(&self) -> &Handshake<E> {
        &self.0
    }
}

impl<E> DerefMut for BlockingHandshake<E> {
    fn deref_mut(&mut self) -> &mut Handshake<E> {
        &mut self.0
    }
}

impl<E> fmt::Debug for BlockingHandshake<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingHandshake")
            .field("path", &self.0.scope.head.uri.path())
            .finish_non_exhaustive()
    }
}
