//! The session middleware, for HTTP and WebSocket.

use crate::{
    application::Application,
    channels::Channels,
    error::{ErrorKind, Result},
    rejection::Rejection,
    revocation::{News, Revocations},
    scope::{OpensOverHttp, Scope},
    session::{
        Expiry, Key, MAX_REQUEST_AGE, MergingStore, SameSite, Session, SessionCookie, SessionStore,
        time::{Duration, OffsetDateTime},
    },
};
use http::{HeaderMap, HeaderValue, header, response};
use std::{borrow::Cow, fmt, future::Future, sync::Arc};
use tokio::time::Instant;
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
/// By default the cookie is named `session`, lasts 14 days after the last request that read the
/// session, and is `HttpOnly`, `Secure`, `SameSite=Lax` and valid for all paths of this host. A
/// browser stores a `Secure` cookie only over HTTPS; most make an exception for `http://127.0.0.1`.
///
/// An HTTP response gets `Vary: Cookie`, so that a cache does not serve it to another client; serve
/// what is the same for all clients, such as scripts and images, outside this middleware. A
/// response with a status of 500 or more saves nothing, and a session that was to get a new id
/// keeps its old one; a log-out takes effect nevertheless. See [`session`](crate::session) for
/// sessions in open WebSocket connections.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Config>);

#[derive(Clone)]
struct Config {
    store: Arc<dyn SessionStore>,
    /// The channels on which the end of a session is announced.
    channels: Channels,
    cookie: SessionCookie,
    expiry: Expiry,
}

impl Sessions {
    /// Returns the middleware with this store.
    ///
    /// A log-out is announced over `channels`, which closes all connections of the session.
    pub fn new(store: impl SessionStore, channels: &Channels) -> Self {
        Self(Arc::new(Config {
            store: Arc::new(store),
            channels: channels.clone(),
            cookie: SessionCookie::default(),
            expiry: Expiry::OnInactivity(INACTIVITY),
        }))
    }

    /// Sets when a session expires (default: `Expiry::OnInactivity` after 14 days).
    ///
    /// `Session::set_expiry` in an HTTP handler overrides it for one session. With `OnInactivity`,
    /// a request that reads the session renews it (once a tenth of the period has passed); an open
    /// WebSocket renews it only when it saves. `OnSessionEnd` ends when the browser is closed (and
    /// on the server after 14 days), `AtDateTime` at that time.
    #[must_use]
    pub fn expiry(self, expiry: Expiry) -> Self {
        self.set(|config| config.expiry = expiry)
    }

    /// Sets the cookie's name (default: `session`).
    ///
    /// # Panics
    /// If the name is not a valid cookie name.
    #[must_use]
    #[track_caller]
    pub fn cookie_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        SessionCookie::check_name(&name);
        self.set(|config| config.cookie.name = name)
    }

    /// Sets the cookie's `Path`, below which browsers send it (default: `/`).
    ///
    /// # Panics
    /// If it does not start with `/`, or contains a semicolon or a control character.
    #[must_use]
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
    #[must_use]
    #[track_caller]
    pub fn domain(self, domain: impl Into<Cow<'static, str>>) -> Self {
        let domain = domain.into();
        SessionCookie::check_domain(&domain);
        self.set(|config| config.cookie.domain = Some(domain))
    }

    /// Sets which requests from other sites carry the cookie (default: `Lax`, only those that
    /// follow a link).
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> Self {
        self.set(|config| config.cookie.same_site = same_site)
    }

    /// Sets whether the cookie is sent over HTTPS only (default: `true`).
    #[must_use]
    pub fn secure(self, secure: bool) -> Self {
        self.set(|config| config.cookie.is_secure = secure)
    }

    /// Sets whether the cookie is hidden from scripts in the page (default: `true`).
    #[must_use]
    pub fn http_only(self, http_only: bool) -> Self {
        self.set(|config| config.cookie.is_http_only = http_only)
    }

    /// Signs the cookie: a forged one does not reach the store.
    #[must_use]
    pub fn signed(self, key: Key) -> Self {
        self.set(|config| config.cookie.protect_by_signature(key))
    }

    /// Encrypts the cookie: only this server can read it.
    #[must_use]
    pub fn private(self, key: Key) -> Self {
        self.set(|config| config.cookie.protect_by_encryption(key))
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// Omits the store, which may hold secrets.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cookie", &self.cookie)
            .field("expiry", &self.expiry)
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
    config: Arc<Config>,
}

