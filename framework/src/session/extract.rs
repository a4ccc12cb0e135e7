//! The extractor of sessions.

use super::Session;
use crate::{
    error::Result,
    extract::FromScope,
    rejection::Rejection,
    scope::{OpensOverHttp, Scope},
};

/// Extracts the session that [`Sessions`](crate::middleware::Sessions) has inserted into the scope.
impl<P: OpensOverHttp> FromScope<P> for Session {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(scope.get::<Self>()?.clone())
    }
}
