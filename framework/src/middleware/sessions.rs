//! The session middleware, for HTTP and WebSocket.

use crate::{
    application::Application,
    channels::Channels,
    error::Result,
    rejection::Rejection,
    required_state::RequiredState,
    revocation::Revocations,
    scope::{OpensOverHttp, Scope},
    session::{
        CookieChange, Expiry, Key, SameSite, Session, SessionBackend, SessionCookie, SessionStore,
        time::Duration,
    },
};
use http::{HeaderValue, header, response};
use std::{borrow::Cow, fmt, future::Future, sync::Arc};
use tower_layer::Layer;

/// Two weeks, as in Django.
const INACTIVITY: Duration = Duration::days(14);

/// Middleware that inserts the client's [`Session`] into the scope and sets its cookie on the
/// response.
///
/// ```
/// use seaway::{Channels, from_service, middleware::Sessions, routing::ProtocolTypeRouter, session::MemoryStore};
///
/// let channels = Channels::in_memory();
/// let app = ProtocolTypeRouter::new()
///     .http(from_service(axum::Router::<()>::new()))
///     .with(Sessions::new(MemoryStore::default(), &channels));
/// ```
///
/// All settings of the cookie, for several hosts of one domain:
///
/// ```
/// use seaway::{Channels, middleware::Sessions, session::{Key, MemoryStore, SameSite}};
///
/// # let channels = Channels::in_memory();
/// let sessions = Sessions::new(MemoryStore::default(), &channels)
///     .cookie_name("shop-session")
///     .domain("shop.example")
///     .path("/account")
///     .same_site(SameSite::Strict)
///     .secure(true)
///     .http_only(true)
///     .private(Key::generate());
/// ```
///
/// By default the cookie is named `session`, lasts 14 days after the last request that read the
/// session, and is `HttpOnly`, `Secure`, `SameSite=Lax` and valid for all paths of this host. A
/// browser stores a `Secure` cookie only over HTTPS; most make an exception for `http://127.0.0.1`.
///
/// An HTTP response gets `Vary: Cookie`, so that a cache does not serve it to another client; serve
/// what is the same for all clients, such as scripts and images, outside this middleware. A
/// response with a status of 500 or more saves nothing, and a session that was to get a new id
/// keeps its old one; a logout takes effect nevertheless. See [`session`](crate::session) for
/// sessions in open WebSocket connections.
#[derive(Clone, Debug)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct Sessions(Arc<SessionsConfig>);

#[derive(Clone)]
struct SessionsConfig {
    backend: SessionBackend,
    cookie: SessionCookie,
}

impl Sessions {
    /// Returns the middleware with this store.
    ///
    /// A logout is announced over `channels`, which closes all connections of the session.
    pub fn new(store: impl SessionStore, channels: &Channels) -> Self {
        Self(Arc::new(SessionsConfig {
            backend: SessionBackend::new(store, channels, Expiry::OnInactivity(INACTIVITY)),
            cookie: SessionCookie::default(),
        }))
    }

    /// Sets when a session expires (default: `Expiry::OnInactivity` after 14 days).
    ///
    /// [`Session::set_expiry`] in an HTTP handler overrides it for one session. With
    /// `OnInactivity`, a request that reads the session renews it (once a tenth of the period has
    /// passed); an open WebSocket renews it only when it saves. `OnSessionEnd` ends when the
    /// browser is closed (and on the server after 14 days), `AtDateTime` at that time.
    pub fn expiry(self, expiry: Expiry) -> Self {
        self.set(|config| config.backend.expiry = expiry)
    }

    /// Sets how long open connections keep their session while all checks of it fail, because the
    /// store returns errors (default: 10 min).
    ///
    /// After that they are closed with 1013 (try again later): a logout may have gone unnoticed.
    /// A session is checked when its connection opens and when announcements may have been missed;
    /// a check that fails is repeated every 10 s. With `std::time::Duration::ZERO` the first check
    /// that fails closes the connection.
    ///
    /// ```
    /// # use seaway::{Channels, middleware::Sessions, session::MemoryStore};
    /// use std::time::Duration;
    ///
    /// # let channels = Channels::in_memory();
    /// let sessions = Sessions::new(MemoryStore::default(), &channels)
    ///     .max_outage(Duration::from_secs(60));
    /// ```
    pub fn max_outage(self, limit: std::time::Duration) -> Self {
        self.set(|config| config.backend.max_outage = limit)
    }

