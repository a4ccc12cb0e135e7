//! Values made from a scope.

use crate::{
    cookies::Cookies,
    error::Result,
    reject::Reject,
    scope::{OpensOverHttp, Protocol, Scope},
};
use std::future::Future;

/// A value made from the facts of a connection, or a refusal.
///
/// Session, user and cookies are such; so is a type of yours:
///
/// ```
/// use seaway::{FromScope, Handshake, OpensOverHttp, Reject, Scope, http::StatusCode};
///
/// /// The language that a client asks for.
/// struct Language(String);
///
/// impl<P: OpensOverHttp> FromScope<P> for Language {
///     async fn from_scope(scope: &Scope<P>) -> Result<Self, Reject> {
///         let header = scope.head.headers.get("accept-language");
///         let text = header.and_then(|value| value.to_str().ok());
///         let text = text.ok_or(Reject::new(StatusCode::BAD_REQUEST, "say which language you read"))?;
///         Ok(Language(text.to_owned()))
///     }
/// }
///
/// async fn connect(handshake: &mut Handshake) -> Result<(), Reject> {
///     let Language(text) = handshake.extract().await?;
///     # Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from the scope of a `{P}` connection",
    label = "no extractor",
    note = "a field of a consumer is filled by #[param], #[query], #[session(\"key\")], #[user], #[state], #[group(\"name\")] or #[default]; \
            without one of these its type must implement `FromScope`"
)]
pub trait FromScope<P: Protocol>: Sized {
    /// Makes the value.
    ///
    /// # Errors
    /// The answer that the client gets instead.
    fn from_scope(scope: &Scope<P>) -> impl Future<Output = Result<Self, Reject>> + Send;
}

impl<P: OpensOverHttp> FromScope<P> for Cookies {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Reject> {
        Ok(Self::of(&scope.head.headers))
    }
}
