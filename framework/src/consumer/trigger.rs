//! The trigger of a hook that failed.

use std::fmt;

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
///         Trigger::Message { .. } => Ok(ctx.send("that did not work; try again").await?),
///         _ => Err(error.into()),
///     }
/// }
/// # }
/// ```
///
/// `{trigger}` prints it as the log does: `message "bid"`, `timer "remind"`, `opened`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// The open connection: `opened` failed.
    Opened,
    /// A message from the client: `receive` or `malformed` failed, or the method of an
    /// `#[on_message]`.
    #[non_exhaustive]
    Message {
        /// The `type` of the message, if the method of an `#[on_message]` failed.
        name: Option<&'static str>,
    },
    /// An event: `event` failed, or the method of an `#[on]`.
    #[non_exhaustive]
    Event {
        /// The `type` of the event, if the method of an `#[on]` failed, or a `forward` that names
        /// it.
        name: Option<&'static str>,
    },
    /// Missed events: `missed` failed.
    Missed,
    /// A timer: `timer` failed, or the method of an `#[every]`.
    #[non_exhaustive]
    Timer {
        /// The name of the [`Timer`](crate::Timer): with `#[every]` that of the method.
        name: &'static str,
    },
}

impl Trigger {
    /// Adds the `type` of the message or event.
    pub(super) fn with_name(self, name: Option<&'static str>) -> Self {
        match self {
            Self::Message { .. } => Self::Message { name },
            Self::Event { .. } => Self::Event { name },
            other => other,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name) = match *self {
            Self::Opened => ("opened", None),
            Self::Message { name } => ("message", name),
            Self::Event { name } => ("event", name),
            Self::Missed => ("missed", None),
            Self::Timer { name } => ("timer", Some(name)),
        };
        match name {
            Some(name) => write!(f, "{what} {name:?}"),
            None => f.write_str(what),
        }
    }
}
