//! The middleware that admits only users.

use super::user::{page_in, required_user, unauthorized, user_in};
use crate::{
    application::Application,
    error::{Error, ErrorKind},
    header_list,
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{OpensOverHttp, Scope},
};
use http::{Extensions, HeaderValue, Method, StatusCode, Uri, header, request, uri::PathAndQuery};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{borrow::Cow, fmt, marker::PhantomData, ops::Deref, sync::Arc, time::Duration};
use tokio::time::timeout;
use tower_layer::Layer;

/// How long the lookup of a user may take, as `connect_timeout` by default.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// Middleware that admits only users: other clients get 401, or a redirect to the login page.
///
/// Wrap it in [`Auth`](super::Auth), around what it protects: a route, a router, all HTTP routes;
/// or, with `route_layer`, some routes of an axum app.
///
/// If the session or the user is not loaded within 10 s, the client gets 503.
///
/// ```
/// # #[derive(Clone)] struct Account { is_staff: bool }
/// use seaway::{ApplicationExt, middleware::RequireUser, protocol::WebSocket, routing::PathRouter};
///
/// let sockets = PathRouter::<WebSocket>::new()
///     // .route("/ws/admin", …)
///     .with(RequireUser::<Account>::new().when(|account| account.is_staff).redirect_to("/login"));
/// ```
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct RequireUser<U> {
    log_in: Option<Cow<'static, str>>,
    original_uri: Option<fn(&Extensions) -> Option<&Uri>>,
    may_pass: Option<Predicate<U>>,
    user: PhantomData<fn(U)>,
}

type Predicate<U> = Arc<dyn Fn(&U) -> bool + Send + Sync>;

impl<U> RequireUser<U> {
    /// Returns a middleware that admits any user.
    #[expect(clippy::new_without_default, reason = "a restriction is explicit")]
    pub fn new() -> Self {
        Self {
            log_in: None,
            original_uri: None,
            may_pass: None,
            user: PhantomData,
        }
    }

    /// Admits only users for whom `may_pass` returns true; others get 403.
    pub fn when(mut self, may_pass: impl Fn(&U) -> bool + Send + Sync + 'static) -> Self {
        self.may_pass = Some(Arc::new(may_pass));
        self
    }

    /// Redirects browsers that are not logged in to this path (303), with the requested page in
    /// `?next=`.
    ///
    /// A submitted form is redirected without `next`. WebSocket handshakes, and requests of scripts
    /// that change something, still get 401.
    ///
    /// `next` is the path that [`Auth`](super::Auth) saw: it includes a prefix that a router inside
    /// `Auth` has removed. For a prefix that was removed outside, see
    /// [`original_uri`](RequireUser::original_uri).
    ///
    /// # Panics
    /// If the path is not a valid header value.
    #[track_caller]
    pub fn redirect_to(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        assert!(
            HeaderValue::from_str(&path).is_ok(),
            "cannot redirect to {path:?}: it is not a valid header value"
        );
        self.log_in = Some(path);
        self
    }

    /// Takes `next` from a value of type `T` in the request's extensions, for a prefix that is
    /// removed outside Seaway's router.
    ///
    /// An axum app that nests Seaway's router has the requested URI in its `OriginalUri`:
    ///
    /// ```
    /// # #[derive(Clone)] struct Account;
    /// use axum::extract::OriginalUri;
    /// use seaway::middleware::RequireUser;
    ///
    /// let members = RequireUser::<Account>::new()
    ///     .redirect_to("/login")
    ///     .original_uri::<OriginalUri>();
    /// ```
    pub fn original_uri<T>(mut self) -> Self
    where
        T: Deref<Target = Uri> + Clone + Send + Sync + 'static,
    {
        self.original_uri = Some(|extensions| Some(&**extensions.get::<T>()?));
        self
    }

