//! The session of each visitor, in pages and sockets alike.

use crate::{
    application::Application,
    channels::Channels,
    error::{ErrorKind, Result},
    rejection::Rejection,
    revocation::{News, Revocations},
    scope::{OpensOverHttp, Scope},
    session::{
        Expiry, Key, MergingStore, SameSite, Session, SessionCookie, SessionStore, UNDER_WAY,
        time::{Duration, OffsetDateTime},
    },
};
use http::{HeaderMap, HeaderValue, header, response};
use std::{borrow::Cow, fmt, future::Future, sync::Arc};
use tokio::time::Instant;
use tower_layer::Layer;

/// Two weeks, as in Django.
const INACTIVITY: Duration = Duration::days(14);

/// Puts the visitor's [`Session`] into the scope of pages and sockets, and its cookie on the reply.
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
/// The cookie is named `session`, lasts two weeks after the last visit that looked into the session, and is `HttpOnly`,
/// `Secure`, `SameSite=Lax` and for all paths of this host, unless you say otherwise. A browser keeps a `Secure` cookie
/// only if it comes over HTTPS; on `http://127.0.0.1` most make an exception.
///
/// A page carries `Vary: Cookie`, so that a cache on the way keeps nobody's page for somebody else; what is for all, such
/// as scripts and pictures, is better served outside. A reply with a status of 500 or more saves nothing, and
/// leaves a session that was to get a new id under its old one; a log-out holds all the same. See
/// [`session`](crate::session) for what sockets may do.
#[derive(Clone, Debug)]
pub struct Sessions(Arc<Config>);

#[derive(Clone)]
struct Config {
    store: Arc<dyn SessionStore>,
    /// Where the end of a session is announced.
    channels: Channels,
    cookie: SessionCookie,
    expiry: Expiry,
}

impl Sessions {
    /// Sessions in this store. The channels carry the news of a log-out to all sockets of the session.
    pub fn new(store: impl SessionStore, channels: &Channels) -> Self {
        Self(Arc::new(Config {
            store: Arc::new(store),
            channels: channels.clone(),
            cookie: SessionCookie::default(),
            expiry: Expiry::OnInactivity(INACTIVITY),
        }))
    }

    /// When a session ends by itself, unless `Session::set_expiry` on a page gives it an expiry of its own. Default `Expiry::OnInactivity` after 14 days.
    ///
    /// On inactivity, a visit that looks into the session renews it (once a tenth of the period has passed); what an open
    /// socket does is no visit unless it saves. `OnSessionEnd` ends when the browser is closed (and on the server after 14 days), `AtDateTime` at that
    /// moment.
    #[must_use]
    pub fn expiry(self, expiry: Expiry) -> Self {
        self.set(|config| config.expiry = expiry)
    }

    /// The cookie's name. Default `session`.
    ///
    /// # Panics
    /// If a cookie can have no such name.
    #[must_use]
    #[track_caller]
    pub fn cookie_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        SessionCookie::check_name(&name);
        self.set(|config| config.cookie.name = name)
    }

    /// The path below which the cookie is sent. Default `/`.
    ///
    /// # Panics
    /// If it does not start with `/`.
    #[must_use]
    #[track_caller]
    pub fn path(self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        SessionCookie::check_path(&path);
        self.set(|config| config.cookie.path = path)
    }

    /// The domain whose hosts all get the cookie. Default: only this host.
    ///
    /// # Panics
    /// If it is no domain, because it has a scheme or a port for instance.
    #[must_use]
    #[track_caller]
    pub fn domain(self, domain: impl Into<Cow<'static, str>>) -> Self {
        let domain = domain.into();
        SessionCookie::check_domain(&domain);
        self.set(|config| config.cookie.domain = Some(domain))
    }

    /// Which requests from other sites carry the cookie. Default `Lax`: only those that follow a link.
    #[must_use]
    pub fn same_site(self, same_site: SameSite) -> Self {
        self.set(|config| config.cookie.same_site = same_site)
    }

    /// Whether the cookie is for HTTPS alone. Default `true`.
    #[must_use]
    pub fn secure(self, secure: bool) -> Self {
        self.set(|config| config.cookie.is_secure = secure)
    }

    /// Whether the cookie is hidden from the page's scripts. Default `true`.
    #[must_use]
    pub fn http_only(self, http_only: bool) -> Self {
        self.set(|config| config.cookie.is_http_only = http_only)
    }

    /// Signs the cookie: a forged one does not reach the store.
    #[must_use]
    pub fn signed(self, key: Key) -> Self {
        self.set(|config| config.cookie.protect_by_signature(key))
    }

    /// Encrypts the cookie: nobody but this server reads it.
    #[must_use]
    pub fn private(self, key: Key) -> Self {
        self.set(|config| config.cookie.protect_by_encryption(key))
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// A store may hold what nobody else shall see, so it is not shown.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("cookie", &self.cookie)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

/// It panics if browsers would refuse the cookie: `SameSite::None` and the prefixes `__Secure-` and `__Host-` need
/// `secure(true)`, the latter also the path `/` and no domain.
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

/// What [`Sessions`] makes of an application.
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
        P::on_reply(
            &mut connection,
            Box::new(|reply| Box::pin(visit.end(reply))),
        );
        self.inner.call(scope, connection)
    }
}

/// From the request to the reply.
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
    async fn end(self, reply: &mut response::Parts) {
        if let Some(expiry) = self
            .session
            .expiry()
            .filter(|own| *own != self.config.expiry)
        {
            self.store.set_expiry(expiry);
        }
        match self.conclude(reply).await {
            Ok(()) => {}
            // Another tab has logged out meanwhile, and has the last word on the cookie.
            Err(error) if error.kind() == ErrorKind::SessionGone => {}
            Err(error) => {
                reply.extensions.insert(Rejection::from(error));
            }
        }
        if !reply.status.is_informational() {
            // What a visitor is told depends on the cookie, also on there being none: it is not for everybody's cache.
            let vary = HeaderValue::from_static("cookie");
            reply.headers.append(header::VARY, vary);
        }
        self.store.note_reply(self.session.id().is_some()).await;
    }

    async fn conclude(&self, reply: &mut response::Parts) -> Result<()> {
        let missing = self.store.missing();
        if missing.is_some() && self.session.id() == missing {
            // A session that begins in place of one that is not there gets an id that the client has not chosen.
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

    /// Saves nothing: a session that was to get a new id stays under its old one, unless nothing is left in it.
    async fn leave(&self, reply: &mut response::Parts) -> Result<()> {
        if self.session.is_empty().await {
            self.store.end_renewed().await?;
        }
        let is_current = self.began.elapsed() < UNDER_WAY;
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

    /// The session's own, or else everybody's.
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
