//! The typed handle of a group.

use super::{Channels, Envelope, Event};
use crate::{
    error::Result,
    name::{ChannelName, GroupName, IntoGroupName, NamesGroup},
};
use std::{fmt, marker::PhantomData};

/// A group: the set of channels that have joined under one name, in all processes that share the
/// channel layer.
///
/// `E` is the type of its events. The value is a handle, cheap to clone: creating one does not join
/// the group.
///
/// ```
/// use seaway::{Event, Group, Result};
///
/// #[derive(Event)]
/// enum Price {
///     Changed { cents: u64 },
/// }
///
/// async fn publish(prices: &Group<Price>) -> Result<()> {
///     Ok(prices.send(&Price::Changed { cents: 995 }).await?)
/// }
/// ```
pub struct Group<E> {
    pub(super) name: GroupName,
    channels: Channels,
    event: PhantomData<fn(E)>,
}

impl Channels {
    /// Returns the group with this name.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is not a valid [group
    /// name](GroupName).
    pub fn group<E: Event>(&self, name: impl IntoGroupName) -> Result<Group<E>> {
        Ok(Group::new(name.into_group_name()?, self.clone()))
    }
}

impl<E: Event> Group<E> {
    fn new(name: GroupName, channels: Channels) -> Self {
        Self {
            name,
            channels,
            event: PhantomData,
        }
    }

    /// Returns the group's name.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// Sends an event to every member in every process, including the sender if it is a member.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the event has no `type`,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not accept it,
    /// [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed) if it is not known whether it did.
    pub async fn send(&self, event: &E) -> Result<()> {
        let envelope = Envelope::encode(event)?;
        self.channels
            .group_send_envelope(&self.name, envelope)
            .await
    }

    /// Sends an event to every member in every process except one.
    ///
    /// The excluded member is usually the sender itself, by the channel of its
    /// [context](crate::Context::channel).
    ///
    /// ```
    /// # use seaway::{Channels, Event};
    /// # #[derive(Event)] enum Chat { Typing { name: String } }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let channels = Channels::in_memory();
    /// let (mut ana, mut bo) = (channels.open().await?, channels.open().await?);
    /// let room = channels.group::<Chat>("room")?;
    /// room.add(ana.name()).await?;
    /// room.add(bo.name()).await?;
    ///
    /// room.send_except(&Chat::Typing { name: "ana".into() }, ana.name()).await?;
    ///
    /// assert!(bo.receive().await.is_ok());
    /// # assert!(tokio::time::timeout(std::time::Duration::ZERO, ana.receive()).await.is_err());
    /// # seaway::Result::<()>::Ok(()) }).unwrap();
    /// ```
    ///
    /// Consumers of Django Channels in the group always receive it: Django Channels ignores the
    /// excluded channel.
    ///
    /// # Errors
    /// Same as [`send`](Group::send).
    pub async fn send_except(&self, event: &E, channel: &ChannelName) -> Result<()> {
        let envelope = Envelope::encode(event)?.except(channel);
        self.channels()
            .group_send_envelope(self.name(), envelope)
            .await
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Adds a channel of this process to the group.
    ///
    /// A consumer joins through its [handshake](crate::Handshake::join) or
    /// [context](crate::Context::join) instead.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not accept it, or if the
    /// channel is not of this process.
    pub async fn add(&self, channel: &ChannelName) -> Result<()> {
        self.channels.group_add(&self.name, channel).await
    }

    /// Removes a channel from the group.
    ///
    /// Dropping the mailbox leaves all groups without this call.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use seaway::{Channels, NoEvent};
    ///
    /// let channels = Channels::in_memory();
    /// let (room, mailbox) = (channels.group::<NoEvent>("room")?, channels.open().await?);
    /// room.add(mailbox.name()).await?;
    /// room.discard(mailbox.name()).await?;
    /// # Ok::<(), seaway::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not accept it.
    pub async fn discard(&self, channel: &ChannelName) -> Result<()> {
        self.channels
            .layer()
            .group_discard(&self.name, channel)
            .await
    }
}

impl<E> IntoGroupName for &Group<E> {}
impl<E> NamesGroup for &Group<E> {
    fn into_group_name(self) -> Result<GroupName> {
        Ok(self.name.clone())
    }
}

impl<E> Clone for Group<E> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            channels: self.channels.clone(),
            event: PhantomData,
        }
    }
}

impl<E> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Group").field(&self.name).finish()
    }
}