impl<P: OpensOverHttp, A: Application<P>> Application<P> for WithSession<A> {
    fn call(
        &self,
        mut scope: Scope<P>,
        mut connection: P::Connection,
    ) -> impl Future<Output = Result<()>> + Send {
        let news = scope
            .extensions
            .get_or_insert_default::<Revocations>()
            .news();
        let visit = Visit::new(self.config.clone(), news, &scope.head.headers);
        scope.insert(Session::clone(&visit.session));
        let ties = scope.extensions.get_or_insert_default::<Revocations>();
        ties.add(visit.store.clone());
        P::on_response(
            &mut connection,
            Box::new(|reply| Box::pin(visit.end(reply))),
        );
        self.inner.call(scope, connection)
    }
}

/// The session of one request, until the response is made.
struct Visit {
    config: Arc<Config>,
    session: Arc<Session>,
    store: Arc<MergingStore>,
    had_cookie: bool,
    began: Instant,
}

impl Visit {
    fn new(config: Arc<Config>, news: News, headers: &HeaderMap) -> Self {
        let (had_cookie, id) = config.cookie.read(headers);
        let store = MergingStore::new(config.store.clone(), config.channels.clone(), news);
        let store = Arc::new(store);
        let session = Arc::new(Session::new(id, store.clone(), Some(config.expiry)));
        store.attach(&session);
        Self {
            session,
            config,
            store,
            had_cookie,
            began: Instant::now(),
        }
    }

    /// Saves what has changed, and sets or removes the cookie.
    async fn end(self, reply: &mut response::Parts) -> Result<(), Rejection> {
        if let Some(expiry) = self
            .session
            .expiry()
            .filter(|own| *own != self.config.expiry)
        {
            self.store.set_expiry(expiry);
        }
        let saved = match self.conclude(reply).await {
            // Another tab has logged out meanwhile, and its response decides about the cookie.
            Err(error) if error.kind() == ErrorKind::SessionGone => Ok(()),
            saved => saved.map_err(Rejection::from),
        };
        if !reply.status.is_informational() {
            // The response depends on the cookie, also on its absence, so caches must not share it.
            let vary = HeaderValue::from_static("cookie");
            reply.headers.append(header::VARY, vary);
        }
        self.store.note_reply(self.session.id().is_some()).await;
        saved
    }

    async fn conclude(&self, reply: &mut response::Parts) -> Result<()> {
        let missing = self.store.missing();
        if missing.is_some() && self.session.id() == missing {
            // A session that replaces a missing one gets an id that the client has not chosen.
            self.session.cycle_id().await?;
        }
        let is_failure = reply.status.is_server_error();
        match !is_failure && self.is_worth_saving().await {
            true => self.save(reply).await,
            false => self.leave(reply).await,
        }
    }

    async fn save(&self, reply: &mut response::Parts) -> Result<()> {
        self.session.save().await?;
        self.store.end_renewed().await?;
        self.set_cookie(reply);
        Ok(())
    }

    /// Saves nothing: a session that was to get a new id keeps its old one, unless it is empty.
    async fn leave(&self, reply: &mut response::Parts) -> Result<()> {
        if self.session.is_empty().await {
            self.store.end_renewed().await?;
        }
        let is_current = self.began.elapsed() < MAX_REQUEST_AGE;
        if self.store.has_ended() || (is_current && self.store.is_cookie_stale().await) {
            self.remove_cookie(reply);
        }
        Ok(())
    }

    async fn is_worth_saving(&self) -> bool {
        if self.session.is_modified() {
            return !self.session.is_empty().await;
        }
        let (Expiry::OnInactivity(period), Some(expires)) = (self.expiry(), self.store.expires())
        else {
            return false;
        };
        let left = expires - OffsetDateTime::now_utc();
        self.session.id().is_some() && left < period * 0.9
    }

    /// Returns the session's own expiry, or else the configured one.
    fn expiry(&self) -> Expiry {
        self.store.expiry().unwrap_or(self.config.expiry)
    }

    fn set_cookie(&self, reply: &mut response::Parts) {
        let Some(id) = self.session.id() else {
            return;
        };
        let age = match (self.expiry(), self.store.expires()) {
            (Expiry::OnSessionEnd, _) | (_, None) => None,
            (_, Some(expires)) => Some((expires - OffsetDateTime::now_utc()).max(Duration::ZERO)),
        };
        let cookie = self.config.cookie.set(id, age);
        reply.headers.append(header::SET_COOKIE, cookie);
    }

    fn remove_cookie(&self, reply: &mut response::Parts) {
        if self.had_cookie {
            let cookie = self.config.cookie.remove();
            reply.headers.append(header::SET_COOKIE, cookie);
        }
    }
}
