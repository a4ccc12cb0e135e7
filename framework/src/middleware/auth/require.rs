//! Nobody else may pass.

use super::user::{nobody, user_in};
use crate::{
    application::Application,
    error::Result,
    protocol::Http,
    reject::Reject,
    scope::{OpensOverHttp, Protocol, Scope},
};
use http::{HeaderValue, Method, StatusCode, header, request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{borrow::Cow, fmt, marker::PhantomData, sync::Arc};
use tower_layer::Layer;

/// Lets only users pass: 401 for anybody else, or a way to the log-in page.
///
/// It stands inside [`Auth`](super::Auth), around what is to be guarded: a route, a router, all pages.
///
/// ```
/// # #[derive(Clone)] struct Account { is_staff: bool }
/// use seaway::{ApplicationExt, middleware::RequireUser, protocol::WebSocket, routing::PathRouter};
///
/// let sockets = PathRouter::<WebSocket>::new()
///     // .route("/ws/admin", …)
///     .with(RequireUser::<Account>::new().when(|account| account.is_staff).redirect_to("/login"));
/// ```
pub struct RequireUser<U> {
    log_in: Option<Cow<'static, str>>,
    may_pass: Option<Predicate<U>>,
    user: PhantomData<fn(U)>,
}

type Predicate<U> = Arc<dyn Fn(&U) -> bool + Send + Sync>;

impl<U> RequireUser<U> {
    /// Any user passes.
    #[expect(clippy::new_without_default, reason = "a guard is put up on purpose")]
    pub fn new() -> Self {
        Self {
            log_in: None,
            may_pass: None,
            user: PhantomData,
        }
    }

    /// Only users of whom this is true pass; others get a 403.
    #[must_use]
    pub fn when(mut self, may_pass: impl Fn(&U) -> bool + Send + Sync + 'static) -> Self {
        self.may_pass = Some(Arc::new(may_pass));
        self
    }

    /// Sends a page's visitor who is not logged in to this path (303), with `?next=` and the page that was asked for.
    /// Sockets, and requests that change something, still get a 401.
    ///
    /// # Panics
    /// If the path cannot stand in a header.
    #[must_use]
    #[track_caller]
    pub fn redirect_to(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        assert!(
            HeaderValue::from_str(&path).is_ok(),
            "{path:?} is no path to send anybody to"
        );
        self.log_in = Some(path);
        self
    }

    fn stranger<P: Protocol>(&self, head: &request::Parts) -> Reject {
        let is_page = P::NAME == Http::NAME && matches!(head.method, Method::GET | Method::HEAD);
        let Some(log_in) = self.log_in.as_ref().filter(|_| is_page) else {
            return nobody();
        };
        let page = head.uri.path_and_query().map_or("/", |page| page.as_str());
        let next = utf8_percent_encode(page, NON_ALPHANUMERIC);
        let joint = if log_in.contains('?') { '&' } else { '?' };
        let location = HeaderValue::try_from(format!("{log_in}{joint}next={next}"));
        Reject::new(StatusCode::SEE_OTHER, "log in first").header(
            header::LOCATION,
            location.expect("percent-encoded text is visible ASCII, and the path was checked"),
        )
    }
}

impl<U, A> Layer<A> for RequireUser<U> {
    type Service = Required<A, U>;

    fn layer(&self, inner: A) -> Self::Service {
        Required {
            inner,
            rule: self.clone(),
        }
    }
}

/// What [`RequireUser`] makes of an application.
pub struct Required<A, U> {
    inner: A,
    rule: RequireUser<U>,
}

impl<P, A, U> Application<P> for Required<A, U>
where
    P: OpensOverHttp,
    A: Application<P>,
    U: Send + Sync + 'static,
{
    async fn call(&self, scope: Scope<P>, connection: P::Connection) -> Result<()> {
        let refusal = match user_in::<U>(&scope.extensions).await {
            Err(error) => Reject::from(error),
            Ok(None) => self.rule.stranger::<P>(&scope.head),
            Ok(Some(user)) => match &self.rule.may_pass {
                Some(may_pass) if !may_pass(&user) => {
                    Reject::new(StatusCode::FORBIDDEN, "this is not for you")
                }
                _ => return self.inner.call(scope, connection).await,
            },
        };
        P::refuse(connection, refusal).await
    }
}

impl<U> Clone for RequireUser<U> {
    fn clone(&self) -> Self {
        Self {
            log_in: self.log_in.clone(),
            may_pass: self.may_pass.clone(),
            user: PhantomData,
        }
    }
}

impl<A: Clone, U> Clone for Required<A, U> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            rule: self.rule.clone(),
        }
    }
}

impl<U> fmt::Debug for RequireUser<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireUser")
            .field("log_in", &self.log_in)
            .finish_non_exhaustive()
    }
}

impl<A: fmt::Debug, U> fmt::Debug for Required<A, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Required")
            .field("inner", &self.inner)
            .field("rule", &self.rule)
            .finish()
    }
}
