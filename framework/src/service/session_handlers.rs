//! Extractors of the session and the user for axum's handlers.

use crate::{
    error::{Error, ErrorKind},
    middleware::{AuthSession, Authenticator, User, unauthorized, user_in},
    rejection::Rejection,
    session::Session,
};
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

impl<S: Send + Sync, U: Send + Sync + 'static> FromRequestParts<S> for User<U> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let user = user_in(&parts.extensions).await?;
        user.map(Self).ok_or_else(unauthorized)
    }
}

impl<S: Send + Sync, U: Send + Sync + 'static> OptionalFromRequestParts<S> for User<U> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(user_in(&parts.extensions).await?.map(Self))
    }
}

impl<S: Send + Sync, A: Authenticator> FromRequestParts<S> for AuthSession<A> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let auth = parts.extensions.get::<Self>().cloned();
        auth.ok_or_else(|| {
            missing("no AuthSession in the request; put the middleware Auth around these routes")
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let session = parts.extensions.get::<Self>().cloned();
        session.ok_or_else(|| {
            missing("no Session in the request; put the middleware Sessions around these routes")
        })
    }
}

fn missing(message: &'static str) -> Rejection {
    Error::new(ErrorKind::Missing, message).into()
}
