//! The handle to a presence.

use super::{
    Channels, LocalPresence, Meta, Present,
    local_presence::{LARGEST_META, LONGEST_KEY, check_meta},
    messagepack,
};
use crate::{
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName, IntoGroupName, NamesGroup},
};
use bytes::Bytes;
use std::{fmt, future::Future, marker::PhantomData, pin::Pin};

/// A presence: who is connected to a group, in all processes that share the channel layer.
///
/// `M` is what is known of each person besides their key. The value is a handle, cheap to clone. A
/// consumer gets it from [`Handshake::present`](crate::Handshake::present) or
/// [`Context::present`](crate::Context::present), other code from [`Channels::presence`].
///
/// ```
/// use seaway::{Presence, Result};
///
/// async fn crowd(lot: &Presence<String>) -> Result<String> {
///     let count = lot.count().await?;
///     let people = lot.list().await?;
///     let names: Vec<_> = people.into_iter().map(|person| person.meta).collect();
///     Ok(format!("{} on {} devices: {}", count.people, count.connections, names.join(", ")))
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let channels = seaway::Channels::in_memory();
/// assert_eq!(crowd(&channels.presence("lot.7")?).await?, "0 on 0 devices: ");
/// # Result::<()>::Ok(()) }).unwrap();
/// ```
pub struct Presence<M> {
    group: GroupName,
    channels: Channels,
    /// The connection that is present, if the handle is that of one.
    channel: Option<ChannelName>,
    meta: PhantomData<fn(M)>,
}

/// The numbers of people and connections in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceCount {
    /// The number of people, those in their grace time included.
    pub people: u64,
    /// The number of their open connections.
    pub connections: u64,
}

impl Channels {
    /// Returns the presence of the group with this name.
    ///
    /// To be present in a group and to be a member of it are independent: a consumer may be either,
    /// or both.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the name is not a valid group name.
    pub fn presence<M: Meta>(&self, group: impl IntoGroupName) -> Result<Presence<M>> {
        Ok(Presence {
            group: group.into_group_name()?,
            channels: self.clone(),
            channel: None,
            meta: PhantomData,
        })
    }

    fn local_presence(&self) -> Result<&LocalPresence> {
        self.layer().presence().ok_or_else(|| {
            let message = "this channel layer has no presence: hold a `LocalPresence` in it, and return that in `ChannelLayer::presence`";
            Error::new(ErrorKind::Layer, message)
        })
    }

