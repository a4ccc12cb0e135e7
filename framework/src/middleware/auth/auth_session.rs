//! Log in, log out.

use super::{Authenticator, user::Identify};
use crate::{
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    log_limit::log_limited,
    message::Close,
    name::GroupName,
    rejection::Rejection,
    revocation::{News, Revocation},
    scope::{OpensOverHttp, Scope},
    session::{Session, digest},
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// One visitor's log-in: an extractor for consumers and for axum's handlers.
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
/// ```
pub struct AuthSession<A: Authenticator>(pub(super) Arc<LogIn<A>>);

impl<A: Authenticator> AuthSession<A> {
    /// Who is logged in. Loaded once per page or handshake.
    ///
    /// # Errors
    /// Those of the session store and of [`Authenticator::load`].
    pub async fn user(&self) -> Result<Option<A::User>> {
        self.0.user().await
    }

    /// Who shows these credentials; this logs nobody in yet.
    ///
    /// # Errors
    /// Those of [`Authenticator::authenticate`].
    pub async fn authenticate(&self, credentials: A::Credentials) -> Result<Option<A::User>> {
        self.0.authenticator.authenticate(credentials).await
    }

    /// Logs this user in, on a page or before a socket is open.
    ///
    /// The session gets a new id, so that nobody who knew the old one comes in with it, and sockets opened under the old
    /// one are closed (4401). What the session holds stays, unless it was another user's. All of this happens with the
    /// reply: if that fails (500 or more, or a panic) the session and whoever was logged in stay as they were.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the store fails, if there is no session here, or in an open socket, which cannot set a
    /// cookie.
    pub async fn log_in(&self, user: &A::User) -> Result<()> {
        self.0.log_in(user).await
    }

    /// Logs out: the session and all that it holds is gone, and all its sockets are closed (4401), in every process.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the store fails, or if the client shows a token, which only its issuer can take back.
    pub async fn log_out(&self) -> Result<()> {
        self.0.log_out().await
    }
}

/// What stands behind an [`AuthSession`], and behind the [`User`](super::User)s taken from it.
pub(super) struct LogIn<A: Authenticator> {
    pub(super) authenticator: Arc<A>,
    pub(super) proof: Proof,
    pub(super) recheck: Option<Duration>,
    /// Path and query, if a page was asked for. A copy: a slice would hold hyper's buffer while an answer streams.
    pub(super) page: Option<Box<str>>,
    pub(super) news: News,
    /// Once the reply is made, no cookie can be set.
    pub(super) is_replied: AtomicBool,
    /// Who it is, once somebody has asked.
    pub(super) user: Mutex<Option<Option<A::User>>>,
}

/// What a client shows of who it is.
pub(super) enum Proof {
    Session(Session),
    Token(String, Verify),
    Nothing,
}

/// Finds the id of the user whom a token belongs to.
pub(super) type Verify = Arc<
    dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Option<String>>> + Send>> + Send + Sync,
>;

/// Who is logged in, as a session keeps it.
#[derive(PartialEq, Serialize, Deserialize)]
struct Kept {
    id: String,
    /// The digest of the user's stamp.
    stamp: String,
}

impl<A: Authenticator> LogIn<A> {
    /// Where the session keeps who is logged in.
    fn key() -> String {
        format!("_{}", A::REALM)
    }

    async fn user(&self) -> Result<Option<A::User>> {
        if let Some(known) = &*self.known() {
            return Ok(known.clone());
        }
        let user = self.load().await?;
        *self.known() = Some(user.clone());
        // An open socket rests on its user from now on.
        if self.is_replied.load(Ordering::Acquire) {
            self.news.tell();
        }
        Ok(user)
    }

    /// Who it is now, whatever was known.
    async fn load(&self) -> Result<Option<A::User>> {
        match &self.proof {
            Proof::Nothing => Ok(None),
            Proof::Token(token, verify) => match verify(token.clone()).await? {
                Some(id) => self.authenticator.load(&id).await,
                None => Ok(None),
            },
            Proof::Session(session) => {
                let Some(kept) = session.get::<Kept>(&Self::key()).await? else {
                    return Ok(None);
                };
                let user = self.authenticator.load(&kept.id).await?;
                Ok(user.filter(|user| self.kept(user).stamp == kept.stamp))
            }
        }
    }

    async fn log_in(&self, user: &A::User) -> Result<()> {
        let session = self.session()?;
        if self.is_replied.load(Ordering::Acquire) {
            return Err(refused(
                "an open socket cannot log in, for it cannot set a cookie: log in on a page or in `connect`",
            ));
        }
        let kept = self.kept(user);
        let before = session.get::<Kept>(&Self::key()).await?;
        if before.is_some_and(|before| before.id != kept.id) {
            session.clear().await;
        }
        session.cycle_id().await?;
        session.insert(&Self::key(), kept).await?;
        *self.known() = Some(Some(user.clone()));
        Ok(())
    }

    async fn log_out(&self) -> Result<()> {
        let session = self.session()?;
        match session.id() {
            Some(_) => session.flush().await?,
            // tower-sessions would log a warning, and anyone can log out who is not logged in.
            None => session.clear().await,
        }
        *self.known() = Some(None);
        Ok(())
    }

    /// What a log-in is kept in.
    fn session(&self) -> Result<&Session> {
        match &self.proof {
            Proof::Session(session) => Ok(session),
            Proof::Token(..) => Err(refused(
                "this client shows a token, which neither logs in nor out",
            )),
            Proof::Nothing => Err(refused(
                "there is no session to log in to: put the middleware Sessions around Auth",
            )),
        }
    }

    fn kept(&self, user: &A::User) -> Kept {
        Kept {
            id: self.authenticator.id(user),
            stamp: digest(self.authenticator.stamp(user).as_bytes()),
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Option<A::User>>> {
        let lock = self.user.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::Session, why)
}

#[async_trait]
impl<A: Authenticator> Identify<A::User> for LogIn<A> {
    async fn identify(&self) -> Result<Option<A::User>> {
        self.user().await
    }

    fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }
}

/// A conversation that knows its user rests on that user.
#[async_trait]
impl<A: Authenticator> Revocation for LogIn<A> {
    fn group(&self) -> Option<GroupName> {
        let known = self.known();
        let user = known.as_ref()?.as_ref()?;
        Some(super::disconnect::group(
            A::REALM,
            &self.authenticator.id(user),
        ))
    }

    async fn broken(&self) -> Option<Close> {
        let known = self.known().clone()??;
        match self.load().await {
            Ok(Some(user)) if self.kept(&user) == self.kept(&known) => None,
            Ok(_) => Some(Close::new(Close::UNAUTHORIZED, "log in again")),
            Err(error) => {
                log_limited!(warn, error = %error.chain(), "a user could not be looked at again");
                None
            }
        }
    }

    fn every(&self) -> Option<Duration> {
        self.recheck
    }
}

impl<P: OpensOverHttp, A: Authenticator> FromScope<P> for AuthSession<A> {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(scope.get::<Self>()?.clone())
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
