//! Sessions in Django's cache, which is in Redis.

use super::{
    cookie,
    data::{MAX_SESSION, SessionData},
    pickle,
    sessions::{DjangoSessions, Engine},
    signing::SecretKeys,
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    redis_link::{Link, LinkNeeds, LinkSettings, MAX_VALUE, NoInbox, Up, endpoints, remedy},
};
use async_trait::async_trait;
use redis::{RedisError, RedisResult, Value, aio::MultiplexedConnection};
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Timeout of a command. Redis usually replies in well under a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may receive nothing, not even the reply to a ping, before it is replaced.
const SILENCE: Duration = Duration::from_secs(5);

/// Django's cache in Redis (`django.core.cache.backends.redis.RedisCache`), for the session engine
/// `cache`.
///
/// Django pickles what it caches. Let it write JSON instead, which is read without further
/// settings:
///
/// ```python
/// CACHES = {
///     "default": {
///         "BACKEND": "django.core.cache.backends.redis.RedisCache",
///         "LOCATION": "redis://127.0.0.1:6379",
///         "OPTIONS": {"serializer": "django.core.signing.JSONSerializer"},
///     }
/// }
/// ```
///
/// or turn [`pickle`](Self::pickle) on.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::django::{DjangoCache, DjangoSessions};
///
/// let cache = DjangoCache::connect("redis://127.0.0.1:6379").await?;
/// // KEY_PREFIX and VERSION in CACHES.
/// let cache = cache.key_prefix("site").version(2).pickle();
/// let sessions = DjangoSessions::cache(cache);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct DjangoCache {
    link: Arc<Link>,
    /// `KEY_PREFIX`, `VERSION` and the engine's own prefix.
    prefix: String,
    version: u32,
    is_pickle_read: bool,
}

impl DjangoCache {
    /// Connects to the Redis at `redis://[user:password@]host[:port][/database]`, the `LOCATION` of
    /// the cache; or over TLS, a Unix socket, or to the primary that Sentinels know, by the URLs of
    /// [`channels::redis`](crate::channels::redis).
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the URL is invalid, or Redis does not respond or refuses the
    /// connection.
    pub async fn connect(url: &str) -> Result<Self> {
        let unreachable = |error: Error| {
            let message = "cannot connect to Django's cache in Redis";
            Error::new(ErrorKind::Session, message).with_source(error)
        };
        let (_, places) = endpoints(&[url], MAX_VALUE).map_err(unreachable)?;
        let [place] = &places[..] else {
            let message = "Django's cache is on one Redis, not in a Cluster";
            return Err(unreachable(Error::new(ErrorKind::Layer, message)));
        };
        let settings = LinkSettings {
            purpose: "Django's cache",
            silence: SILENCE,
            inbox: Arc::new(NoInbox),
            needs: LinkNeeds::Server,
        };
        let link = Link::open(place, settings).await.map_err(unreachable)?;
        Ok(Self {
            link: Arc::new(link),
            prefix: String::new(),
            version: 1,
            is_pickle_read: false,
        })
    }

    /// Sets the cache's `KEY_PREFIX` (default: none).
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the cache's `VERSION` (default: 1).
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// Reads pickled sessions, too, as Django stores them by default.
    ///
    /// A pickle can call any code in Python; here it is only decoded, and one that holds anything
    /// but dictionaries, lists, texts, numbers, booleans and None is refused, as is a list or
    /// dictionary that occurs twice. A refused session counts as none, and the log says why.
    ///
    /// Unlike the other engines, the cache is not signed: who can write to this Redis can log in as
    /// anybody whose password hash they know.
    #[must_use]
    pub fn pickle(mut self) -> Self {
        self.is_pickle_read = true;
        self
    }
}

impl DjangoSessions {
    /// Reads sessions from Django's cache in Redis, for the engine `cache`.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::django::{DjangoCache, DjangoSessions};
    ///
    /// let cache = DjangoCache::connect("redis://127.0.0.1:6379").await?;
    /// let sessions = DjangoSessions::cache(cache);
    /// # Ok(()) }
    /// ```
    pub fn cache(cache: DjangoCache) -> Self {
        Self(Arc::new(cache))
    }
}

#[async_trait]
impl Engine for DjangoCache {
    async fn read(&self, cookie: &str, _: &SecretKeys) -> Result<Option<SessionData>> {
        if !cookie::is_session_key(cookie) {
            return Ok(None);
        }
        let name = name(&self.prefix, self.version, cookie);
        let mut refused = None;
        let stored = timeout(ANSWER_TIMEOUT, self.stored(&name, &mut refused)).await;
        let decoded = match stored.map_err(|_| late(refused))?? {
            Ok(stored) if stored.is_empty() => return Ok(None),
            Ok(stored) => decode(stored, self.is_pickle_read),
            Err(reason) => Err(reason.to_owned()),
        };
        if let Err(reason) = &decoded {
            log_limited!(warn, reason, "a session in Django's cache was refused");
        }
        Ok(decoded.ok())
    }
}

