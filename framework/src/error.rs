//! The error types of this crate: what its functions return, and what the application returns to
//! it. Each is one machine word, and keeps its source.

mod wrapped;

pub(crate) use self::wrapped::source_of;

use http_body_util::LengthLimitError;
use std::{borrow::Cow, error::Error as StdError, fmt, io, ops::Deref};

/// A boxed error of any type, as foreign code returns it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of this crate's own functions.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// The result of an application's code: hooks, startup functions, authenticators, handlers and
/// `main`.
///
/// `?` converts any error to [`AnyError`]. The functions of this crate return [`Error`] instead, so
/// a hook ends with `Ok(ctx.send(text).await?)`, not with `ctx.send(text).await`.
pub type AnyResult<T, E = AnyError> = std::result::Result<T, E>;

/// An error of a function of this crate: a [kind](ErrorKind) to act on, a message, and the source
/// that caused it.
///
/// It implements [`std::error::Error`], so `?` converts it to [`AnyError`], [`BoxError`],
/// `anyhow::Error`, or your own error type with `#[from] seaway::Error`; on the way back it keeps
/// its kind.
///
/// `{error}` prints the message, `{error:#}` and `{error:?}` print it with all sources on one line,
/// `message: cause: cause`. A client that disconnects is not a failure; check
/// [`is_closed`](Error::is_closed) before you log.
///
/// ```
/// use seaway::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Io, "cannot read the rules").with_source("no such file");
/// assert_eq!(error.to_string(), "cannot read the rules");
/// assert_eq!(format!("{error:#}"), "cannot read the rules: no such file");
/// assert!(!error.is_closed());
/// ```
pub struct Error(Box<ErrorInner>);

struct ErrorInner {
    kind: ErrorKind,
    /// `None` for the text of the source, which is an error of the application.
    message: Option<Cow<'static, str>>,
    source: Option<BoxError>,
    /// The `type` of the message or event that the hook was handling.
    handled: Option<&'static str>,
    /// Whether it is in the log.
    is_logged: bool,
}

