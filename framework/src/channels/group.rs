//! Everyone who joined under one name.

use super::{Channels, Envelope, Event};
use crate::{
    error::Result,
    name::{ChannelName, GroupName},
};
use std::{fmt, marker::PhantomData};

/// Everyone who joined under one name, and the kind of event they understand.
///
/// A cheap handle, like a path to a file: making one joins nothing.
///
/// ```
/// use seaway::{Group, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(tag = "type")]
/// enum Price {
///     #[serde(rename = "price.changed")]
///     Changed { cents: u64 },
/// }
///
/// async fn publish(prices: &Group<Price>) -> Result<()> {
///     prices.send(&Price::Changed { cents: 995 }).await
/// }
/// ```
pub struct Group<E> {
    name: GroupName,
    channels: Channels,
    event: PhantomData<fn(E)>,
}

impl<E: Event> Group<E> {
    pub(super) fn new(name: GroupName, channels: Channels) -> Self {
        Self {
            name,
            channels,
            event: PhantomData,
        }
    }

    /// The group's name.
    pub fn name(&self) -> &GroupName {
        &self.name
    }

    /// Tells every member, in every process; the sender too, if it is one.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the event has no `type`,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not take it.
    pub async fn send(&self, event: &E) -> Result<()> {
        let envelope = Envelope::encode(event)?;
        self.channels
            .group_send_envelope(&self.name, envelope)
            .await
    }

    pub(super) fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Makes a channel of this process a member. A consumer joins through its
    /// [handshake](crate::Handshake::join) or [context](crate::Context::join) instead.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not take it, or the channel is not of this process.
    pub async fn add(&self, channel: &ChannelName) -> Result<()> {
        self.channels.group_add(&self.name, channel).await
    }

    /// Ends a membership. Who leaves altogether needs no such call: dropping the mailbox does it.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not take it.
    pub async fn discard(&self, channel: &ChannelName) -> Result<()> {
        self.channels
            .layer()
            .group_discard(&self.name, channel)
            .await
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
