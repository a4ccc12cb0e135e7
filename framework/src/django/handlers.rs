//! The Django session in axum's handlers.

use super::session::DjangoSession;
use crate::rejection::Rejection;
use axum_core::extract::FromRequestParts;
use http::request::Parts;

impl<S: Send + Sync> FromRequestParts<S> for DjangoSession {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(DjangoSession::within(&parts.extensions)?)
    }
}
