//! The middleware that loads the user of a Django session.

use super::{
    cookie,
    database::DjangoDatabase,
    recheck::{Recheck, Rechecks},
    session::DjangoSession,
    sessions::DjangoSessions,
    signing::SecretKeys,
    source::{Client, Tables, UserSource},
    user::DjangoUser,
    view::DjangoView,
};
use crate::{
    application::Application,
    error::{Error, Result},
    message::Close,
    middleware::auth::{
        disconnect,
        lazy_user::LazyUser,
        user::{Identify, UserLookup},
    },
    name::GroupName,
    outage::{MAX_OUTAGE, Outage},
    required_state::RequiredState,
    revocation::{Revocation, Revocations},
    scope::{OpensOverHttp, Scope},
    session::Session,
};
use async_trait::async_trait;
use http::{HeaderValue, header};
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tower_layer::Layer;

/// Django's default authentication backend.
const MODEL_BACKEND: &str = "django.contrib.auth.backends.ModelBackend";
/// Default interval between two checks of an open connection.
const RECHECK: Duration = Duration::from_secs(10);

/// The remedy if an application beside a Django site needs a session of Seaway.
const NOT_DJANGOS_SESSION: &str = "`Session` and #[session] read sessions of Seaway, of the \
                                   middleware Sessions; for a value in the session of Django, \
                                   use a field of the type DjangoSession and its `get`";

/// Middleware that loads the user of a Django session, for the extractors
/// [`User<DjangoUser>`](crate::User) and [`DjangoSession`].
///
/// ```no_run
/// # async fn example(channels: seaway::Channels) -> seaway::Result<()> {
/// use seaway::{
///     Context, NoEvent, Result, WebSocketConsumer,
///     django::{DjangoAuth, DjangoDatabase, DjangoSessions, DjangoUser, SecretKeys},
///     from_service,
///     routing::ProtocolTypeRouter,
/// };
/// # use seaway::{Handshake, Rejection, User};
///
/// struct Inbox { owner: DjangoUser }
/// # impl WebSocketConsumer for Inbox {
/// #     type Input = String; type Event = NoEvent;
/// #     async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
/// #         let User(owner) = handshake.extract().await?;
/// #         Ok(Inbox { owner })
/// #     }
/// #     async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> { Ok(()) }
/// # }
///
/// let database = DjangoDatabase::connect("sqlite:db.sqlite3").await?;
/// let sessions = DjangoSessions::database(&database).await?;
/// let keys = SecretKeys::new("the SECRET_KEY of the site");
/// let app = ProtocolTypeRouter::new()
///     .http(from_service(axum::Router::<()>::new()))
///     .websocket(Inbox::application(&channels))
///     .with(DjangoAuth::new(keys, sessions, &database));
/// # Ok(()) }
/// ```
///
/// A client is logged in if its session is valid, names an accepted
/// [backend](Self::backends), and holds the session hash of the user's current password, made with
/// one of the keys; and if the user is active. Seaway neither renews nor deletes Django's
/// sessions.
///
/// The user is loaded only when a handler, or
/// [`RequireUser`](crate::middleware::RequireUser), asks for it. A connection whose user was asked
/// for is checked when it opens and then every 10 s ([`recheck`](Self::recheck)), with two queries
/// by primary key, which connections with the same cookie share, and closed with 4401 when
/// - the session has ended: logout, `flush()`, a new login, expiry;
/// - the user is inactive, deleted, or no longer has the same password, `is_staff` or
///   `is_superuser`;
/// - Django announces the logout to the session's group, `seaway.session.` and the first 32
///   hexadecimal digits of the SHA-256 of the cookie's value; the guide has the code;
/// - [`Channels::disconnect_user`](crate::Channels::disconnect_user) is called with the user's id.
///
/// ```
/// # use seaway::django::DjangoAuth;
/// # fn example(auth: DjangoAuth) -> DjangoAuth {
/// use std::time::Duration;
///
/// auth.cookie_name("site_session")
///     .backends(["django.contrib.auth.backends.RemoteUserBackend"])
///     .recheck(Duration::from_secs(60))
/// # }
/// ```
///
/// An anonymous connection stays open. While the database does not respond, open connections keep
/// their users for 10 min ([`max_outage`](Self::max_outage)), with a warning in the log, and new
/// ones get 503.
///
/// With [`from_view`](Self::from_view), a view of the site returns the user of a session, and each
/// check is one request to it.
#[derive(Clone)]
pub struct DjangoAuth(Arc<Config>);

