//! A session store in Redis.

use super::{Id, Record, SessionStore, session_store};
use crate::{
    error::{Error, ErrorKind, Result},
    redis_link::{
        Hosts, Link, LinkNeeds, LinkSettings, MAX_VALUE, NoInbox, Up, endpoints, error_text, remedy,
    },
};
use async_trait::async_trait;
use cookie::time::OffsetDateTime;
use futures_util::future::try_join_all;
use redis::RedisError;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Timeout of a command. Redis usually replies in well under a millisecond.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest session, in bytes of JSON: each request reads it.
const MAX_SESSION: usize = 1024 * 1024;
/// How long a connection may receive nothing, not even the reply to a ping, before it is replaced.
const SILENCE: Duration = Duration::from_secs(5);

/// A session store in Redis.
///
/// Each session is one key, `seaway:session:` and the id, which Redis deletes when the session
/// expires.
///
/// ```no_run
/// # async fn example(channels: seaway::Channels) -> seaway::Result<()> {
/// use seaway::{middleware::Sessions, session::RedisStore};
///
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// let sessions = Sessions::new(store, &channels);
/// # Ok(()) }
/// ```
///
/// A save is atomic and writes only a session that still exists, so it never undoes a logout. A
/// Redis that restores an older snapshot does: `docs/sessions.md` says what to do then.
/// While Redis is unreachable, every operation fails immediately, or, while a new primary is looked
/// for, within 2 s; the store reconnects for as long
/// as it exists. A command that a server refuses because another one has become the primary, and
/// those that come before the store has found that one, are sent to it, within 2 s.
///
/// A session of more than 1 MiB of JSON is not saved: the request fails with an error that says so.
#[derive(Clone)]
pub struct RedisStore {
    /// One for each server, or for each shard of a Cluster.
    links: Arc<[Link]>,
    hosts: Hosts,
    prefix: Arc<str>,
}

/// A session as stored in Redis, in JSON.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The id, so that the reply to another command is not taken for this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    data: HashMap<String, serde_json::Value>,
    /// Seconds since 1970.
    expires: i64,
}

