//! Where Django stores its sessions: the setting `SESSION_ENGINE`.

use super::{
    cookie,
    data::SessionData,
    database::DjangoDatabase,
    signing::{COOKIE_SALT, ROW_SALT, SecretKeys},
};
use crate::{error::Result, log_limit::log_limited};
use async_trait::async_trait;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The place where Django stores its sessions: the setting `SESSION_ENGINE`.
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
}

impl DjangoSessions {
    /// Reads sessions from the table `django_session`, for the engines `db` and `cached_db`.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if there is no such table, or the database
    /// does not respond.
    pub async fn database(database: &DjangoDatabase) -> Result<Self> {
        database.check_sessions().await?;
        Ok(Self(Arc::new(Rows(database.clone()))))
    }

    /// Reads sessions from the cookie itself, for the engine `signed_cookies`.
    ///
    /// `max_age` is the setting `SESSION_COOKIE_AGE`: 14 days, unless the site sets another. A
    /// cookie of this engine stays valid after a log-out, in Django as well, until it is older, or
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
}

impl fmt::Debug for DjangoSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DjangoSessions").field(&self.0).finish()
    }
}

/// The engines `db` and `cached_db`, which store the same rows.
#[derive(Debug)]
struct Rows(DjangoDatabase);

#[async_trait]
impl Engine for Rows {
    async fn read(&self, cookie: &str, keys: &SecretKeys) -> Result<Option<SessionData>> {
        if !cookie::is_session_key(cookie) {
            return Ok(None);
        }
        let Some(signed) = self.0.session(cookie).await? else {
            return Ok(None);
        };
        let unsigned = keys.unsign(ROW_SALT, &signed);
        let data = unsigned.and_then(|unsigned| unsigned.decode());
        if data.is_none() {
            // No client can write there, so this is a mistake of the operator.
            log_limited!(
                warn,
                "a Django session is not signed with this secret key: use the SECRET_KEY and \
                 SECRET_KEY_FALLBACKS of the site"
            );
        }
        Ok(data)
    }
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
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(signed_at) <= max_age
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