#[derive(Clone)]
struct Config {
    source: UserSource,
    cookie_name: String,
    recheck: Duration,
    max_outage: Duration,
}

impl DjangoAuth {
    /// Returns the middleware with the sessions and users of a site.
    pub fn new(keys: SecretKeys, sessions: DjangoSessions, database: &DjangoDatabase) -> Self {
        Self::of(UserSource::Tables(Arc::new(Tables {
            keys,
            sessions,
            database: database.clone(),
            backends: vec![MODEL_BACKEND.to_owned()],
        })))
    }

    /// Returns the middleware that asks a view of the site who a client is, for logins that
    /// Seaway cannot read from tables: backends, session engines and databases of any kind.
    ///
    /// Sessions are not read, so that there is no [`DjangoSession`].
    pub fn from_view(view: DjangoView) -> Self {
        Self::of(UserSource::View(Arc::new(view)))
    }

    fn of(source: UserSource) -> Self {
        Self(Arc::new(Config {
            source,
            cookie_name: "sessionid".to_owned(),
            recheck: RECHECK,
            max_outage: MAX_OUTAGE,
        }))
    }

    /// Sets the name of the session cookie, the setting `SESSION_COOKIE_NAME` (default:
    /// `sessionid`).
    #[must_use]
    pub fn cookie_name(self, name: impl Into<String>) -> Self {
        self.set(|config| config.cookie_name = name.into())
    }

    /// Sets which backends may have logged a user in, the setting `AUTHENTICATION_BACKENDS`
    /// (default: `django.contrib.auth.backends.ModelBackend`).
    ///
    /// A backend's own `get_user` is not called: each is treated as a `ModelBackend`, which admits
    /// active users only, except Django's `AllowAllUsersModelBackend` and
    /// `AllowAllUsersRemoteUserBackend`, which admit the others, too.
    ///
    /// # Panics
    /// If the users come [from a view](Self::from_view), where the backends themselves decide.
    #[must_use]
    #[track_caller]
    pub fn backends<B: Into<String>>(mut self, paths: impl IntoIterator<Item = B>) -> Self {
        let UserSource::Tables(tables) = &mut Arc::make_mut(&mut self.0).source else {
            panic!("the view decides which backends it accepts; remove the call of `backends`");
        };
        Arc::make_mut(tables).backends = paths.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how often the user of an open connection is checked (default: every 10 s).
    ///
    /// # Panics
    /// If the interval is zero.
    #[must_use]
    #[track_caller]
    pub fn recheck(self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "recheck needs a non-zero interval");
        self.set(|config| config.recheck = interval)
    }

