//! Extractors: types that can be made from a scope.

use crate::{
    cookies::Cookies,
    error::{Error, ErrorKind, Result},
    rejection::Rejection,
    required_state::RequiredState,
    scope::{OpensOverHttp, Protocol, Scope},
};
use http::{
    Extensions, HeaderMap, Uri, header,
    uri::{Authority, Scheme},
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
/// Behind a proxy it is the proxy's address, unless the proxy is
/// [trusted](crate::Serve::trusted_proxies). A client on a Unix socket has none, and neither has
/// one in a test: use `Option<ClientAddr>` there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr(pub SocketAddr);

/// The host and scheme that the client requested: an extractor for consumers and for axum handlers.
///
/// Both are those that a [trusted proxy](crate::Serve::trusted_proxies) states. Otherwise the host
/// is that of the request, and the scheme is unknown.
///
/// ```
/// use seaway::{Handshake, Rejection, RequestedHost, http::uri::Scheme};
///
/// async fn connect(handshake: &mut Handshake) -> Result<(), Rejection> {
///     let requested: RequestedHost = handshake.extract().await?;
///     let is_https = requested.scheme == Some(Scheme::HTTPS);
///     # Ok(())
/// }
///
/// async fn page(requested: RequestedHost) -> String {
///     format!("You are at {}.", requested.host.unwrap_or_default())
/// }
/// ```
///
/// A client may request any host: compare it with those of your site before a link in an e-mail
/// has it.
///
/// The origin checks ([`AllowedOrigins::same_origin`](crate::protocol::AllowedOrigins::same_origin)
/// and [`RejectCrossSite`](crate::middleware::RejectCrossSite)) compare a page with this host, and
/// with this scheme if it is known. Under another server than [`serve`](crate::serve), nobody states
/// them, unless a tower layer of yours inserts a `RequestedHost` into the extensions of the
/// request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedHost {
    /// The host, with the port if the request has it; `None` only for a client of HTTP/1.0, or in a
    /// test without `Host`.
    pub host: Option<String>,
    /// `http` or `https`; `None` if no trusted proxy states it.
    pub scheme: Option<Scheme>,
}

impl RequestedHost {
    pub(crate) fn of(headers: &HeaderMap, uri: &Uri, extensions: &Extensions) -> Self {
        let stated = extensions.get::<Self>().cloned().unwrap_or_default();
        let host = stated.host.or_else(|| {
            // Over HTTP/2, `:authority` replaces `Host`.
            let host = match headers.get(header::HOST) {
                Some(host) => host.to_str().ok(),
                None => uri.authority().map(Authority::as_str),
            };
            host.map(str::to_owned)
        });
        Self {
            host,
            scheme: stated.scheme,
        }
    }

    /// Returns whether a trusted proxy has stated the host.
    pub(crate) fn is_forwarded(extensions: &Extensions) -> bool {
        extensions
            .get::<Self>()
            .is_some_and(|stated| stated.host.is_some())
    }
}

impl<P: OpensOverHttp> FromScope<P> for RequestedHost {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        let head = &scope.head;
        Ok(Self::of(&head.headers, &head.uri, &scope.extensions))
    }
}

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
