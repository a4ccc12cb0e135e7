//! The middleware that identifies the user.

use super::{
    AuthSession, Authenticator,
    auth_session::{Credential, LogIn, Verify},
    disconnect::realm_mistake,
    lazy_user::LazyUser,
    log_in_as::{LogInAs, LogInFuture, respond},
    token,
    user::UserLookup,
};
use crate::{
    application::Application,
    extract::FromScope,
    outage::{MAX_OUTAGE, Outage},
    required_state::RequiredState,
    revocation::Revocations,
    scope::{OpensOverHttp, Scope},
    session::Session,
};
use http::StatusCode;
use std::{
    any::type_name,
    fmt,
    future::Future,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tower_layer::Layer;

/// Middleware that inserts the user into the scope, for the extractors [`User`](super::User) and
/// [`AuthSession`].
///
/// Wrap it in [`Sessions`](crate::middleware::Sessions), which stores who is logged in:
///
/// ```
/// # use seaway::{Result, middleware::Authenticator};
/// # #[derive(Clone)] struct Account { id: String }
/// # struct Accounts;
/// # impl Authenticator for Accounts {
/// #     type User = Account; type Credentials = String;
/// #     fn id(&self, account: &Account) -> String { account.id.clone() }
/// #     async fn load(&self, id: &str) -> Result<Option<Account>> { Ok(None) }
/// #     async fn authenticate(&self, _: String) -> Result<Option<Account>> { Ok(None) }
/// # }
/// use seaway::{Channels, from_service, middleware::{Auth, Sessions}, routing::ProtocolTypeRouter, session::MemoryStore};
/// use std::time::Duration;
///
/// let channels = Channels::in_memory();
/// let app = ProtocolTypeRouter::new()
///     .http(from_service(axum::Router::<()>::new()))
///     .with(Auth::new(Accounts).recheck(Duration::from_secs(60)))
///     .with(Sessions::new(MemoryStore::default(), &channels));
/// ```
///
/// The user is loaded only when a handler, or [`RequireUser`](super::RequireUser), asks for it. A
/// connection whose user was asked for is rechecked once when it opens, and closed with 4401 when
/// - its session ends (logout, a new login),
/// - [`Channels::disconnect_user`](crate::Channels::disconnect_user) is called with its user,
/// - a recheck no longer finds the user.
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct Auth<A> {
    authenticator: Arc<A>,
    recheck: Option<Duration>,
    max_outage: Duration,
    verify: Option<Verify>,
}

impl<A: Authenticator> Auth<A> {
    /// Returns the middleware with the users of this authenticator.
    ///
    /// # Panics
    /// If its [`REALM`](Authenticator::REALM) is not valid.
    #[track_caller]
    pub fn new(authenticator: A) -> Self {
        if let Some(mistake) = realm_mistake(A::REALM) {
            panic!(
                "the REALM {:?} of {} is not valid: {mistake}",
                A::REALM,
                type_name::<A>()
            );
        }
        Self {
            authenticator: Arc::new(authenticator),
            recheck: None,
            max_outage: MAX_OUTAGE,
            verify: None,
        }
    }

    /// Sets how often the user of an open connection is loaded again (default: never).
    ///
    /// The connection is closed with 4401 if the user has lost access, the password has changed or
    /// the token has expired. A logout is announced independently of this interval.
    ///
    /// # Panics
    /// If the interval is zero.
    #[track_caller]
    pub fn recheck(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "recheck needs a non-zero interval");
        self.recheck = Some(interval);
        self
    }

    /// Sets how long open connections keep their users while all checks fail, because the
    /// authenticator or the session store returns errors (default: 10 min).
    ///
    /// After that they are closed with 1013 (try again later): the user may have lost access
    /// unnoticed. A check that fails is repeated after [`recheck`](Self::recheck), or about every
    /// 10 s if there is none. With [`Duration::ZERO`] the first check that fails closes the
    /// connection.
    ///
    /// ```
    /// # use seaway::middleware::{Auth, Authenticator};
    /// # fn example<A: Authenticator>(auth: Auth<A>) -> Auth<A> {
    /// use std::time::Duration;
    ///
    /// auth.max_outage(Duration::from_secs(60))
    /// # }
    /// ```
    pub fn max_outage(mut self, limit: Duration) -> Self {
        self.max_outage = limit;
        self
    }

    /// Authenticates clients by a token as well, for which `verify` returns the user's id.
    ///
    /// For clients without cookies. They send `Authorization: Bearer <token>`; in a browser, whose
    /// WebSockets cannot set headers, two subprotocols: `new WebSocket(url, ["bearer", token])`. A
    /// token in a URL is ignored, because URLs appear in logs. The token is removed from the head
    /// that handlers see. If a request has both, the token counts and the session cookie is
    /// ignored.
    ///
    /// ```
    /// # use seaway::{Result, middleware::{Auth, Authenticator}};
    /// # #[derive(Clone)] struct Account;
    /// # struct Accounts;
    /// # impl Authenticator for Accounts {
    /// #     type User = Account; type Credentials = String;
    /// #     fn id(&self, _: &Account) -> String { String::new() }
    /// #     async fn load(&self, id: &str) -> Result<Option<Account>> { Ok(None) }
    /// #     async fn authenticate(&self, _: String) -> Result<Option<Account>> { Ok(None) }
    /// # }
    /// # async fn look_up(token: &str) -> Result<Option<String>> { Ok(None) }
    /// let auth = Auth::new(Accounts).tokens(|token| async move { look_up(&token).await });
    /// ```
    pub fn tokens<F, Fut>(mut self, verify: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = crate::Result<Option<String>>> + Send + 'static,
    {
        self.verify = Some(Arc::new(move |token| {
            let verifying = verify(token);
            Box::pin(async move { Ok(verifying.await?) })
        }));
        self
    }

    /// Returns how this client authenticates; `true` if by a token in a subprotocol.
    fn credential<P: OpensOverHttp>(&self, scope: &mut Scope<P>) -> (Credential, bool) {
        if let Some(verify) = &self.verify
            && let Some(token) = token::take(&mut scope.head.headers, P::HAS_SUBPROTOCOLS)
        {
            let credential = Credential::Token(token.text, verify.clone());
            return (credential, token.by_subprotocol);
        }
        let credential = match scope.state::<Session>() {
            Ok(session) => Credential::Session(session.clone()),
            Err(_) => Credential::Nothing,
        };
        (credential, false)
    }
}

impl<A, I> Layer<I> for Auth<A> {
    type Service = WithUser<I, A>;

    fn layer(&self, inner: I) -> Self::Service {
        WithUser {
            inner,
            auth: self.clone(),
        }
    }
}

/// An application wrapped by [`Auth`].
pub struct WithUser<I, A> {
    inner: I,
    auth: Auth<A>,
}

impl<P, I, A> Application<P> for WithUser<I, A>
where
    P: OpensOverHttp,
    I: Application<P>,
    A: Authenticator,
{
    fn call(
        &self,
        mut scope: Scope<P>,
        mut connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        let (credential, by_subprotocol) = self.auth.credential(&mut scope);
        let outage = Outage::new("a user", self.auth.max_outage);
        let log_in = Arc::new(LogIn {
            authenticator: self.auth.authenticator.clone(),
            credential,
            recheck: self.auth.recheck,
            user: LazyUser::new(&mut scope, outage),
            span: scope.span().clone(),
            is_shown: AtomicBool::new(false),
        });
        scope.insert(UserLookup::<A::User>(log_in.clone()));
        scope.insert(AuthSession(log_in.clone()));
        let revocations = scope.extensions.get_or_insert_default::<Revocations>();
        revocations.add(log_in.clone());
        if by_subprotocol {
            P::on_response(
                &mut connection,
                Box::new(|response| {
                    if response.status == StatusCode::SWITCHING_PROTOCOLS {
                        token::choose(&mut response.headers);
                    }
                    Box::pin(async { Ok(()) })
                }),
            );
        }
        match scope.extensions.remove::<LogInAs<A::User>>() {
            None => LogInFuture::Application {
                future: self.inner.call(scope, connection),
            },
            Some(request) => LogInFuture::LogIn {
                future: Box::pin(respond::<P, A>(request, log_in, connection)),
            },
        }
    }

    fn required_state(&self) -> RequiredState {
        let inner = self.inner.required_state();
        let inner = inner
            .without::<UserLookup<A::User>>()
            .without::<AuthSession<A>>();
        // With tokens alone it needs no session.
        match self.auth.verify {
            Some(_) => inner,
            None => {
                inner.and(<Session as FromScope<P>>::required_state().by("the middleware Auth"))
            }
        }
    }
}

impl<A> Clone for Auth<A> {
    fn clone(&self) -> Self {
        Self {
            authenticator: self.authenticator.clone(),
            recheck: self.recheck,
            max_outage: self.max_outage,
            verify: self.verify.clone(),
        }
    }
}

impl<I: Clone, A> Clone for WithUser<I, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            auth: self.auth.clone(),
        }
    }
}

impl<A> fmt::Debug for Auth<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("recheck", &self.recheck)
            .field("max_outage", &self.max_outage)
            .finish_non_exhaustive()
    }
}

impl<I: fmt::Debug, A> fmt::Debug for WithUser<I, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithUser").field(&self.inner).finish()
    }
}