/// Any error, as an application's code returns it.
///
/// `?` converts any [`std::error::Error`], [`Error`], [`BoxError`], `anyhow::Error`,
/// [`Rejection`](crate::Rejection) and text to it. The [kind](Error::kind) is that of the `Error`
/// which it is or wraps, however deep, and otherwise [`ErrorKind::Io`] for a [`std::io::Error`] and
/// [`ErrorKind::User`] for all others.
///
/// ```
/// use seaway::{AnyError, BoxError, Channels, ErrorKind, NoEvent, Result};
///
/// async fn number(text: &str) -> Result<u32> {
///     Ok(text.trim().parse()?)
/// }
/// async fn look_up(channels: &Channels) -> Result<(), BoxError> {
///     channels.group::<NoEvent>("not a name")?;
///     Ok(())
/// }
/// async fn hook(channels: &Channels) -> Result<()> {
///     look_up(channels).await?;
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let error: AnyError = number("seven").await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::User);
/// assert_eq!(format!("{error:#}"), "invalid digit found in string");
/// let error = hook(&Channels::in_memory()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Name);
/// # });
/// ```
///
/// It does not implement [`std::error::Error`] itself, as `anyhow::Error` does not: then it could
/// not be converted from every other error. Where such an error is needed, convert it:
/// `.map_err(seaway::Error::from)?`. It has all methods of [`Error`]. An axum handler may return
/// it: it has the response of a [`Rejection`](crate::Rejection).
pub struct AnyError(Error);

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
    /// succeed. Over Redis with queues, an event sent to one channel has the same outcome if the
    /// queue of the consumer's process is full.
    ChannelFull,
    /// The channel layer did not accept an event or a membership.
    ///
    /// A later retry may succeed.
    Layer,
    /// A receiver may have missed events that were sent to it.
    Missed,
    /// The scope lacks a value that middleware or a router should have inserted, or a router a
    /// route.
    Missing,
    /// A string is not a valid channel or group name, or not a session key that applications can
    /// write.
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
        Self(Box::new(ErrorInner {
            kind,
            message: Some(message.into()),
            source: None,
            handled: None,
            is_logged: false,
        }))
    }

    /// Creates an error of this kind with the text of its source.
    fn of(kind: ErrorKind, source: BoxError) -> Self {
        Self(Box::new(ErrorInner {
            kind,
            message: None,
            source: Some(source),
            handled: None,
            is_logged: false,
        }))
    }

    /// Creates an error for the application's own failure, of kind [`ErrorKind::User`] also if the
    /// source is or wraps an `Error` of another kind.
    ///
    /// ```
    /// use seaway::{Error, ErrorKind};
    ///
    /// let gone = Error::new(ErrorKind::SessionGone, "the session has ended");
    /// assert_eq!(Error::user(gone).kind(), ErrorKind::User);
    /// ```
    pub fn user(source: impl Into<BoxError>) -> Self {
        Self::of(ErrorKind::User, source.into())
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

    /// Creates the error for a request body that is larger than this number of bytes.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        let source = BodyError::TooLarge(limit);
        Self::new(ErrorKind::TooLarge, source.to_string()).with_source(source)
    }

    /// Creates the error for a request body that could not be read, with a [`BodyError`] as its
    /// source: another server than Seaway's, or a layer of another crate, has other errors.
    pub(crate) fn unread_body(source: BoxError) -> Self {
        let mut error = Self::closed().with_source(source);
        if error.body_error().is_some() {
            return error;
        }
        if error.find_source::<LengthLimitError>().is_some() {
            let source = BodyError::OverLimit;
            return Self::new(ErrorKind::TooLarge, source.to_string()).with_source(source);
        }
        let source = error.0.source.take();
        error.0.source = source.map(|source| BodyError::broken(source).into());
        error
    }

    /// Returns the kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether the connection was simply closed.
    pub fn is_closed(&self) -> bool {
        self.0.kind == ErrorKind::Closed
    }

    /// Sets the `type` of the message or event that the hook was handling.
    pub(crate) fn while_handling(mut self, name: &'static str) -> Self {
        self.0.handled = Some(name);
        self
    }

    /// Returns the `type` of the message or event that the hook was handling, if `#[consumer]`
    /// selected its method by that.
    pub(crate) fn handled(&self) -> Option<&'static str> {
        self.0.handled
    }

    /// Marks it as written to the log, where the failure happened.
    pub(crate) fn logged(mut self) -> Self {
        self.0.is_logged = true;
        self
    }

    /// Returns whether it is in the log.
    pub(crate) fn is_logged(&self) -> bool {
        self.0.is_logged
    }

    /// Returns the message for a client: that of this crate, not one of the application around it.
    pub(crate) fn client_message(&self) -> String {
        let source = self.0.source.as_deref();
        let wrapped = match self.0.message {
            Some(_) => None,
            None => source.and_then(|source| wrapped::find(source)),
        };
        match wrapped {
            Some(error) => error.client_message(),
            None => self.to_string(),
        }
    }

    /// Returns whether its text is a constant of the program: a message without sources that was not
    /// made of any value.
    pub(crate) fn is_constant(&self) -> bool {
        matches!(self.0.message, Some(Cow::Borrowed(_))) && self.0.source.is_none()
    }

    /// Returns the failure to read a request body that caused this error, if one did.
    pub(crate) fn body_error(&self) -> Option<&BodyError> {
        self.find_source()
    }

    /// Returns the first of its sources that has this type.
    pub(crate) fn find_source<T: StdError + 'static>(&self) -> Option<&T> {
        let mut cause: Option<&(dyn StdError + 'static)> = self.source();
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }
}