    /// Sets how long open connections keep their users while all checks fail, because the database
    /// or view does not respond (default: 10 min).
    ///
    /// After that they are closed with 1013 (try again later): a logout may have gone unnoticed.
    /// With [`Duration::ZERO`] the first check that fails closes them.
    ///
    /// ```
    /// # use seaway::django::DjangoAuth;
    /// # fn example(auth: DjangoAuth) -> DjangoAuth {
    /// use std::time::Duration;
    ///
    /// auth.max_outage(Duration::from_secs(60))
    /// # }
    /// ```
    #[must_use]
    pub fn max_outage(self, limit: Duration) -> Self {
        self.set(|config| config.max_outage = limit)
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

impl<A> Layer<A> for DjangoAuth {
    type Service = WithDjangoUser<A>;

    fn layer(&self, inner: A) -> Self::Service {
        WithDjangoUser {
            inner,
            config: self.0.clone(),
            rechecks: Arc::default(),
        }
    }
}

/// An application wrapped by [`DjangoAuth`].
#[derive(Clone)]
pub struct WithDjangoUser<A> {
    inner: A,
    config: Arc<Config>,
    rechecks: Arc<Rechecks>,
}

impl<P: OpensOverHttp, A: Application<P>> Application<P> for WithDjangoUser<A> {
    fn call(
        &self,
        mut scope: Scope<P>,
        mut connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        let Config {
            source,
            cookie_name,
            ..
        } = &*self.config;
        let cookie = cookie::find(&scope.head.headers, cookie_name);
        let client = source.client(cookie_name, cookie.as_deref());
        if let Some(session) = client.session() {
            scope.extensions.insert(session.clone());
        }
        let outage = Outage::new("a user of Django", self.config.max_outage);
        let log_in = Arc::new(DjangoLogIn {
            client,
            cookie,
            recheck: Recheck::new(&self.rechecks, self.config.recheck),
            user: LazyUser::new(&mut scope, outage),
        });
        let revocations = scope.extensions.get_or_insert_default::<Revocations>();
        revocations.add(Arc::new(LogOut(log_in.clone())));
        revocations.add(log_in.clone());
        scope.insert(UserLookup::<DjangoUser>(log_in.clone()));
        P::on_response(
            &mut connection,
            Box::new(move |response| {
                if log_in.is_read() && !response.status.is_informational() {
                    // Caches must not send this response to another client.
                    let vary = HeaderValue::from_static("cookie");
                    response.headers.append(header::VARY, vary);
                }
                Box::pin(async { Ok(()) })
            }),
        );
        self.inner.call(scope, connection)
    }

    fn required_state(&self) -> RequiredState {
        let required = self.inner.required_state();
        let required = required.without::<UserLookup<DjangoUser>>();
        let required = required.with_remedy::<Session>(NOT_DJANGOS_SESSION);
        match self.config.source {
            UserSource::Tables(_) => required.without::<DjangoSession>(),
            UserSource::View(_) => required,
        }
    }
}

/// The login of one request or handshake.
struct DjangoLogIn {
    client: Client,
    /// The value of the session cookie.
    cookie: Option<String>,
    recheck: Recheck,
    user: LazyUser<DjangoUser>,
}

impl DjangoLogIn {
    /// Returns whether anything was read, so that the response depends on the cookie.
    fn is_read(&self) -> bool {
        self.user.loaded().is_some() || self.client.session().is_some_and(DjangoSession::is_read)
    }
}

#[async_trait]
impl Identify<DjangoUser> for DjangoLogIn {
    async fn identify(&self) -> Result<Option<DjangoUser>> {
        self.user.get_or_load(self.client.user()).await
    }

    fn page(&self) -> Option<&str> {
        self.user.page()
    }
}

/// Closes the connection of a user who is no longer logged in.
#[async_trait]
impl Revocation for DjangoLogIn {
    fn group(&self) -> Option<GroupName> {
        Some(disconnect::group("user", &self.user.known()?.id))
    }

    async fn broken(&self) -> Option<Close> {
        let known = self.user.known()?;
        let cookie = self.cookie.as_deref()?;
        let is_unchanged = async {
            let is_first = self.recheck.is_first();
            // Boxed, as each of the many futures around it would hold it: without optimization, their
            // calls filled the stack of a thread.
            let reading = Box::pin(async {
                match is_first {
                    true => self.client.user_now().await,
                    false => self.client.user_in_turn().await,
                }
            });
            let user = self.recheck.user(cookie, reading).await?;
            Ok::<_, Arc<Error>>(user.is_some_and(|user| user.is_unchanged_since(&known)))
        };
        self.user.check(is_unchanged).await
    }

    fn every(&self) -> Option<Duration> {
        self.user.next_check(Some(self.recheck.next()))
    }
}

/// Closes the connection of a user when Django announces the logout.
struct LogOut(Arc<DjangoLogIn>);

#[async_trait]
impl Revocation for LogOut {
    fn group(&self) -> Option<GroupName> {
        self.0.user.known()?;
        self.0.cookie.as_deref().map(cookie::logout_group)
    }

    async fn broken(&self) -> Option<Close> {
        // The check of the login finds out.
        None
    }
}

impl fmt::Debug for DjangoAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoAuth")
            .field("cookie_name", &self.0.cookie_name)
            .field("recheck", &self.0.recheck)
            .field("max_outage", &self.0.max_outage)
            .finish_non_exhaustive()
    }
}

impl<A: fmt::Debug> fmt::Debug for WithDjangoUser<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WithDjangoUser").field(&self.inner).finish()
    }
}
