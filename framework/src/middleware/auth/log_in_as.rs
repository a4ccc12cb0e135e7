//! Login without credentials, for tests.

use super::{Authenticator, auth_session::LogIn};
use crate::{rejection::Rejection, scope::OpensOverHttp};
use http::StatusCode;
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// A request of a test to log this user in. [`Auth`](super::Auth) responds to it in place of its
/// application.
///
/// Only `testing` can insert it into a scope: no client, and no code outside this crate, can.
pub(crate) struct LogInAs<U> {
    user: U,
    is_taken: Arc<AtomicBool>,
}

impl<U> LogInAs<U> {
    /// Returns the request, and a flag that is set once an `Auth` has taken it.
    pub(crate) fn new(user: U) -> (Self, Arc<AtomicBool>) {
        let is_taken = Arc::new(AtomicBool::new(false));
        let request = Self {
            user,
            is_taken: is_taken.clone(),
        };
        (request, is_taken)
    }
}

impl<U: Clone> Clone for LogInAs<U> {
    fn clone(&self) -> Self {
        Self {
            user: self.user.clone(),
            is_taken: self.is_taken.clone(),
        }
    }
}

/// Logs the user in, and responds with 204.
pub(super) async fn respond<P: OpensOverHttp, A: Authenticator>(
    request: LogInAs<A::User>,
    log_in: Arc<LogIn<A>>,
    connection: P::Connection,
) -> crate::Result<()> {
    request.is_taken.store(true, Ordering::Release);
    match log_in.log_in(&request.user).await {
        Ok(()) => P::reject(connection, Rejection::new(StatusCode::NO_CONTENT, "")).await?,
        Err(error) => P::reject(connection, error).await?,
    }
    Ok(())
}

pin_project! {
    /// The future of an application that a test's login may replace. It is hardly larger than the
    /// application's own.
    #[project = CallProjection]
    pub(super) enum LogInFuture<F> {
        Application { #[pin] future: F },
        LogIn { future: Pin<Box<dyn Future<Output = crate::Result<()>> + Send>> },
    }
}

impl<F: Future<Output = crate::Result<()>>> Future for LogInFuture<F> {
    type Output = crate::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<crate::Result<()>> {
        match self.project() {
            CallProjection::Application { future } => future.poll(cx),
            CallProjection::LogIn { future } => future.as_mut().poll(cx),
        }
    }
}