    /// Returns a connection of this process that is to be present, once it [enters](Entry::enter).
    pub(crate) fn entry<M: Meta>(
        &self,
        group: impl IntoGroupName,
        channel: &ChannelName,
        key: String,
        meta: &M,
    ) -> Result<(PresenceEntry, Presence<M>)> {
        let mut presence = self.presence(group)?;
        if key.len() > LONGEST_KEY {
            let message = format!(
                "a presence key of {} bytes exceeds the limit of {LONGEST_KEY}: use the id of a user",
                key.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.local_presence()?;
        let entry = PresenceEntry {
            group: presence.group.clone(),
            key,
            meta: encode(meta)?,
        };
        presence.channel = Some(channel.clone());
        Ok((entry, presence))
    }

    /// Makes a connection of this process present.
    pub(crate) async fn present<M: Meta>(
        &self,
        group: impl IntoGroupName,
        channel: &ChannelName,
        key: String,
        meta: &M,
    ) -> Result<Presence<M>> {
        let (entry, presence) = self.entry(group, channel, key, meta)?;
        entry.enter(self, channel).await?;
        Ok(presence)
    }

    /// Returns a future that completes once it is stored that a connection has ended, if it was
    /// present somewhere.
    pub(crate) fn departure(&self, channel: &ChannelName) -> Departure {
        let departure = self.layer().presence()?.hub().departure(channel)?;
        Some(Box::pin(departure))
    }
}

/// A presence that a connection is to have: the group, the key and the meta.
pub(crate) struct PresenceEntry {
    group: GroupName,
    key: String,
    meta: Bytes,
}

impl PresenceEntry {
    /// Makes a connection of this process present.
    pub(crate) async fn enter(self, channels: &Channels, channel: &ChannelName) -> Result<()> {
        let hub = channels.local_presence()?.hub();
        hub.enter(&self.group, channel, &self.key, self.meta).await
    }
}

/// What the end of a connection waits for.
pub(crate) type Departure = Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl<M: Meta> Presence<M> {
    /// Returns the name of the group.
    pub fn name(&self) -> &GroupName {
        &self.group
    }

    /// Returns everyone who is present, in any order.
    ///
    /// People whose meta cannot be decoded as `M` are left out, counted
    /// ([`undecodable`](Channels::undecodable)) and logged, as while a release that changes its type
    /// is being deployed.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the layer has no presence or does not respond in time.
    pub async fn list(&self) -> Result<Vec<Present<M>>> {
        let people = self
            .channels
            .local_presence()?
            .hub()
            .list(&self.group)
            .await?;
        let (mut left_out, mut first_error) = (0, None);
        let people = people.into_iter().filter_map(|(key, count, meta)| {
            let decoded = decode(&meta).map_err(|error| {
                left_out += 1;
                first_error.get_or_insert(error);
            });
            Some(Present {
                key: key.to_string(),
                count,
                meta: decoded.ok()?,
            })
        });
        let people = people.collect();
        if let Some(error) = first_error {
            self.channels.count_left_out(&self.group, left_out, &error);
        }
        Ok(people)
    }

    /// Returns how many are present, at a cost that does not depend on their number.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the layer has no presence or does not respond in time.
    pub async fn count(&self) -> Result<PresenceCount> {
        let totals = self
            .channels
            .local_presence()?
            .hub()
            .totals(&self.group)
            .await?;
        Ok(PresenceCount {
            people: totals.people,
            connections: totals.connections,
        })
    }

    /// Changes the meta of this connection's person, for all of their connections.
    ///
    /// ```
    /// use seaway::{Presence, Result};
    ///
    /// async fn raise_hand(here: &Presence<bool>) -> Result<()> {
    ///     Ok(here.update(true).await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::User`] if this is not the handle of a connection that is present,
    /// [`ErrorKind::Layer`] if it is not stored yet: it will be once the channel layer is available,
    /// unless it is replaced; [`ErrorKind::Codec`] or [`ErrorKind::TooLarge`] if the meta cannot be
    /// encoded or has more than 16 KiB.
    pub async fn update(&self, meta: M) -> Result<()> {
        match &self.channel {
            Some(channel) => self.update_of(channel, &meta).await,
            None => {
                let message = format!(
                    "cannot update the presence in {}: this handle is not that of a connection; use the one that `present` has returned",
                    self.group
                );
                Err(Error::new(ErrorKind::User, message))
            }
        }
    }

    pub(crate) async fn update_of(&self, channel: &ChannelName, meta: &M) -> Result<()> {
        let hub = self.channels.local_presence()?.hub();
        hub.update(&self.group, channel, encode(meta)?).await
    }

    /// Ends the presence of a connection.
    pub(crate) fn end(&self, channel: &ChannelName) -> Result<()> {
        self.channels
            .local_presence()?
            .hub()
            .leave(&self.group, channel);
        Ok(())
    }
}

fn encode<M: Meta>(meta: &M) -> Result<Bytes> {
    let name = std::any::type_name::<M>;
    let bytes = rmp_serde::to_vec_named(meta).map_err(|source| {
        let message = format!("cannot encode a {} as the meta of a presence", name());
        Error::new(ErrorKind::Codec, message).with_source(source)
    })?;
    if bytes.len() > LARGEST_META {
        let message = format!(
            "a presence meta of {} bytes exceeds the limit of {LARGEST_META}: store an id in it, and the rest elsewhere",
            bytes.len()
        );
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    // Every receiver runs the same check.
    check_meta(&bytes).map_err(|mistake| {
        let message = format!(
            "cannot encode a {} as the meta of a presence: {mistake}",
            name()
        );
        Error::new(ErrorKind::Codec, message)
    })?;
    Ok(bytes.into())
}

fn decode<M: Meta>(bytes: &[u8]) -> Result<M> {
    messagepack::decode(bytes).map_err(|source| {
        let name = std::any::type_name::<M>();
        let message = format!("cannot decode the meta of a presence as {name}");
        Error::new(ErrorKind::Codec, message).with_source(source)
    })
}

impl<M> IntoGroupName for &Presence<M> {}
impl<M> NamesGroup for &Presence<M> {
    fn into_group_name(self) -> Result<GroupName> {
        Ok(self.group.clone())
    }
}

impl<M> Clone for Presence<M> {
    fn clone(&self) -> Self {
        Self {
            group: self.group.clone(),
            channels: self.channels.clone(),
            channel: self.channel.clone(),
            meta: PhantomData,
        }
    }
}

impl<M> fmt::Debug for Presence<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presence").field(&self.group).finish()
    }
}
