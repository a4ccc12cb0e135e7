//! The Redis that the user configured.

use crate::{Program, Settings};
use seaway::{Channels, Error, ErrorKind, Result, channels::redis::RedisConfig};
use std::{env, fmt};

/// Returns the channels of a program, which count the members of groups: over the Redis at
/// `REDIS_URL`, with the program's name as the prefix, since other programs may use that Redis; in
/// memory if the variable is unset or empty.
///
/// # Errors
/// As [`Redis::channels`].
pub async fn channels(program: &Program) -> Result<Channels, Error> {
    match Redis::from_env() {
        Some(redis) => {
            let configure = |config: RedisConfig| config.prefix(program.name).count_members();
            redis.channels(configure).await
        }
        None => Ok(Channels::in_memory()),
    }
}

/// The setting that [`channels`] reads, for [`Program::settings`].
pub const REDIS_URL: Settings = &[(
    "REDIS_URL",
    "the Redis that connects several processes (unset: a single process)",
)];

/// A Redis URL, and the advice that is shown if it does not work.
///
/// `Display` omits the credentials that the URL may contain.
pub struct Redis {
    url: String,
    /// The advice that follows the reason in an error message.
    advice: &'static str,
}

impl Redis {
    /// Returns the Redis at `REDIS_URL`; `None` if the variable is unset or empty.
    pub fn from_env() -> Option<Self> {
        let url = env::var_os("REDIS_URL").filter(|url| !url.is_empty())?;
        Some(Self {
            url: url.to_string_lossy().into_owned(),
            advice: "set by REDIS_URL; unset it to run without Redis",
        })
    }

    /// Returns the Redis that the option `--redis` names.
    pub fn from_option(url: String) -> Self {
        let advice = "set by --redis; omit it to run without Redis";
        Self { url, advice }
    }

    /// Returns the Redis at the default address of this machine, which may not be running.
    pub fn on_this_machine() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            advice: "set REDIS_URL to use another one",
        }
    }

    /// Connects to this Redis; `configure` sets at least a prefix that no other program there uses.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`], with the reason and the remedy; [`ErrorKind::Name`] if the prefix is
    /// invalid.
    pub async fn channels(
        &self,
        configure: impl FnOnce(RedisConfig) -> RedisConfig,
    ) -> Result<Channels, Error> {
        let config = configure(RedisConfig::new(&self.url));
        let channels = Channels::redis(config).await;
        channels.map_err(|error| match error.kind() {
            ErrorKind::Layer => {
                let message = format!("{error:?} ({})", self.advice);
                Error::new(ErrorKind::Layer, message)
            }
            // The prefix is invalid; the Redis is not the cause.
            _ => error,
        })
    }
}

/// The address without user and password.
impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(place(&self.url))
    }
}

/// The same: the URL may contain a password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis({self})")
    }
}

/// Returns the URL without its scheme, user and query. A password may contain any character, so the
/// last `@` ends it.
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
    async fn a_connection_error_is_one_line_and_names_the_option_that_set_the_url() {
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
