//! Where Django stores its sessions: the setting `SESSION_ENGINE`.

use super::{
    cookie,
    data::SessionData,
    database::DjangoDatabase,
    signing::{COOKIE_SALT, ROW_SALT, SecretKeys},
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
};
use async_trait::async_trait;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How often a session is read again that others have changed before it was written.
const ATTEMPTS: usize = 5;

/// The session store of a Django site: its setting `SESSION_ENGINE`.
///
/// | `SESSION_ENGINE` | |
/// | --- | --- |
/// | `…backends.db`, `…backends.cached_db` | [`database`](Self::database) |
/// | `…backends.signed_cookies` | [`signed_cookies`](Self::signed_cookies) |
/// | `…backends.cache` in Redis | `cache`, with the feature `redis` |
///
/// ```no_run
/// # use seaway::django::DjangoDatabase;
/// # async fn example(database: DjangoDatabase) -> seaway::Result<()> {
/// use seaway::django::DjangoSessions;
/// use std::time::Duration;
///
/// let rows = DjangoSessions::database(&database).await?;
/// let cookies = DjangoSessions::signed_cookies(Duration::from_secs(14 * 24 * 3600));
/// # Ok(()) }
/// ```
///
/// The engine `file` and engines of other packages are not supported.
#[derive(Clone)]
pub struct DjangoSessions(pub(super) Arc<dyn Engine>);

/// A session engine of Django.
#[async_trait]
pub(super) trait Engine: fmt::Debug + Send + Sync {
    async fn read(&self, cookie: &str, keys: &SecretKeys) -> Result<Option<SessionData>>;

    /// Replaces the values of a session by the JSON that `change` makes of them, unless it has
    /// ended.
    async fn write(
        &self,
        _cookie: &str,
        _keys: &SecretKeys,
        _change: &Change<'_>,
    ) -> Result<SessionData> {
        Err(read_only())
    }
}

pub(super) type Change<'a> = dyn Fn(&SessionData) -> Result<String> + Sync + 'a;

impl DjangoSessions {
    /// Reads sessions from the table `django_session`, for the engines `db` and `cached_db`.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if there is no such table, or the database
    /// does not respond.
    pub async fn database(database: &DjangoDatabase) -> Result<Self> {
        Self::rows(database, false).await
    }

    /// Reads and [writes](super::DjangoSession::write) sessions in the table `django_session`, for
    /// the engine `db`.
    ///
    /// With `cached_db`, Django would still have the old values in its cache, and write them back.
    ///
    /// ```no_run
    /// # use seaway::django::{DjangoDatabase, DjangoSessions};
    /// # async fn example(database: DjangoDatabase) -> seaway::Result<()> {
    /// let sessions = DjangoSessions::writable_database(&database).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`database`](Self::database).
    pub async fn writable_database(database: &DjangoDatabase) -> Result<Self> {
        Self::rows(database, true).await
    }

    async fn rows(database: &DjangoDatabase, is_writable: bool) -> Result<Self> {
        database.check_sessions().await?;
        let database = database.clone();
        Ok(Self(Arc::new(Rows {
            database,
            is_writable,
        })))
    }

    /// Reads sessions from the cookie itself, for the engine `signed_cookies`.
    ///
    /// `max_age` is the setting `SESSION_COOKIE_AGE`: 14 days, unless the site sets another. A
    /// cookie of this engine stays valid after a logout, in Django as well, until it is older, or
    /// the user's password changes.
    pub fn signed_cookies(max_age: Duration) -> Self {
        Self(Arc::new(SignedCookies { max_age }))
    }

    /// Returns the session that the cookie with this value leads to.
    pub(super) async fn read(
        &self,
        cookie: &str,
        keys: &SecretKeys,
    ) -> Result<Option<SessionData>> {
        self.0.read(cookie, keys).await
    }

    /// Replaces the values of the session that the cookie leads to.
    pub(super) async fn write(
        &self,
        cookie: &str,
        keys: &SecretKeys,
        change: &Change<'_>,
    ) -> Result<SessionData> {
        self.0.write(cookie, keys, change).await
    }
}

impl fmt::Debug for DjangoSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DjangoSessions").field(&self.0).finish()
    }
}

