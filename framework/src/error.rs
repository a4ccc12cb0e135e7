//! The error type of this crate: one machine word that keeps its source.

use std::{borrow::Cow, error::Error as StdError, fmt};

/// A boxed error of any type, as foreign code returns it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: a [kind](ErrorKind) to act on, a message, and the source that caused it.
///
/// A client that disconnects is not a failure; check [`is_closed`](Error::is_closed) before you
/// log.
///
/// ```
/// use seaway::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Codec, "expected a text message");
/// assert_eq!(error.to_string(), "expected a text message");
/// assert!(!error.is_closed());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

/// The kind of an error, on which a caller can act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The connection is closed: nothing more can be sent on it.
    ///
    /// This is not a failure.
    Closed,
    /// A payload could not be encoded or decoded.
    Codec,
    /// The worker queue that a job was sent to is full.
    ///
    /// Workers take jobs more slowly than they are sent. The job was not queued; a later retry may
    /// succeed.
    ChannelFull,
    /// The channel layer did not accept an event or a membership.
    ///
    /// A later retry may succeed.
    Layer,
    /// A receiver may have missed events that were sent to it.
    Missed,
    /// The scope lacks a value that middleware or a router should have inserted.
    Missing,
    /// A string is not a valid channel or group name.
    Name,
    /// The session store did not respond, or does not support the operation.
    ///
    /// A later retry may succeed.
    Session,
    /// The session has ended by a logout, and is not recreated.
    SessionGone,
    /// A payload is larger than its limit.
    TooLarge,
    /// An operation took longer than its limit.
    Timeout,
    /// An event may or may not have been sent: the connection of the channel layer broke, or was
    /// silent, before the acknowledgement arrived.
    ///
    /// Sending it again may deliver it twice.
    Unconfirmed,
    /// The operating system returned an error (a port in use, too many open files).
    Io,
    /// The application's own code failed.
    User,
}

impl Error {
    /// Creates an error of this kind.
    ///
    /// `message` is lower case, without a full stop, and names the remedy if there is one.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
        }))
    }

    /// Creates an error for the application's own failure, for `map_err` in a handler.
    ///
    /// ```
    /// # fn parse(text: &str) -> seaway::Result<u32> {
    /// let number = text.parse::<u32>().map_err(seaway::Error::user)?;
    /// # Ok(number) }
    /// # assert!(parse("x").is_err());
    /// ```
    pub fn user(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::User, "the application failed").with_source(source)
    }

    /// Sets the source that caused the error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Creates the error for a job whose queue is full.
    pub(crate) fn channel_full(channel: &impl fmt::Display, capacity: usize) -> Self {
        Self::new(
            ErrorKind::ChannelFull,
            format!(
                "{capacity} jobs wait on the channel {channel} already; start more workers, or send the job later"
            ),
        )
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the connection is closed")
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the connection was simply closed.
    pub fn is_closed(&self) -> bool {
        self.0.kind == ErrorKind::Closed
    }

    /// Returns the failure to read a request body that caused this error, if one did.
    pub(crate) fn body_error(&self) -> Option<&BodyError> {
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// Returns this error and all its sources on one line, for a log.
    pub(crate) fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Some errors end their own text with that of their source.
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            source = cause.source();
        }
        line
    }
}

/// One line with all sources, because a `main` that returns an error prints it this way; `{:#?}`
/// shows the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return f.write_str(&self.chain());
        }
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(source: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, "I/O failed").with_source(source)
    }
}

impl From<BoxError> for Error {
    fn from(source: BoxError) -> Self {
        Self::user(source)
    }
}

/// A failure to read a request body. The client is at fault, in whatever errors an application
/// wraps it.
#[derive(Debug)]
pub(crate) enum BodyError {
    /// The body is incomplete or malformed.
    Broken(BoxError),
    /// The client stopped sending the body for longer than the timeout.
    Stalled,
}

impl BodyError {
    pub(crate) fn broken(source: impl Into<BoxError>) -> Self {
        Self::Broken(source.into())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken(_) => "the request body is malformed or incomplete",
            Self::Stalled => "the client stopped sending the request body",
        })
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Broken(source) => Some(&**source),
            Self::Stalled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_error_is_found_in_any_chain_of_sources() {
        let broken = || BodyError::broken("invalid chunk size");
        let wrapped = std::io::Error::other(Error::user(broken()));

        assert!(Error::closed().with_source(broken()).body_error().is_some());
        assert!(Error::user(wrapped).body_error().is_some());
        assert!(Error::user("something else").body_error().is_none());
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn a_chain_names_every_cause() {
        let error = Error::new(ErrorKind::Layer, "cannot publish").with_source("no route to host");

        assert_eq!(error.chain(), "cannot publish: no route to host");
    }

    #[test]
    fn a_cause_that_its_error_has_named_already_is_not_repeated() {
        let cause = Error::new(ErrorKind::Io, "the disk is full");
        let error = Error::new(ErrorKind::User, "cannot save: the disk is full").with_source(cause);

        assert_eq!(error.chain(), "cannot save: the disk is full");
    }

    #[test]
    fn an_error_of_the_operating_system_is_said_once() {
        let error = Error::from(std::io::Error::other("the disk is full"));

        assert_eq!(error.chain(), "I/O failed: the disk is full");
    }
}
