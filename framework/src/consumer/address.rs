//! Where a consumer hears its groups: opened when somebody joins, and left when it is dropped.

use crate::{
    channels::{Channels, Event, Group, Mailbox},
    error::Result,
};
use tokio::sync::OnceCell;

/// A consumer's mailbox, if it has one: most requests need none.
pub(super) struct Address {
    pub(super) channels: Channels,
    mailbox: OnceCell<Mailbox>,
}

impl Address {
    pub(super) fn new(channels: Channels) -> Self {
        Self {
            channels,
            mailbox: OnceCell::new(),
        }
    }

    pub(super) fn mailbox(&self) -> Option<&Mailbox> {
        self.mailbox.get()
    }

    /// Opens the mailbox, unless it is open.
    pub(super) async fn open(&self) -> Result<&Mailbox> {
        self.mailbox.get_or_try_init(|| self.channels.open()).await
    }

    pub(super) async fn join<E: Event>(&self, group: &str) -> Result<Group<E>> {
        let group = self.channels.group(group)?;
        group.add(self.open().await?.name()).await?;
        Ok(group)
    }

    pub(super) fn into_parts(self) -> (Channels, Option<Mailbox>) {
        (self.channels, self.mailbox.into_inner())
    }
}