impl RedisStore {
    /// Connects to the Redis at `redis://[user:password@]host[:port][/database]`, or another form
    /// of URL: TLS, Unix socket, Sentinels, and Cluster, as
    /// [`channels::redis`](crate::channels::redis) lists them.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the URL is invalid, or Redis does not respond or refuses the
    /// connection.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_all([url]).await
    }

    /// Connects to several independent servers, among which the sessions are shared by a hash of
    /// their keys.
    ///
    /// All processes must list the same servers in the same order: with another list, most sessions
    /// are looked for where they are not. While one server is unavailable, its sessions are.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::session::RedisStore;
    ///
    /// let store = RedisStore::connect_all(["redis://10.0.0.1", "redis://10.0.0.2"]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), if one of them does not respond, if there is none, and
    /// if one of several is a Cluster.
    pub async fn connect_all<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let urls: Vec<_> = urls.into_iter().collect();
        let (hosts, places) = endpoints(&urls, MAX_VALUE).map_err(session_error)?;
        let settings = || LinkSettings {
            purpose: "sessions",
            silence: SILENCE,
            inbox: Arc::new(NoInbox),
            needs: LinkNeeds::Primary,
        };
        let opening = places.iter().map(|place| Link::open(place, settings()));
        let links = try_join_all(opening).await.map_err(session_error)?;
        Ok(Self {
            links: links.into(),
            hosts,
            prefix: Arc::from("seaway:session:"),
        })
    }

    /// Sets the prefix of the keys (default: `seaway:session:`).
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Arc::from(prefix);
        self
    }

    /// Returns the key of a session, and the link to the server that has it.
    fn key(&self, id: &Id) -> (String, &Link) {
        let key = format!("{}{id}", self.prefix);
        let host = self.hosts.of(&key);
        (format!("{}{key}", self.hosts.tag(host)), &self.links[host])
    }

    /// Writes if `condition` holds (`NX`: the key does not exist, `XX`: it exists); returns whether
    /// it has written.
    async fn set(&self, record: &Record, condition: &str) -> session_store::Result<bool> {
        let stored = Stored {
            id: Some(record.id.to_string()),
            data: record.data.clone(),
            expires: record.expiry_date.unix_timestamp(),
        };
        let json = serde_json::to_vec(&stored)
            .map_err(|error| session_store::Error::Encode(error.to_string()))?;
        if json.len() > MAX_SESSION {
            return Err(session_store::Error::Encode(format!(
                "a session of {} bytes of JSON exceeds the limit of {MAX_SESSION}: store large values elsewhere, and their ids in the session",
                json.len()
            )));
        }
        // Values are nested more deeply than the decoder accepts.
        serde_json::from_slice::<Stored>(&json).map_err(|error| {
            session_store::Error::Encode(format!(
                "a session that could not be read again ({error}): nest its values less deeply"
            ))
        })?;
        let left = record.expiry_date - OffsetDateTime::now_utc();
        let (key, link) = self.key(&record.id);
        let mut command = redis::cmd("SET");
        command.arg(key).arg(json);
        // Redis rejects an expiry of zero, so a session that has expired already lasts one second.
        command.arg("EX").arg(left.whole_seconds().max(1));
        command.arg(condition);
        let outcome: Option<String> = run_command(link, &command).await?;
        Ok(outcome.is_some())
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        while !self.set(record, "NX").await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        match self.set(record, "XX").await? {
            true => Ok(()),
            false => Err(session_store::Error::Backend(
                "the session does not exist".to_owned(),
            )),
        }
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let (key, link) = self.key(id);
        let json: Option<Vec<u8>> = run_command(link, redis::cmd("GET").arg(key)).await?;
        let Some(json) = json else {
            return Ok(None);
        };
        let decode = |error: &dyn fmt::Display| session_store::Error::Decode(error.to_string());
        let stored: Stored = serde_json::from_slice(&json).map_err(|error| decode(&error))?;
        if stored.id.is_some_and(|stored| stored != id.to_string()) {
            return Err(decode(
                &"it is the session of another id: a proxy before Redis has lost or added a reply",
            ));
        }
        let expiry_date = OffsetDateTime::from_unix_timestamp(stored.expires);
        Ok(Some(Record {
            id: *id,
            data: stored.data,
            expiry_date: expiry_date.map_err(|error| decode(&error))?,
        }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let (key, link) = self.key(id);
        let _: usize = run_command(link, redis::cmd("DEL").arg(key)).await?;
        Ok(())
    }
}

/// Converts an error of the Redis link, whose kind is `Layer`, into one of kind `Session`.
fn session_error(error: Error) -> Error {
    Error::new(
        ErrorKind::Session,
        "cannot connect the session store to Redis",
    )
    .with_source(error)
}

/// Runs a command; again, if a server refused it because another one is the primary, or was left
/// for that reason before it replied: each command of the store may run twice.
async fn run_command<T: redis::FromRedisValue>(
    link: &Link,
    command: &redis::Cmd,
) -> session_store::Result<T> {
    let mut refused = None;
    let command = async {
        loop {
            let Up {
                mut connection,
                generation,
                ..
            } = link
                .current_primary()
                .await
                .map_err(|error| error.to_string())?;
            let error: RedisError = match command.query_async(&mut connection).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if link.replace_if_shifted(generation, &error) {
                return Err("Redis has replied to another session command".to_owned());
            }
            let error = refused.insert(error);
            if !link.may_repeat(generation, error).await {
                let remedy = remedy(error).unwrap_or_default();
                let error = error_text(error);
                return Err(format!(
                    "a session command failed in Redis{remedy}: {error}"
                ));
            }
        }
    };
    let outcome = timeout(RESPONSE_TIMEOUT, command).await;
    let outcome = outcome.unwrap_or_else(|_| {
        Err(match refused {
            Some(error) => {
                let error = error_text(&error);
                format!("no server has run a session command within 2 s: {error}")
            }
            None => "Redis has not replied within 2 s".to_owned(),
        })
    });
    outcome.map_err(session_store::Error::Backend)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis_link::FakeNode;
    use tokio::time::{Instant, sleep};

    /// Waits until the store can load sessions of all shards.
    async fn until_it_loads(store: &RedisStore) -> Duration {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            let loading = (0..100).map(|_| async { store.load(&Id::default()).await });
            match try_join_all(loading).await {
                Ok(_) => return start.elapsed(),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("it does not load");
    }

    /// A store, the primary that it uses, another node, and one that knows of no change.
    struct Nodes {
        store: RedisStore,
        old: FakeNode,
        new: FakeNode,
        _stale: FakeNode,
    }

    async fn nodes() -> Nodes {
        let (stale, old, new) = (
            FakeNode::start().await,
            FakeNode::start().await,
            FakeNode::start().await,
        );
        for node in [&stale, &old, &new] {
            node.names(old.port(), 5);
        }
        let ports = [&stale, &new].map(|node| format!("127.0.0.1:{}", node.port()));
        let url = format!("redis+cluster://{}", ports.join(","));
        let store = RedisStore::connect(&url).await.unwrap();
        until_it_loads(&store).await;
        Nodes {
            store,
            old,
            new,
            _stale: stale,
        }
    }

    #[tokio::test]
    async fn a_store_leaves_a_killed_primary_that_a_node_still_names() {
        let Nodes {
            store, old, new, ..
        } = nodes().await;

        old.stop();
        new.names(new.port(), 6);

        let waited = until_it_loads(&store).await;
        assert!(waited < Duration::from_secs(2), "{waited:?}");
    }

    #[tokio::test]
    async fn a_load_follows_a_primary_that_was_replaced_while_a_node_still_names_it() {
        let Nodes {
            store, old, new, ..
        } = nodes().await;

        for node in [&old, &new] {
            node.names(new.port(), 6);
        }

        let loading = (0..100).map(|_| async { store.load(&Id::default()).await });
        try_join_all(loading).await.expect("no load fails");
    }
}