/// The engines `db` and `cached_db`, which store the same rows.
#[derive(Debug)]
struct Rows {
    database: DjangoDatabase,
    is_writable: bool,
}

#[async_trait]
impl Engine for Rows {
    async fn read(&self, cookie: &str, keys: &SecretKeys) -> Result<Option<SessionData>> {
        if !cookie::is_session_key(cookie) {
            return Ok(None);
        }
        let signed = self.database.session(cookie).await?;
        Ok(signed.and_then(|signed| row(&signed, keys)))
    }

    async fn write(
        &self,
        cookie: &str,
        keys: &SecretKeys,
        change: &Change<'_>,
    ) -> Result<SessionData> {
        if !self.is_writable {
            return Err(read_only());
        }
        let gone = || Error::new(ErrorKind::SessionGone, "the Django session has ended");
        if !cookie::is_session_key(cookie) {
            return Err(gone());
        }
        for _ in 0..ATTEMPTS {
            let signed = self.database.session(cookie).await?.ok_or_else(gone)?;
            let json = change(&row(&signed, keys).ok_or_else(gone)?)?;
            let changed = keys.sign(ROW_SALT, &json, since_1970(SystemTime::now()).as_secs());
            if self
                .database
                .replace_session(cookie, &signed, &changed)
                .await?
            {
                let data = SessionData::from_json(json.into_bytes());
                return Ok(data.expect("it is a JSON object of a checked size"));
            }
        }
        let message = "cannot write a Django session: others have changed it each time; try again";
        Err(Error::new(ErrorKind::Session, message))
    }
}

/// Decodes the values of a row.
fn row(signed: &str, keys: &SecretKeys) -> Option<SessionData> {
    // No client can write there, so each of these is a mistake of the operator.
    let Some(unsigned) = keys.unsign(ROW_SALT, signed) else {
        log_limited!(
            warn,
            "cannot read a Django session: it is not signed with this secret key (use the \
             SECRET_KEY and SECRET_KEY_FALLBACKS of the site), or the site has a SessionStore of \
             its own (use DjangoAuth::from_view)"
        );
        return None;
    };
    let data = unsigned.decode();
    if data.is_none() {
        log_limited!(
            warn,
            "cannot read a Django session: it is larger than 1 MiB, or the site has another \
             SESSION_SERIALIZER than JSON (use DjangoAuth::from_view)"
        );
    }
    data
}

fn read_only() -> Error {
    Error::new(
        ErrorKind::Session,
        "these Django sessions are only read: with SESSION_ENGINE db, create them with \
         DjangoSessions::writable_database",
    )
}

/// The engine `signed_cookies`.
#[derive(Debug)]
struct SignedCookies {
    max_age: Duration,
}

#[async_trait]
impl Engine for SignedCookies {
    async fn read(&self, cookie: &str, keys: &SecretKeys) -> Result<Option<SessionData>> {
        let unsigned = keys.unsign(COOKIE_SALT, cookie);
        let fresh = unsigned
            .filter(|unsigned| is_fresh(unsigned.timestamp, self.max_age, SystemTime::now()));
        Ok(fresh.and_then(|unsigned| unsigned.decode()))
    }
}

/// Returns whether a cookie that was signed at this time, in seconds since 1970, still counts.
fn is_fresh(signed_at: i64, max_age: Duration, now: SystemTime) -> bool {
    let signed_at = Duration::from_secs(signed_at.try_into().unwrap_or(0));
    since_1970(now).saturating_sub(signed_at) <= max_age
}

fn since_1970(now: SystemTime) -> Duration {
    now.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_counts_until_it_is_older_than_its_age() {
        let now = UNIX_EPOCH + Duration::from_millis(1_700_000_100_000);
        for (signed_at, age, is_expected) in [
            (1_700_000_000, 100, true),
            (1_700_000_000, 99, false),
            (1_700_000_200, 0, true),
            (-1, 100, false),
            (i64::MAX, 0, true),
        ] {
            let max_age = Duration::from_secs(age);
            assert_eq!(
                is_fresh(signed_at, max_age, now),
                is_expected,
                "{signed_at}"
            );
        }
        let later = now + Duration::from_millis(1);
        assert!(!is_fresh(1_700_000_000, Duration::from_secs(100), later));
    }
}