    /// Returns why the client is rejected, if so. `page` is the head of an HTTP request, and `None`
    /// for a WebSocket.
    pub(crate) async fn rejection(
        &self,
        page: Option<&request::Parts>,
        extensions: &Extensions,
    ) -> Option<Rejection>
    where
        U: 'static,
    {
        let user = timeout(LOOKUP_TIMEOUT, user_in::<U>(extensions)).await;
        let user = user.unwrap_or_else(|_| Err(too_slow()));
        match (user, &self.may_pass) {
            (Err(error), _) => Some(Rejection::from(error)),
            (Ok(None), _) => Some(self.reject_anonymous(page, extensions)),
            (Ok(Some(user)), Some(may_pass)) if !may_pass(&user) => {
                let reject = Rejection::new(
                    StatusCode::FORBIDDEN,
                    "forbidden: this user lacks the required permission",
                );
                Some(reject.by(Rule::User))
            }
            (Ok(Some(_)), _) => None,
        }
    }

    fn reject_anonymous(&self, page: Option<&request::Parts>, extensions: &Extensions) -> Rejection
    where
        U: 'static,
    {
        let (Some(log_in), Some(head)) = (&self.log_in, page.filter(|head| wants_page(head)))
        else {
            return unauthorized();
        };
        let location = match head.method {
            Method::GET | Method::HEAD => {
                let original = self.original_uri.and_then(|find| find(extensions));
                let original = original.and_then(Uri::path_and_query);
                let page = original.map(PathAndQuery::as_str);
                let page = page.or_else(|| page_in::<U>(extensions)).unwrap_or("/");
                let next = utf8_percent_encode(page, NON_ALPHANUMERIC);
                let joint = if log_in.contains('?') { '&' } else { '?' };
                format!("{log_in}{joint}next={next}")
            }
            // The submitted data is lost, so there is no page to return to.
            _ => log_in.to_string(),
        };
        let location = HeaderValue::try_from(location);
        let location =
            location.expect("percent-encoded text is visible ASCII, and the path was checked");
        Rejection::new(StatusCode::SEE_OTHER, "login required")
            .header(header::LOCATION, location)
            .by(Rule::User)
    }
}

fn too_slow() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "the user was not loaded within 10 s; find the slow call, in the authenticator or in the session store",
    )
}

/// Returns whether the response is displayed: a browser that follows a link or submits a form
/// accepts HTML.
fn wants_page(head: &request::Parts) -> bool {
    let takes_html = header_list::items(&head.headers, header::ACCEPT)
        .any(|accepted| accepted.starts_with("text/html"));
    takes_html || matches!(head.method, Method::GET | Method::HEAD)
}

impl<U, A> Layer<A> for RequireUser<U> {
    type Service = WithRequiredUser<A, U>;

    fn layer(&self, inner: A) -> Self::Service {
        WithRequiredUser {
            inner,
            rule: self.clone(),
        }
    }
}

/// An application wrapped by [`RequireUser`].
pub struct WithRequiredUser<A, U> {
    pub(crate) inner: A,
    pub(crate) rule: RequireUser<U>,
}

impl<P, A, U> Application<P> for WithRequiredUser<A, U>
where
    P: OpensOverHttp,
    A: Application<P>,
    U: Send + Sync + 'static,
{
    async fn call(&self, scope: Scope<P>, connection: P::Connection) -> crate::Result<()> {
        let page = P::IS_PAGE.then_some(&*scope.head);
        let lookup = self.rule.rejection(page, &scope.extensions);
        match P::while_awaited(connection, lookup).await {
            Some((Some(reject), connection)) => Ok(P::reject(connection, reject).await?),
            Some((None, connection)) => self.inner.call(scope, connection).await,
            None => Ok(()),
        }
    }

    fn required_state(&self) -> RequiredState {
        let user = required_user::<U>().by("the middleware RequireUser");
        self.inner.required_state().and(user)
    }
}

impl<U> Clone for RequireUser<U> {
    fn clone(&self) -> Self {
        Self {
            log_in: self.log_in.clone(),
            original_uri: self.original_uri,
            may_pass: self.may_pass.clone(),
            user: PhantomData,
        }
    }
}

impl<A: Clone, U> Clone for WithRequiredUser<A, U> {
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

impl<A: fmt::Debug, U> fmt::Debug for WithRequiredUser<A, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithRequiredUser")
            .field("inner", &self.inner)
            .field("rule", &self.rule)
            .finish()
    }
}
