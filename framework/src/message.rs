//! WebSocket messages, and the close of a connection.

use bytes::Bytes;
use std::{fmt, ops::Deref, time::Duration};
use tungstenite::Utf8Bytes;

/// A complete WebSocket message: fragments are reassembled and text is validated.
///
/// A clone shares the payload.
///
/// ```
/// use seaway::Message;
///
/// let text = Message::text("ahoy");
/// assert_eq!(text.payload(), b"ahoy");
/// assert_eq!(Message::from(vec![1, 2]), Message::binary(vec![1, 2]));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text, which must be UTF-8 (RFC 6455, 5.6).
    Text(Text),
    /// Binary data.
    Binary(Bytes),
}

impl Message {
    /// Creates a text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::Text(text.into())
    }

    /// Creates a binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }

    /// Returns the text; `None` if the message is binary.
    ///
    /// ```
    /// use seaway::Message;
    ///
    /// assert_eq!(Message::text("ahoy").as_text(), Some("ahoy"));
    /// assert_eq!(Message::binary(b"ahoy".to_vec()).as_text(), None);
    /// ```
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            Self::Binary(_) => None,
        }
    }

    /// Returns the payload, of either kind.
    pub fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the payload, whose clones share one buffer.
    pub(crate) fn shared_payload(&self) -> &Bytes {
        match self {
            Self::Text(text) => text.0.as_ref(),
            Self::Binary(bytes) => bytes,
        }
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    pub(crate) fn into_payload(self) -> Bytes {
        match self {
            Self::Text(text) => text.0.into(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Text> for Message {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(bytes)
    }
}

/// The text of a message: a string whose clones share one buffer.
///
/// ```
/// let text = seaway::Text::from("ahoy");
/// assert_eq!(text.len(), 4);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Utf8Bytes);

impl Text {
    /// Converts bytes without a copy; drops them and returns `None` if they are not UTF-8.
    pub(crate) fn from_utf8(bytes: Vec<u8>) -> Option<Self> {
        Utf8Bytes::try_from(bytes).ok().map(Self)
    }

    /// Returns the text as a string slice.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

/// The end of a connection: a close code (RFC 6455, 7.4) and a reason for humans.
///
/// ```
/// use seaway::Close;
///
/// let close = Close::new(4001, "kicked");
/// assert_eq!((close.code, close.reason()), (4001, "kicked"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code: 1000 to 1015 are the protocol's, 3000 to 3999 are registered with IANA, 4000 to
    /// 4999 are for applications.
    pub code: u16,
    /// At most `REASON_LIMIT` bytes, so that it fits in a close frame: only `new` sets it.
    reason: Text,
}

impl Close {
    /// The connection is complete.
    pub const NORMAL: u16 = 1000;
    /// The server stops, or the client has left the page.
    pub const AWAY: u16 = 1001;
    /// The client violated the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// The client sent a type of data that is not accepted.
    pub const UNSUPPORTED: u16 = 1003;
    /// The client's close frame had no code.
    ///
    /// Never sent.
    pub const NO_STATUS: u16 = 1005;
    /// The connection was lost without a close frame.
    ///
    /// Never sent.
    pub const ABNORMAL: u16 = 1006;
    /// The payload does not match its type: text that is not UTF-8, JSON that does not parse.
    pub const INVALID: u16 = 1007;
    /// The client violated a policy of the server.
    pub const POLICY: u16 = 1008;
    /// The message is larger than the limit.
    pub const TOO_LARGE: u16 = 1009;
    /// The session has ended, or the user is no longer allowed: log in and reconnect.
    ///
    /// Defined by Seaway.
    pub const UNAUTHORIZED: u16 = 4401;
    /// The server cannot serve the client now: try again later.
    ///
    /// Registered with IANA (RFC 6455, 11.7).
    pub const TRY_AGAIN: u16 = 1013;
    /// The server had an error.
    pub const ERROR: u16 = 1011;
    /// The server restarts: reconnect, after the time in the reason if there is one.
    ///
    /// Registered with IANA (RFC 6455, 11.7).
    pub const RESTART: u16 = 1012;

    /// Maximum length of a reason: 125 bytes of a control frame less 2 for the code (RFC 6455,
    /// 5.5).
    const REASON_LIMIT: usize = 123;

    /// Creates a close with this code and reason; a reason over 123 bytes is truncated at a
    /// character boundary, since a close frame has no room for more.
    pub fn new(code: u16, reason: impl Into<Text>) -> Self {
        let reason = reason.into();
        if reason.len() <= Self::REASON_LIMIT {
            return Self { code, reason };
        }
        let end = reason.floor_char_boundary(Self::REASON_LIMIT);
        Self {
            code,
            reason: Text::from(&reason[..end]),
        }
    }

    /// Returns the reason, of at most 123 bytes.
    ///
    /// Only [`new`](Close::new) sets it, so that it fits in a close frame:
    ///
    /// ```compile_fail,E0616
    /// let mut close = seaway::Close::from(4001);
    /// close.reason = "x".repeat(124).into();
    /// ```
    pub fn reason(&self) -> &str {
        self.reason.as_str()
    }

    /// Creates the close of a restart (1012), whose reason asks the client to reconnect after a
    /// random time of between half of `limit` and `limit`: `retry_after=2.75`, in seconds.
    ///
    /// ```
    /// use seaway::Close;
    /// use std::time::Duration;
    ///
    /// let close = Close::restart(Duration::from_secs(4));
    /// assert_eq!(close.code, Close::RESTART);
    /// let seconds: f64 = close.reason().strip_prefix("retry_after=").unwrap().parse().unwrap();
    /// assert!((2.0..=4.0).contains(&seconds));
    /// ```
    pub fn restart(limit: Duration) -> Self {
        let reason = format!("retry_after={:.2}", spread(limit).as_secs_f64());
        Self::new(Self::RESTART, reason)
    }

    /// Creates the close of a server that stops: that of a restart if clients are to reconnect after
    /// a time.
    pub(crate) fn going_away(retry_after: Option<Duration>) -> Self {
        match retry_after {
            Some(limit) => Self::restart(limit),
            None => Self::new(Self::AWAY, "the server is going away"),
        }
    }

    /// Returns whether a close frame may contain this code (RFC 6455, 7.4.1 and 7.4.2).
    ///
    /// 1004, 1005, 1006 and 1015 are reserved and never sent.
    pub fn is_sendable(&self) -> bool {
        matches!(self.code, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The code, and behind it the reason if there is one: `4001 (kicked)`.
impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => self.code.fmt(f),
            reason => write!(f, "{} ({reason})", self.code),
        }
    }
}

impl From<u16> for Close {
    fn from(code: u16) -> Self {
        Self::new(code, "")
    }
}

/// Returns a random time of between half of `limit` and `limit`.
pub(crate) fn spread(limit: Duration) -> Duration {
    limit.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let close = Close::new(4000, "\u{2693}".repeat(60));

        assert_eq!(close.reason().len(), 123);
        assert!(close.reason().chars().all(|c| c == '\u{2693}'));
    }

    #[test]
    fn a_close_prints_its_code_and_its_reason() {
        assert_eq!(Close::from(1000).to_string(), "1000");
        assert_eq!(Close::new(4001, "kicked").to_string(), "4001 (kicked)");
    }

    #[test]
    fn codes_that_never_travel_are_known() {
        for (code, sendable) in [
            (999, false),
            (1000, true),
            (1004, false),
            (1005, false),
            (1006, false),
            (1007, true),
            (1015, false),
            (2999, false),
            (3000, true),
            (4999, true),
            (5000, false),
        ] {
            assert_eq!(Close::from(code).is_sendable(), sendable, "{code}");
        }
    }
}
