//! A WebSocket consumer at each stage of its connection, as the driver runs it.

use super::{Context, Handshake, Timer, Trigger, disconnect_guard::Disconnects};
use crate::{
    channels::{Event, Missed, Shared},
    error::{Error, Result},
    message::{Close, Message},
    rejection::Rejection,
};
use std::future::Future;

/// The start of a connection: of an async consumer, whose hooks run on the connection's task, or of
/// a blocking one, whose hooks run on a thread of a pool.
///
/// Its `disconnect` is for a `connect` that is no longer awaited but continues: it disconnects the
/// consumer that `connect` returns then.
pub(super) trait Connect: Disconnects<End = Close> {
    type Event: Event;

    type Connected: Connected<Event = Self::Event>;

    /// Runs `connect`. Returns the consumer, and its handshake.
    fn connect(
        &mut self,
        handshake: Handshake<Self::Event>,
    ) -> impl Future<Output = Result<(Self::Connected, Handshake<Self::Event>), Rejection>> + Send;

    /// Returns what to log if `connect` has exceeded its timeout.
    fn too_slow(&self) -> &'static str {
        TOO_SLOW
    }
}

pub(super) const TOO_SLOW: &str = "a consumer's `connect` took longer than `connect_timeout`; find the slow call in it, or raise the timeout";

/// A consumer that has connected, and whose handshake is not accepted yet.
pub(super) trait Connected: Disconnects<End = Close> {
    type Event: Event;

    type Hooks: Hooks<Event = Self::Event>;

    /// Returns the hooks of the accepted connection.
    fn open(self, ctx: Context<Self::Event>) -> Self::Hooks;
}

/// The hooks of a consumer with an open connection.
///
/// The driver runs one at a time: `opened` once, then the others in any order. Once the future of a
/// hook was dropped, only `disconnect` follows.
pub(super) trait Hooks: Disconnects<End = Close> {
    type Event: Event;

    /// The timers that run `timer`.
    const TIMERS: &'static [Timer];

    fn opened(&mut self) -> impl Future<Output = crate::Result<()>> + Send;

    /// Decodes a message, and runs `receive` or `malformed`.
    fn receive(&mut self, message: Message) -> impl Future<Output = crate::Result<()>> + Send;

    fn event(
        &mut self,
        event: Shared<Self::Event>,
    ) -> impl Future<Output = crate::Result<()>> + Send;

    fn missed(&mut self, missed: Missed) -> impl Future<Output = crate::Result<()>> + Send;

    fn failed(
        &mut self,
        error: Error,
        trigger: Trigger,
    ) -> impl Future<Output = crate::Result<()>> + Send;

    fn timer(&mut self, timer: &'static Timer) -> impl Future<Output = crate::Result<()>> + Send;
}
