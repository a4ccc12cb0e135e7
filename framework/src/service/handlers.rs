//! Extractors and responses for axum's handlers.

use crate::{
    cookies::Cookies,
    error::{AnyError, Error},
    extract::{ClientAddr, RequestedHost, no_address},
    protocol::ConnectionHandle,
    rejection::Rejection,
};
use axum_core::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::request::Parts;
use std::{convert::Infallible, net::SocketAddr};

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        Rejection::into_response(self).map(|text| Body::from(text.into_owned()))
    }
}

/// Logs the error, and sends the matching status; see [`Rejection`].
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        IntoResponse::into_response(Rejection::from(self))
    }
}

/// As for an [`Error`] of the same kind.
impl IntoResponse for AnyError {
    fn into_response(self) -> Response {
        IntoResponse::into_response(Rejection::from(self))
    }
}

/// Lets an [`HttpConsumer`](crate::HttpConsumer) respond with what axum's handlers return:
/// `ctx.response(Redirect::to("/").into_response())`.
impl From<Body> for crate::protocol::Body {
    fn from(body: Body) -> Self {
        Self::new(body)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Cookies {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let client = client(parts).ok_or_else(no_address)?;
        Ok(Self(client))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for ClientAddr {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(client(parts).map(Self))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestedHost {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, &parts.uri, &parts.extensions))
    }
}

/// Returns the client of the connection.
fn client(parts: &Parts) -> Option<SocketAddr> {
    ConnectionHandle::of(&parts.extensions)?.client()
}