    /// Sets the cookie's name (default: `session`).
    ///
    /// # Panics
    /// If the name is not a valid cookie name.
    #[track_caller]
    pub fn cookie_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        SessionCookie::check_name(&name);
        self.set(|config| config.cookie.set_name(name))
    }

    /// Adds the prefix `__Host-` to the cookie's name: `__Host-session`.
    ///
    /// Browsers then accept the cookie only from this host over HTTPS, so that no other host of the
    /// domain, and nobody on an unencrypted connection, can set one that is sent in its place.
    ///
    /// ```
    /// # use seaway::{Channels, middleware::Sessions, session::MemoryStore};
    /// # let channels = Channels::in_memory();
    /// let sessions = Sessions::new(MemoryStore::default(), &channels).host_prefix();
    /// ```
    ///
    /// It needs the defaults of [`secure`](Sessions::secure), [`path`](Sessions::path) and
    /// [`domain`](Sessions::domain). Cookies under the old name are no longer read.
    pub fn host_prefix(self) -> Self {
        self.set(|config| config.cookie.add_host_prefix())
    }

    /// Sets the cookie's `Path`, below which browsers send it (default: `/`).
    ///
    /// # Panics
    /// If it does not start with `/`, or contains a semicolon or a control character.
    #[track_caller]
    pub fn path(self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        SessionCookie::check_path(&path);
        self.set(|config| config.cookie.path = path)
    }

    /// Sets the cookie's `Domain`, whose hosts all get the cookie (default: only this host).
    ///
    /// # Panics
    /// If it is not a domain, for example because it has a scheme or a port.
    #[track_caller]
    pub fn domain(self, domain: impl Into<Cow<'static, str>>) -> Self {
        let domain = domain.into();
        SessionCookie::check_domain(&domain);
        self.set(|config| config.cookie.domain = Some(domain))
    }

    /// Sets which requests from other sites carry the cookie (default: `Lax`, only those that
    /// follow a link).
    pub fn same_site(self, same_site: SameSite) -> Self {
        self.set(|config| config.cookie.same_site = same_site)
    }

    /// Sets whether the cookie is sent over HTTPS only (default: `true`).
    pub fn secure(self, secure: bool) -> Self {
        self.set(|config| config.cookie.is_secure = secure)
    }

    /// Sets whether the cookie is hidden from scripts in the page (default: `true`).
    pub fn http_only(self, http_only: bool) -> Self {
        self.set(|config| config.cookie.is_http_only = http_only)
    }

    /// Signs the cookie: a forged one does not reach the store.
    pub fn signed(self, key: Key) -> Self {
        self.set(|config| config.cookie.protect_by_signature(key))
    }

    /// Encrypts the cookie: only this server can read it.
    pub fn private(self, key: Key) -> Self {
        self.set(|config| config.cookie.protect_by_encryption(key))
    }

    fn set(mut self, change: impl FnOnce(&mut SessionsConfig)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Omits the store, which may hold secrets.
impl fmt::Debug for SessionsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cookie", &self.cookie)
            .field("expiry", &self.backend.expiry)
            .finish_non_exhaustive()
    }
}

/// Wraps an application.
///
/// # Panics
/// If browsers would reject the cookie: `SameSite::None` and the prefixes `__Secure-` and `__Host-`
/// need `secure(true)`, the latter also the path `/` and no domain.
impl<A> Layer<A> for Sessions {
    type Service = WithSession<A>;

    #[track_caller]
    fn layer(&self, inner: A) -> Self::Service {
        self.0.cookie.check();
        WithSession {
            inner,
            config: self.0.clone(),
        }
    }
}

/// An application wrapped by [`Sessions`].
#[derive(Clone, Debug)]
pub struct WithSession<A> {
    inner: A,
    config: Arc<SessionsConfig>,
}

impl<P: OpensOverHttp, A: Application<P>> Application<P> for WithSession<A> {
    fn call(
        &self,
        mut scope: Scope<P>,
        mut connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        let (had_cookie, id) = self.config.cookie.read(&scope.head.headers);
        let revocations = scope.extensions.get_or_insert_default::<Revocations>();
        let backend = self.config.backend.clone();
        let session = Session::new(id, backend, revocations.change_notifier());
        revocations.add(session.revocation());
        scope.insert(session.clone());
        let visit = SessionVisit {
            config: self.config.clone(),
            session,
            had_cookie,
        };
        P::on_response(
            &mut connection,
            Box::new(|response| Box::pin(visit.conclude(response))),
        );
        self.inner.call(scope, connection)
    }

    fn required_state(&self) -> RequiredState {
        self.inner.required_state().without::<Session>()
    }
}

/// The session of one request, until the response is made.
struct SessionVisit {
    config: Arc<SessionsConfig>,
    session: Session,
    had_cookie: bool,
}

impl SessionVisit {
    /// Saves what has changed, sets or removes the cookie, and ends the session of the old one.
    async fn conclude(self, response: &mut response::Parts) -> Result<(), Rejection> {
        let is_failure = response.status.is_server_error();
        let change = self.session.conclude(is_failure).await;
        if !response.status.is_informational() {
            // The response depends on the cookie, also on its absence, so caches must not share it.
            let vary = HeaderValue::from_static("cookie");
            response.headers.append(header::VARY, vary);
        }
        let cookie = match change? {
            CookieChange::Set { id, max_age } => self.config.cookie.set(id, max_age),
            CookieChange::Remove if self.had_cookie => self.config.cookie.remove(),
            CookieChange::Remove | CookieChange::Keep => return Ok(()),
        };
        response.headers.append(header::SET_COOKIE, cookie);
        // From now on the client gets this cookie, even if a time limit replaces the response.
        Ok(self.session.end_replaced().await?)
    }
}
