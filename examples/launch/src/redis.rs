//! The Redis that a user named.

use seaway::{Channels, Error, ErrorKind, Result, channels::redis::RedisConfig};
use std::{env, fmt};

/// A Redis, and what its user can do if it does not work.
///
/// It is shown without the password that its URL may hold.
pub struct Redis {
    url: String,
    /// What its user is told beside the reason if it does not work.
    advice: &'static str,
}

impl Redis {
    /// The one that `REDIS_URL` names; none if that is unset or empty.
    pub fn from_env() -> Option<Self> {
        let url = env::var_os("REDIS_URL").filter(|url| !url.is_empty())?;
        Some(Self {
            url: url.to_string_lossy().into_owned(),
            advice: "given by REDIS_URL; unset that to serve without",
        })
    }

    /// The one that an option `--redis` names.
    pub fn from_option(url: String) -> Self {
        let advice = "given by --redis; leave that out to serve without";
        Self { url, advice }
    }

    /// The one that may be on this machine.
    pub fn on_this_machine() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            advice: "REDIS_URL may name another",
        }
    }

    /// Connects to it; `configure` sets at least a prefix that no other program on this Redis has.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`], with the reason and what the user of the program can do; [`ErrorKind::Name`] if the prefix
    /// is none.
    pub async fn channels(
        &self,
        configure: impl FnOnce(RedisConfig) -> RedisConfig,
    ) -> Result<Channels> {
        let config = configure(RedisConfig::new(&self.url));
        let channels = Channels::redis(config).await;
        channels.map_err(|error| match error.kind() {
            ErrorKind::Layer => {
                let message = format!("{error:?} ({})", self.advice);
                Error::new(ErrorKind::Layer, message)
            }
            // The prefix is wrong, not the Redis.
            _ => error,
        })
    }
}

/// Where it is, without user and password.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(place(&self.url))
    }
}

/// What follows the scheme, and the user if there is one. A password may contain any character, so the last `@` counts.
fn place(url: &str) -> &str {
    let place = url.rsplit_once('@').or_else(|| url.split_once("://"));
    let place = place.map_or(url, |(_, place)| place);
    place.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://127.0.0.1:6379", "127.0.0.1:6379"),
            ("redis://127.0.0.1:6379/2", "127.0.0.1:6379/2"),
            ("redis://:secret@cache:6379", "cache:6379"),
            ("redis://ana:s/e#c@r?t@cache", "cache"),
            ("unix:///run/redis.sock?pass=secret", "/run/redis.sock"),
            ("cache", "cache"),
        ] {
            assert_eq!(place(url), shown, "{url}");
        }
    }

    #[tokio::test]
    async fn a_redis_that_does_not_work_is_told_in_one_line_with_the_option_that_gave_it() {
        for url in ["redis://127.0.0.1:1", "http://127.0.0.1:6379", "cache", ""] {
            let redis = Redis::from_option(url.to_owned());

            let error = redis.channels(|config| config).await.err();

            let told = format!("{:?}", error.expect(url));
            assert!(told.ends_with(&format!("({})", redis.advice)), "{told}");
            assert!(!told.contains("in_memory"), "{told}");
            assert!(!told.contains('\n'), "{told}");
        }
    }
}
