//! What a consumer can leave.

use super::{Event, Group, Meta, Presence};
use crate::{error::Result, name::ChannelName};

/// A [`Group`] or a [`Presence`], which a consumer can [leave](crate::Context::leave).
///
/// ```
/// use seaway::{Context, Event, Group, Result};
///
/// async fn move_to<E: Event>(ctx: &Context<E>, from: &Group<E>, to: &str) -> Result<Group<E>> {
///     ctx.leave(from).await?;
///     Ok(ctx.join(to).await?)
/// }
/// ```
pub trait Leave: Sealed + Sync {}

impl<E: Event> Leave for Group<E> {}

impl<M: Meta> Leave for Presence<M> {}

pub trait Sealed {
    /// Ends the membership or presence of a channel.
    fn leave(&self, channel: &ChannelName) -> impl Future<Output = Result<()>> + Send;
}

impl<E: Event> Sealed for Group<E> {
    fn leave(&self, channel: &ChannelName) -> impl Future<Output = Result<()>> + Send {
        self.discard(channel)
    }
}

impl<M: Meta> Sealed for Presence<M> {
    async fn leave(&self, channel: &ChannelName) -> Result<()> {
        self.end(channel)
    }
}
