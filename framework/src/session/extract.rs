//! The session of whoever asks.

use super::Session;
use crate::{
    error::Result,
    extract::FromScope,
    rejection::Rejection,
    scope::{OpensOverHttp, Scope},
};

/// The session that [`Sessions`](crate::middleware::Sessions) has put into the scope.
impl<P: OpensOverHttp> FromScope<P> for Session {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(scope.get::<Self>()?.clone())
    }
}
