//! The hooks of one connection, as the driver runs them.

use super::{Context, Handshake, Trigger, disconnect_guard::DisconnectHook};
use crate::{
    channels::{Event, Missed, Shared},
    error::{Error, Result},
    message::{Close, Message},
    rejection::Rejection,
};
use std::{future::Future, time::Duration};

/// The hooks of one connection: of an async consumer, which run on the connection's task, or of a
/// blocking one, which run on a thread of a pool.
///
/// The driver runs one at a time: `connect` once; if it accepts, `set_context` and `opened` once;
/// then the others in any order. `disconnect` comes last, whether there is a consumer or not. Once
/// the future of a hook was dropped, only `disconnect` follows.
pub(super) trait Hooks: Sized + Send + 'static {
    type Event: Event;

    /// The periods of the timers that run `tick`.
    const TICKS: &'static [Duration];

    /// The names of these timers.
    const TICK_NAMES: &'static [&'static str];

    /// Runs `connect`, keeps the consumer that it returns, and returns the handshake.
    fn connect(
        &mut self,
        handshake: Handshake<Self::Event>,
    ) -> impl Future<Output = Result<Handshake<Self::Event>, Rejection>> + Send;

    /// Sets the context for the hooks that follow, once the handshake is accepted.
    fn set_context(&mut self, ctx: Context<Self::Event>);

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

    fn tick(&mut self, tick: usize) -> impl Future<Output = crate::Result<()>> + Send;

    /// Drops the context, and returns the consumer's `disconnect`, if there is a consumer.
    fn disconnect(self, close: Close) -> DisconnectHook;
}
