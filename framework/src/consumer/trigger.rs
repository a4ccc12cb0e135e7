//! The trigger of a hook that failed.

/// The trigger of a hook that returned an error: what the consumer was handling, for
/// [`failed`](crate::WebSocketConsumer::failed).
///
/// ```
/// use seaway::{Context, Error, Result, consumer::Trigger};
///
/// # struct Room;
/// # impl Room {
/// /// Keeps the connection open after a failed message, and reports the failure to the client.
/// async fn failed(&mut self, ctx: &mut Context, error: Error, trigger: Trigger) -> Result<()> {
///     match trigger {
///         Trigger::Message => Ok(ctx.send("that did not work; try again").await?),
///         _ => Err(error.into()),
///     }
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// The open connection: `opened` failed.
    Opened,
    /// A message from the client: `receive` or `malformed` failed, or the method of an
    /// `#[on_message]`.
    Message,
    /// An event: `event` failed, or the method of an `#[on]`.
    Event,
    /// Missed events: `missed` failed.
    Missed,
    /// A timer: `tick` failed, or the method of an `#[every]`.
    #[non_exhaustive]
    Timer {
        /// The name of the timer in [`TICK_NAMES`](crate::WebSocketConsumer::TICK_NAMES): with
        /// `#[every]` that of its method, by default "tick".
        name: &'static str,
        /// The index of the timer in [`TICKS`](crate::WebSocketConsumer::TICKS).
        index: usize,
    },
}

impl Trigger {
    pub(super) fn timer(names: &[&'static str], index: usize) -> Self {
        let name = names.get(index).copied().unwrap_or("tick");
        Self::Timer { name, index }
    }
}
