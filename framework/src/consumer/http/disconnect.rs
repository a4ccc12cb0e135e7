//! How the request of an HTTP consumer ended.

use crate::{error::ErrorKind, message::Close};

/// The end of an HTTP consumer's request, which its
/// [`disconnect`](super::HttpConsumer::disconnect) gets.
///
/// ```
/// use seaway::Disconnect;
///
/// fn describe(end: &Disconnect) -> &'static str {
///     match end {
///         Disconnect::Responded => "the response is complete",
///         Disconnect::ClientLeft => "the client left",
///         Disconnect::ServerStopping => "the server stops",
///         Disconnect::Revoked(_) => "the client was logged out or disconnected",
///         Disconnect::Failed(_) => "the handler failed",
///         _ => "the request ended",
///     }
/// }
/// # assert_eq!(describe(&Disconnect::ClientLeft), "the client left");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// `handle` has returned, and the response was passed to the connection whole.
    Responded,
    /// The client disconnected, or read nothing for
    /// [`SEND_TIMEOUT`](super::HttpConsumer::SEND_TIMEOUT), or middleware dropped the request.
    ClientLeft,
    /// The server stops.
    ///
    /// A response that `handle` completed meanwhile was still sent.
    ServerStopping,
    /// The session has ended or the user is no longer allowed (4401), neither could be checked
    /// (1013), or [`Group::disconnect`](crate::Group::disconnect) or the like closed the request;
    /// with the close that a WebSocket receives for it.
    Revoked(Close),
    /// `handle` failed with an error of this kind; a panic is an [`ErrorKind::User`].
    Failed(ErrorKind),
}