impl DjangoCache {
    /// Returns the bytes under a name, empty if there are none; or why they are no session.
    /// `refused`: with which error a server refused the command last, if it is sent again.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if Redis is unavailable or refuses.
    async fn stored(
        &self,
        name: &str,
        refused: &mut Option<RedisError>,
    ) -> Result<Result<Vec<u8>, &'static str>> {
        loop {
            let up = self.link.current_primary().await;
            let Up {
                mut connection,
                generation,
                ..
            } = up.map_err(|error| unread("").with_source(error))?;
            let error = match get(name, &mut connection).await {
                Ok(stored) => return Ok(Ok(stored)),
                Err(error) if self.link.replace_if_shifted(generation, &error) => {
                    let why = ": it has replied to another command; check the proxy between this process and Redis";
                    return Err(unread(why).with_source(error));
                }
                // It stays so, unlike any other error.
                Err(error) if error.code() == Some("WRONGTYPE") => {
                    return Ok(Err("its key holds a list, hash, set or stream"));
                }
                Err(error) => refused.insert(error),
            };
            if !self.link.may_repeat(generation, error).await {
                let remedy = remedy(error).unwrap_or_default();
                return Err(unread(remedy).with_source(error.clone()));
            }
        }
    }
}

/// Returns the bytes under a name, empty if there are none.
///
/// # Errors
/// That of Redis; or that of a malformed reply, if the reply is one to another command: all clients
/// share the connection, so it may hold the session of another one. A reply to this command names
/// no session, but that to the ping after it is the right one only if no proxy has lost or added a
/// reply before it.
async fn get(name: &str, connection: &mut MultiplexedConnection) -> RedisResult<Vec<u8>> {
    let number = fastrand::u64(..);
    let mut pipe = redis::pipe();
    // One byte more than is decoded, so that a larger session is refused and not truncated.
    pipe.cmd("GETRANGE").arg(name).arg(0).arg(MAX_SESSION);
    pipe.cmd("PING").arg(number).ignore_errors();
    let replies = pipe.query_async::<(RedisResult<Value>, RedisResult<Value>)>(connection);
    let (stored, pong) = replies.await?;
    if redis::from_redis_value(pong?) != Ok(number) {
        let message = "the reply belongs to another command";
        return Err(RedisError::from((
            redis::ErrorKind::UnexpectedReturnType,
            message,
        )));
    }
    Ok(redis::from_redis_value(stored?)?)
}

fn unread(why: &str) -> Error {
    let message = format!("cannot read a session from Django's cache in Redis{why}");
    Error::new(ErrorKind::Session, message)
}

/// Returns the error after [`ANSWER_TIMEOUT`]. `refused`: with which error a server refused the
/// command last.
fn late(refused: Option<RedisError>) -> Error {
    match refused {
        Some(error) => unread(" within 2 s: no server runs the command").with_source(error),
        None => {
            let message = "Django's cache in Redis has not replied within 2 s";
            Error::new(ErrorKind::Session, message)
        }
    }
}

/// Returns the name of a session in Redis, as Django's default `KEY_FUNCTION` does.
fn name(prefix: &str, version: u32, key: &str) -> String {
    format!("{prefix}:{version}:django.contrib.sessions.cache{key}")
}

/// Decodes a cached session.
///
/// # Errors
/// The reason why it was refused.
fn decode(stored: Vec<u8>, is_pickle_read: bool) -> Result<SessionData, String> {
    // Each pickle since protocol 2 starts with this byte, and no JSON does.
    if stored.first() != Some(&0x80) {
        return SessionData::from_json(stored)
            .ok_or_else(|| "it is neither JSON nor a pickle, or too large".to_owned());
    }
    if !is_pickle_read {
        return Err("it is a pickle: let Django write JSON with the serializer \
                    django.core.signing.JSONSerializer, or use DjangoCache::pickle"
            .to_owned());
    }
    let values = pickle::decode(&stored).map_err(|refusal| refusal.to_string())?;
    let json = serde_json::to_vec(&values).map_err(|error| error.to_string())?;
    SessionData::from_json(json).ok_or_else(|| "it is too large".to_owned())
}

/// Omits the address, which may hold a password.
impl fmt::Debug for DjangoCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoCache")
            .field("prefix", &self.prefix)
            .field("version", &self.version)
            .field("is_pickle_read", &self.is_pickle_read)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::vectors::{Vectors, text},
        *,
    };

    #[test]
    fn a_session_has_the_name_that_django_gives_it_in_redis() {
        let vectors = Vectors::read();
        let stored = |name: &str| {
            let mut cached = vectors.cache_backend_redis.iter();
            cached.any(|cached| text(cached, "key") == name)
        };
        let key = |engine| text(&vectors.cache_backend_redis_keys, engine);

        assert!(stored(&name("", 1, key("cache"))));
        // This engine has another name there, and its row is read instead.
        assert!(stored(&format!(
            ":1:django.contrib.sessions.cached_db{}",
            key("cached_db")
        )));
        assert!(!stored(&name("", 1, key("cached_db"))));
    }

    #[test]
    fn json_is_always_read_and_a_pickle_only_on_request() {
        let pickle = b"\x80\x05}\x8c\x01aK\x01s.".to_vec();
        let json = b"{\"a\": 1}".to_vec();

        assert!(decode(json.clone(), false).is_ok());
        assert!(decode(json, true).is_ok());
        let data = decode(pickle.clone(), true).unwrap();
        assert_eq!(data.get::<u8>("a").unwrap(), Some(1));
        assert!(
            decode(pickle, false)
                .unwrap_err()
                .contains("JSONSerializer")
        );
        assert!(decode(b"7".to_vec(), true).is_err());
        assert!(decode(b"\x80".to_vec(), true).is_err());
    }
}
