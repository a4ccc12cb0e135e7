//! The extractor of the user who is logged in.

use crate::{
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{OpensOverHttp, Scope},
};
use async_trait::async_trait;
use http::{Extensions, StatusCode};
use std::{any::type_name, ops::Deref, sync::Arc};

/// The user who is logged in: an extractor for consumers and axum handlers.
///
/// `User<Account>` rejects with 401 if nobody is logged in; `Option<User<Account>>` does not. The
/// user is loaded on first use, once per request or handshake.
///
/// ```
/// use seaway::{Handshake, Rejection, middleware::User};
///
/// #[derive(Clone)]
/// struct Account { name: String }
///
/// async fn connect(handshake: &mut Handshake) -> Result<String, Rejection> {
///     let user: User<Account> = handshake.extract().await?;
///     Ok(user.name.clone())
/// }
/// async fn page(user: Option<User<Account>>) -> String {
///     user.map_or("hello".to_owned(), |user| format!("hello, {}", user.name))
/// }
/// # axum::Router::<()>::new().route("/", axum::routing::get(page));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<U>(pub U);

impl<U> Deref for User<U> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.0
    }
}

/// The source of a connection's user. It hides the authenticator's type from code that knows only
/// the user's type.
#[async_trait]
pub(crate) trait Identify<U>: Send + Sync {
    async fn identify(&self) -> Result<Option<U>>;

    /// Returns path and query of the request, before inner routers removed a prefix; `None` for a
    /// WebSocket.
    fn page(&self) -> Option<&str>;
}

/// The value that [`Auth`](super::Auth), or another middleware that knows users of this type,
/// inserts into the scope.
pub(crate) struct UserLookup<U>(pub(crate) Arc<dyn Identify<U>>);

impl<U> Clone for UserLookup<U> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Returns the user of the request or handshake with these extensions.
///
/// # Errors
/// [`ErrorKind::Missing`] if there is no [`Auth`](super::Auth) around this handler.
pub(crate) async fn user_in<U: 'static>(extensions: &Extensions) -> Result<Option<U>> {
    let Some(UserLookup(lookup)) = extensions.get::<UserLookup<U>>() else {
        let name = type_name::<U>();
        return Err(Error::new(
            ErrorKind::Missing,
            format!(
                "cannot find the user: no middleware Auth for {name} around this application; add it"
            ),
        ));
    };
    let lookup = lookup.clone();
    lookup.identify().await
}

/// Requires an [`Auth`](super::Auth) with users of this type.
pub(super) fn required_user<U: 'static>() -> RequiredState {
    let name = format!("a User<{}>", type_name::<U>());
    RequiredState::from_middleware::<UserLookup<U>>(name, super::WRAP_IN_AUTH)
}

/// Returns path and query of the HTTP request, as [`Auth`](super::Auth) saw them.
pub(super) fn page_in<U: 'static>(extensions: &Extensions) -> Option<&str> {
    extensions.get::<UserLookup<U>>()?.0.page()
}

/// Returns the rejection of a client that is not logged in.
pub(crate) fn unauthorized() -> Rejection {
    Rejection::new(StatusCode::UNAUTHORIZED, "login required").by(Rule::User)
}

impl<P: OpensOverHttp, U: Send + Sync + 'static> FromScope<P> for User<U> {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        let user = user_in(&scope.extensions).await?;
        user.map(Self).ok_or_else(unauthorized)
    }

    fn required_state() -> RequiredState {
        required_user::<U>()
    }
}

impl<P: OpensOverHttp, U: Send + Sync + 'static> FromScope<P> for Option<User<U>> {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(user_in(&scope.extensions).await?.map(User))
    }

    fn required_state() -> RequiredState {
        required_user::<U>()
    }
}
