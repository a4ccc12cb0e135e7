//! A stream of a group's events, for code that is not a consumer.

use super::{Channels, Event, Mailbox, Missed, Shared};
use crate::{
    error::Result,
    name::{GroupName, IntoGroupName},
};
use futures_core::Stream;
use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The events of a group, for a background task or any other code that is not a consumer.
///
/// [`Channels::listen`] and [`Topic::listen`](super::Topic::listen) create one. It is a [`Stream`],
/// too, which never ends. Dropping it leaves the group.
///
/// ```
/// use seaway::{Event, channels::GroupEvents};
///
/// async fn forward<E: Event>(mut events: GroupEvents<E>, handle: impl Fn(&E)) {
///     loop {
///         match events.next().await {
///             Ok(event) => handle(&event),
///             Err(missed) => println!("of {}: {missed}", events.group()),
///         }
///     }
/// }
/// ```
///
/// An event that is not an `E` is skipped, [counted](GroupEvents::skipped) and logged, as in a
/// consumer. A notice of [missed](Missed) events is an item. A request to disconnect the members of
/// the group is ignored.
#[must_use = "dropping it leaves the group"]
pub struct GroupEvents<E> {
    mailbox: Mailbox,
    channels: Channels,
    group: GroupName,
    skipped: u64,
    event: PhantomData<fn() -> E>,
}

impl Channels {
    /// Joins a group, and returns its events from now on.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use seaway::{Channels, Event, Missed};
    ///
    /// #[derive(Event)]
    /// enum PriceEvent { Changed { cents: u64 } }
    ///
    /// let channels = Channels::in_memory();
    /// let mut prices = channels.listen::<PriceEvent>("price.acme").await?;
    /// # channels.group::<PriceEvent>("price.acme")?.send(&PriceEvent::Changed { cents: 995 }).await?;
    ///
    /// // In a task: loop { … }
    /// match prices.next().await {
    ///     Ok(event) => {
    ///         let PriceEvent::Changed { cents } = &*event;
    ///         assert_eq!(*cents, 995);
    ///     }
    ///     Err(Missed::Overflowed { events }) => println!("{events} events were dropped"),
    ///     Err(missed) => println!("read the prices again: {missed}"),
    /// }
    /// # seaway::Result::<()>::Ok(()) }).unwrap();
    /// ```
    ///
    /// Events wait in a [mailbox](super::MAILBOX_CAPACITY), like those of a consumer.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is not a valid group name,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not accept the membership.
    pub async fn listen<E: Event>(&self, group: impl IntoGroupName) -> Result<GroupEvents<E>> {
        let group = self.group::<E>(group)?;
        let mailbox = self.open().await?;
        group.add(mailbox.name()).await?;
        Ok(GroupEvents::new(
            mailbox,
            self.clone(),
            group.name().clone(),
        ))
    }
}

impl<E: Event> GroupEvents<E> {
    pub(super) fn new(mailbox: Mailbox, channels: Channels, group: GroupName) -> Self {
        Self {
            mailbox,
            channels,
            group,
            skipped: 0,
            event: PhantomData,
        }
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// [`Missed`] if events before the next one may be missing:
    /// [`Overflowed`](Missed::Overflowed), with their number, if they arrived faster than they were
    /// taken. The listener remains usable.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next(&mut self) -> Result<Shared<E>, Missed> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Returns the group.
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// Returns how many events were skipped because they could not be decoded as an `E`.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns how many events were dropped because they arrived faster than they were taken.
    pub fn dropped(&self) -> u64 {
        self.mailbox.dropped()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Shared<E>, Missed>> {
        loop {
            let envelope = match ready!(self.mailbox.poll_receive(cx)) {
                Ok(envelope) => envelope,
                Err(missed) => {
                    self.channels.count_missed(missed);
                    return Poll::Ready(Err(missed));
                }
            };
            if envelope.is_disconnect() {
                continue;
            }
            match self.channels.decode(envelope) {
                Some(event) => return Poll::Ready(Ok(event)),
                None => self.skipped += 1,
            }
        }
    }
}

impl<E: Event> Stream for GroupEvents<E> {
    type Item = Result<Shared<E>, Missed>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(cx).map(Some)
    }
}

impl<E> fmt::Debug for GroupEvents<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupEvents").field(&self.group).finish()
    }
}