/// One line with all sources, because a `main` that returns an error prints it this way; `{:#?}`
/// shows the fields.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return write!(f, "{self:#}");
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
        let mut cause = self.source();
        let mut written = match (&self.0.message, cause) {
            (Some(message), _) => message.to_string(),
            (None, Some(source)) => source.to_string(),
            (None, None) => String::new(),
        };
        if !f.alternate() {
            return f.write_str(&written);
        }
        written = one_line(&written).into_owned();
        f.write_str(&written)?;
        while let Some(error) = cause {
            let text = one_line(&error.to_string()).into_owned();
            // Some errors end their own text with that of their source.
            if !written.ends_with(&text) {
                write!(f, ": {text}")?;
                written = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

/// Returns a text in one line, as the log needs it: with `; ` between its lines.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\r']) {
        return text.into();
    }
    let lines = text.split(['\n', '\r']).map(str::trim);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("; ").into()
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref();
        source_of(|| self, source.map(|source| source as _))
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::from(BoxError::from(source))
    }
}

/// Returns an `Error` in the box as it was. Of another error that wraps one, the kind is that of
/// the first `Error` in its chain of sources.
impl From<BoxError> for Error {
    fn from(source: BoxError) -> Self {
        let source = match source.downcast::<Self>() {
            Ok(error) => return *error,
            Err(source) => source,
        };
        if let Some(wrapped) = wrapped::find(&*source) {
            return Self::of(wrapped.kind(), source);
        }
        if source.is::<io::Error>() {
            return Self::of(ErrorKind::Io, source);
        }
        Self::user(source)
    }
}

impl<E: Into<BoxError>> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self(Error::from(error.into()))
    }
}

impl From<AnyError> for Error {
    fn from(error: AnyError) -> Self {
        error.0
    }
}

impl Deref for AnyError {
    type Target = Error;

    fn deref(&self) -> &Error {
        &self.0
    }
}

impl fmt::Debug for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
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
    /// The body is larger than this number of bytes.
    TooLarge(usize),
    /// The body is larger than a layer around the application permits.
    OverLimit,
}

impl BodyError {
    pub(crate) fn broken(source: impl Into<BoxError>) -> Self {
        Self::Broken(source.into())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(_) => f.write_str("the body is malformed or incomplete"),
            Self::Stalled => f.write_str("the client stopped sending the request body"),
            Self::TooLarge(limit) => write!(f, "the body is larger than {limit} bytes"),
            Self::OverLimit => f.write_str("the body is larger than its limit"),
        }
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Broken(source) => Some(&**source),
            Self::Stalled | Self::TooLarge(_) | Self::OverLimit => None,
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
        assert_eq!(size_of::<AnyResult<()>>(), size_of::<usize>());
    }

    #[test]
    fn a_chain_is_one_line() {
        let source = "Parse error at 3\n  Unexpected `x`\r\nExpected integer\n";
        let error = Error::new(ErrorKind::Layer, "cannot publish").with_source(source);

        let expected = "cannot publish: Parse error at 3; Unexpected `x`; Expected integer";
        assert_eq!(format!("{error:#}"), expected);
        let alone = format!("{:#}", Error::user(source));
        assert_eq!(alone, "Parse error at 3; Unexpected `x`; Expected integer");
    }

    #[test]
    fn a_chain_names_every_cause() {
        let error = Error::new(ErrorKind::Layer, "cannot publish").with_source("no route to host");

        assert_eq!(format!("{error:#}"), "cannot publish: no route to host");
    }

    #[test]
    fn a_cause_in_the_text_of_its_error_is_not_printed_twice() {
        let cause = Error::new(ErrorKind::Io, "the disk is full");
        let error = Error::new(ErrorKind::User, "cannot save: the disk is full").with_source(cause);

        assert_eq!(format!("{error:#}"), "cannot save: the disk is full");
    }

    #[test]
    fn the_text_of_an_error_of_the_operating_system_is_printed_once() {
        let error = Error::from(std::io::Error::other("the disk is full"));

        assert_eq!(format!("{error:#}"), "the disk is full");
    }
}
