//! Extractors: types that can be made from a scope.

use crate::{
    cookies::Cookies,
    error::{Error, ErrorKind, Result},
    rejection::Rejection,
    required_state::RequiredState,
    scope::{OpensOverHttp, Protocol, Scope},
};
use std::{future::Future, net::SocketAddr};

/// An extractor: a type that can be made from the scope of a connection.
///
/// If that fails, the client is rejected. [`Session`](crate::Session), [`User`](crate::User) and
/// [`Cookies`] are extractors; implement the trait for your own type:
///
/// ```
/// use seaway::{FromScope, Handshake, OpensOverHttp, Rejection, Scope, http::StatusCode};
///
/// /// The language that a client requests.
/// struct Language(String);
///
/// impl<P: OpensOverHttp> FromScope<P> for Language {
///     async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
///         let header = scope.head.headers.get("accept-language");
///         let text = header.and_then(|value| value.to_str().ok());
///         let text = text.ok_or(Rejection::new(StatusCode::BAD_REQUEST, "say which language you read"))?;
///         Ok(Language(text.to_owned()))
///     }
/// }
///
/// async fn connect(handshake: &mut Handshake) -> Result<(), Rejection> {
///     let Language(text) = handshake.extract().await?;
///     # Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from the scope of a `{P}` connection",
    label = "no extractor",
    note = "a field of a consumer is filled by #[param], #[query], #[session(\"key\")], #[user], #[state], #[group(\"name\")], #[topic(\"name\")], #[presence(\"name\", key = …)] or #[default]; \
            without one of these its type must implement `FromScope`"
)]
pub trait FromScope<P: Protocol>: Sized {
    /// Extracts the value.
    ///
    /// # Errors
    /// The rejection that is sent to the client.
    fn from_scope(scope: &Scope<P>) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Returns the values that it needs in the scope, for the check of
    /// [`RequiredState`] (default: none).
    ///
    /// ```
    /// use seaway::RequiredState;
    /// # #[derive(Clone)] struct Database;
    ///
    /// fn required_state() -> RequiredState {
    ///     RequiredState::of::<Database>()
    /// }
    /// # required_state();
    /// ```
    fn required_state() -> RequiredState {
        RequiredState::none()
    }
}

/// The client's address: an extractor for consumers and for axum handlers.
///
/// Behind a proxy it is the proxy's address. A client on a Unix socket has none, and neither has
/// one in a test: use `Option<ClientAddr>` there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(pub SocketAddr);

/// Returns the error for a connection without a client address.
pub(crate) fn no_address() -> Error {
    let message = "the client has no address: it did not connect over a network to seaway::serve; extract an Option<ClientAddr>";
    Error::new(ErrorKind::Missing, message)
}

impl<P: OpensOverHttp> FromScope<P> for ClientAddr {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        let client = scope.client.ok_or_else(no_address)?;
        Ok(Self(client))
    }
}

impl<P: OpensOverHttp> FromScope<P> for Option<ClientAddr> {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(scope.client.map(ClientAddr))
    }
}

impl<P: OpensOverHttp> FromScope<P> for Cookies {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(Self::of(&scope.head.headers))
    }
}
