//! Who asks; strangers are sent to the log-in.

use crate::accounts::Account;
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Redirect, Response},
};
use http::{Method, request::Parts};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use seaway::User;

/// Somebody who has logged in. A stranger is sent to the log-in, and from there back.
pub struct SignedIn(pub Account);

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let user =
            <User<Account> as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await;
        match user {
            Ok(Some(User(account))) => Ok(Self(account)),
            Ok(None) => Err(to_login(parts).into_response()),
            Err(reject) => Err(IntoResponse::into_response(reject)),
        }
    }
}

/// A form that was sent without a log-in is lost; the way back then leads to the list of rooms.
fn to_login(parts: &Parts) -> Redirect {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let next = match parts.method {
        Method::GET => path,
        _ => "/",
    };
    let next = utf8_percent_encode(next, NON_ALPHANUMERIC);
    Redirect::to(&format!("/login?next={next}"))
}
