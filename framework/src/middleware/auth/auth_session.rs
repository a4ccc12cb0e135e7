//! Login and logout.

use super::{Authenticator, lazy_user::LazyUser, user::Identify};
use crate::{
    connection_span::ConnectionSpan,
    digest::digest,
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    message::Close,
    name::GroupName,
    rejection::Rejection,
    required_state::RequiredState,
    revocation::Revocation,
    scope::{OpensOverHttp, Scope},
    session::Session,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    any::type_name,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The login of one client: an extractor for consumers and axum handlers.
///
/// ```
/// use axum::{Form, response::{IntoResponse, Redirect, Response}};
/// use seaway::{Rejection, middleware::{AuthSession, Authenticator}};
/// # #[derive(Clone)] struct Account;
/// # #[derive(serde::Deserialize)] struct Credentials;
/// # struct Accounts;
/// # impl Authenticator for Accounts {
/// #     type User = Account; type Credentials = Credentials;
/// #     fn id(&self, _: &Account) -> String { "1".into() }
/// #     async fn load(&self, _: &str) -> seaway::Result<Option<Account>> { Ok(None) }
/// #     async fn authenticate(&self, _: Credentials) -> seaway::Result<Option<Account>> { Ok(None) }
/// # }
///
/// async fn log_in(auth: AuthSession<Accounts>, Form(credentials): Form<Credentials>) -> Result<Response, Rejection> {
///     let Some(account) = auth.authenticate(credentials).await? else {
///         return Ok("wrong name or password".into_response());
///     };
///     auth.log_in(&account).await?;
///     Ok(Redirect::to("/").into_response())
/// }
///
/// async fn greeting(auth: AuthSession<Accounts>) -> Result<&'static str, Rejection> {
///     Ok(match auth.user().await? {
///         Some(_) => "welcome back",
///         None => "please log in",
///     })
/// }
/// ```
pub struct AuthSession<A: Authenticator>(pub(super) Arc<LogIn<A>>);

impl<A: Authenticator> AuthSession<A> {
    /// Returns the user who is logged in, loaded once per request or handshake.
    ///
    /// # Errors
    /// Those of the session store and of [`Authenticator::load`].
    pub async fn user(&self) -> Result<Option<A::User>> {
        self.0.identify().await
    }

    /// Returns the user with these credentials, without logging in.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`].
    pub async fn authenticate(&self, credentials: A::Credentials) -> Result<Option<A::User>> {
        Ok(self.0.authenticator.authenticate(credentials).await?)
    }

    /// Logs this user in, in an HTTP handler or in `connect`.
    ///
    /// The session gets a new id, so that nobody can use the old one (session fixation), and
    /// connections opened under the old one are closed with 4401. The session keeps its data,
    /// unless it was another user's. All of this takes effect with the response: if that fails (500
    /// or more, or a panic), the session and its user do not change.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the store fails, if there is no session here, or in an open
    /// WebSocket, which cannot set a cookie.
    pub async fn log_in(&self, user: &A::User) -> Result<()> {
        self.0.log_in(user).await
    }

    /// Logs out: deletes the session with all its data, and closes its open connections with 4401,
    /// in every process.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the store fails, or if the client authenticates with a token,
    /// which only its issuer can revoke.
    pub async fn log_out(&self) -> Result<()> {
        self.0.log_out().await
    }
}

/// The state that an [`AuthSession`] and the [`User`](super::User)s of the same connection share.
pub(super) struct LogIn<A: Authenticator> {
    pub(super) authenticator: Arc<A>,
    pub(super) credential: Credential,
    pub(super) recheck: Option<Duration>,
    pub(super) user: LazyUser<A::User>,
    /// The span of the connection, whose log lines show the user.
    pub(super) span: ConnectionSpan,
    /// Whether the span has the field `user`.
    pub(super) is_shown: AtomicBool,
}

/// The means by which a client authenticates.
pub(super) enum Credential {
    Session(Session),
    Token(String, Verify),
    Nothing,
}

/// A function that finds the user's id for a token.
pub(super) type Verify = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Option<String>>> + Send>> + Send + Sync,
>;

/// The user who is logged in, as a session stores it.
#[derive(PartialEq, Serialize, Deserialize)]
struct StoredLogIn {
    id: String,
    /// The digest of the user's stamp.
    stamp: String,
}

impl<A: Authenticator> LogIn<A> {
    /// Returns the session key of the user who is logged in.
    fn key() -> String {
        format!("_{}", A::REALM)
    }

    /// Loads the user again, even if it is cached.
    async fn load(&self) -> Result<Option<A::User>> {
        match &self.credential {
            Credential::Nothing => Ok(None),
            Credential::Token(token, verify) => match verify(token.clone()).await? {
                Some(id) => {
                    let user = self.authenticator.load(&id).await?;
                    Ok(self.found(user, &id))
                }
                None => Ok(None),
            },
            Credential::Session(session) => {
                let Some(kept) = session.get::<StoredLogIn>(&Self::key()).await? else {
                    return Ok(None);
                };
                let user = self.authenticator.load(&kept.id).await?;
                let user = user.filter(|user| self.kept(user).stamp == kept.stamp);
                Ok(self.found(user, &kept.id))
            }
        }
    }

    /// Shows the user in the log lines of the connection.
    fn found(&self, user: Option<A::User>, id: &str) -> Option<A::User> {
        // A subscriber may show a field that is recorded twice twice.
        if user.is_some() && !self.is_shown.swap(true, Ordering::Relaxed) {
            self.span.record("user", id);
        }
        user
    }

    pub(super) async fn log_in(&self, user: &A::User) -> Result<()> {
        let session = self.session()?;
        if session.is_response_made() {
            return Err(session_error(
                "an open WebSocket cannot log in, because it cannot set a cookie: log in in an HTTP handler or in `connect`",
            ));
        }
        let kept = self.kept(user);
        let before = session.get::<StoredLogIn>(&Self::key()).await?;
        if before.is_some_and(|before| before.id != kept.id) {
            session.clear();
        }
        session.cycle_id().await?;
        session.insert_reserved(&Self::key(), kept).await?;
        self.user.set(Some(user.clone()));
        Ok(())
    }

    async fn log_out(&self) -> Result<()> {
        let session = self.session()?;
        session.flush().await?;
        self.user.set(None);
        Ok(())
    }

    /// Returns the session that stores the login.
    fn session(&self) -> Result<&Session> {
        match &self.credential {
            Credential::Session(session) => Ok(session),
            Credential::Token(..) => Err(session_error(
                "this client authenticates with a token, so it cannot log in or out",
            )),
            Credential::Nothing => Err(session_error(
                "there is no session to log in to: wrap Auth in the middleware Sessions",
            )),
        }
    }

    fn kept(&self, user: &A::User) -> StoredLogIn {
        StoredLogIn {
            id: self.authenticator.id(user),
            stamp: digest(self.authenticator.stamp(user).as_bytes()),
        }
    }
}

fn session_error(why: &'static str) -> Error {
    Error::new(ErrorKind::Session, why)
}

#[async_trait]
impl<A: Authenticator> Identify<A::User> for LogIn<A> {
    async fn identify(&self) -> Result<Option<A::User>> {
        self.user.get_or_load(self.load()).await
    }

    fn page(&self) -> Option<&str> {
        self.user.page()
    }
}

/// Closes a connection that has asked for its user when that user loses access.
#[async_trait]
impl<A: Authenticator> Revocation for LogIn<A> {
    fn group(&self) -> Option<GroupName> {
        let id = self.authenticator.id(&self.user.known()?);
        Some(super::disconnect::group(A::REALM, &id))
    }

    async fn broken(&self) -> Option<Close> {
        let known = self.user.known()?;
        let is_unchanged = async {
            let user = self.load().await?;
            Ok::<_, Error>(user.is_some_and(|user| self.kept(&user) == self.kept(&known)))
        };
        self.user.check(is_unchanged).await
    }

    fn every(&self) -> Option<Duration> {
        self.user.next_check(self.recheck)
    }
}

impl<P: OpensOverHttp, A: Authenticator> FromScope<P> for AuthSession<A> {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(scope.state::<Self>()?.clone())
    }

    fn required_state() -> RequiredState {
        let name = format!("an AuthSession<{}>", type_name::<A>());
        RequiredState::from_middleware::<Self>(name, super::WRAP_IN_AUTH)
    }
}

impl<A: Authenticator> Clone for AuthSession<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Authenticator> fmt::Debug for AuthSession<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthSession").finish_non_exhaustive()
    }
}
