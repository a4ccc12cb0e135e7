//! The forms of a URL.

use super::{
    address::Address,
    directory::{Directory, Question},
    endpoint::Endpoint,
    hosts::{Hosts, SHARDS},
    tls::{Files, Tls},
};
use crate::error::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use redis::{ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// The port of a Sentinel, if the URL names none.
const SENTINEL_PORT: u16 = 26379;

/// Returns the servers that these URLs lead to, and how they share the names. A value that one
/// sends may have `max_value` bytes.
///
/// # Errors
/// [`ErrorKind::Layer`] if a URL is malformed, uses TLS without the feature, names a file that
/// cannot be read, or cannot be combined with the others, and if there is none. The message never
/// holds a password.
pub(crate) fn endpoints<S: AsRef<str>>(
    urls: &[S],
    max_value: usize,
) -> Result<(Hosts, Vec<Endpoint>)> {
    if urls.is_empty() {
        return Err(refused("there is no URL of a Redis"));
    }
    let mut endpoints = Vec::new();
    for url in urls {
        match parse(url.as_ref(), max_value)? {
            Parsed::Single(endpoint) => endpoints.push(endpoint),
            Parsed::Cluster(shards) if urls.len() == 1 => return Ok((Hosts::cluster(), shards)),
            Parsed::Cluster(_) => {
                return Err(refused(
                    "a Cluster shares the names among its own primaries; omit the other hosts",
                ));
            }
        }
    }
    Ok((Hosts::independent(endpoints.len()), endpoints))
}

/// What one URL leads to.
enum Parsed {
    Single(Endpoint),
    Cluster(Vec<Endpoint>),
}

/// What the scheme of a URL names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Server,
    UnixSocket,
    Sentinel,
    Cluster,
}

impl Form {
    /// Returns the form that a scheme names, and whether it uses TLS.
    fn of(scheme: &str) -> Option<(Self, bool)> {
        let (form, is_tls) = match scheme {
            "redis" | "valkey" => (Self::Server, false),
            "rediss" | "valkeys" => (Self::Server, true),
            "unix" | "redis+unix" | "valkey+unix" => (Self::UnixSocket, false),
            "redis+sentinel" | "valkey+sentinel" => (Self::Sentinel, false),
            "rediss+sentinel" | "valkeys+sentinel" => (Self::Sentinel, true),
            "redis+cluster" | "valkey+cluster" => (Self::Cluster, false),
            "rediss+cluster" | "valkeys+cluster" => (Self::Cluster, true),
            _ => return None,
        };
        Some((form, is_tls))
    }
}

/// A URL in its parts.
struct Url<'a> {
    /// User and password, with the `@`; empty if there are none.
    login: &'a str,
    hosts: Vec<&'a str>,
    /// Without the first slash.
    path: &'a str,
    query: UrlSettings,
    max_value: usize,
}

/// The settings after the `?`.
#[derive(Default)]
struct UrlSettings {
    database: Option<i64>,
    user: Option<String>,
    password: Option<String>,
    sentinel_user: Option<String>,
    sentinel_password: Option<String>,
    files: Option<Files>,
}

fn parse(text: &str, max_value: usize) -> Result<Parsed> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(malformed(text));
    };
    let Some((form, is_tls)) = Form::of(scheme) else {
        return Err(malformed(text));
    };
    let (location, query) = match rest.split_once('?') {
        Some((location, query)) => (location, UrlSettings::parse(query, text)?),
        None => (rest, UrlSettings::default()),
    };
    if location.contains('#') {
        return Err(malformed(text));
    }
    let (authority, path) = location.split_once('/').unwrap_or((location, ""));
    let (login, hosts) = match authority.rfind('@') {
        Some(at) => authority.split_at(at + 1),
        None => ("", authority),
    };
    let mut url = Url {
        login,
        hosts: hosts.split(',').collect(),
        path,
        query,
        max_value,
    };
    if url.query.files.is_some() && !is_tls {
        return Err(refused(
            "the settings ssl_… of a Redis URL are for TLS; write rediss://",
        ));
    }
    if url.query.has_sentinel_login() && form != Form::Sentinel {
        return Err(refused(
            "the settings sentinel_… of a Redis URL are for redis+sentinel://",
        ));
    }
    url.check_logins(text)?;
    let tls = match is_tls {
        true => Some(Tls::new(url.query.files.take().unwrap_or_default())?),
        false => None,
    };
    match form {
        Form::Server => url.server(text, tls).map(Parsed::Single),
        Form::UnixSocket => url.unix_socket(text).map(Parsed::Single),
        Form::Sentinel => url.sentinel(text, tls).map(Parsed::Single),
        Form::Cluster => url.cluster(text, tls).map(Parsed::Cluster),
    }
}

impl Url<'_> {
    fn server(&self, text: &str, tls: Option<Tls>) -> Result<Endpoint> {
        let [host] = self.hosts[..] else {
            return Err(refused(
                "a redis:// URL names one server; for several independent ones call RedisConfig::host, for Sentinels write \
                 redis+sentinel://, for a Cluster redis+cluster://",
            ));
        };
        let database = self.database(self.path, text)?;
        let address = self.address(host, tls, text)?;
        Ok(Endpoint::fixed(
            address.with_login(|login| login.set_db(database)),
        ))
    }

    fn unix_socket(&self, text: &str) -> Result<Endpoint> {
        if self.hosts != [""] || self.path.is_empty() {
            return Err(malformed(text));
        }
        let info = format!("unix:///{}", self.path).into_connection_info();
        let mut info = info.map_err(|_| malformed(text))?;
        if !self.login.is_empty() {
            let of_login = self.info("localhost", text)?;
            info = info.set_redis_settings(of_login.redis_settings().clone());
        }
        let address = Address::new(&info, None, self.max_value).map_err(refused)?;
        let database = self.query.database.unwrap_or(0);
        let address = address.with_login(|login| self.query.log_in(login).set_db(database));
        Ok(Endpoint::fixed(address))
    }

    fn sentinel(&self, text: &str, tls: Option<Tls>) -> Result<Endpoint> {
        let (service, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        let decoded = percent_decode_str(service).decode_utf8();
        let service = decoded.map_err(|_| malformed(text))?;
        if service.is_empty() {
            return Err(refused(
                "a Sentinel URL ends with the name of the service, as in redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster",
            ));
        }
        let database = self.database(database, text)?;
        let mut sentinels = Vec::new();
        for host in &self.hosts {
            let host = match has_port(host) {
                true => (*host).to_owned(),
                false => format!("{host}:{SENTINEL_PORT}"),
            };
            sentinels.push(self.address(&host, tls.clone(), text)?);
        }
        let Some(primary) = sentinels.first() else {
            return Err(malformed(text));
        };
        let primary = primary.clone().with_login(|login| login.set_db(database));
        let log_in = |_| self.query.log_in_at_sentinel();
        let sentinels: Vec<_> = sentinels
            .into_iter()
            .map(|sentinel| sentinel.with_login(log_in))
            .collect();
        let shown = format!("redis+sentinel://{}/{service}", shown(&sentinels));
        let question = Question::service(service.into_owned());
        let directory = Directory::new(question, sentinels, primary, shown.into());
        Ok(Endpoint::primary(&directory, 0))
    }

    fn cluster(&self, text: &str, tls: Option<Tls>) -> Result<Vec<Endpoint>> {
        if self.database(self.path, text)? != 0 {
            return Err(refused("a Redis Cluster has only the database 0"));
        }
        let nodes: Result<Vec<_>> = self
            .hosts
            .iter()
            .map(|host| self.address(host, tls.clone(), text))
            .collect();
        let nodes = nodes?;
        let Some(primary) = nodes.first().cloned() else {
            return Err(malformed(text));
        };
        let shown = format!("redis+cluster://{}", shown(&nodes));
        let directory = Directory::new(Question::Slots, nodes, primary, shown.into());
        let shards = SHARDS.iter();
        Ok(shards
            .map(|shard| Endpoint::primary(&directory, shard.slot))
            .collect())
    }

    /// Checks that users have passwords: the redis crate would log in as `default` instead.
    fn check_logins(&self, text: &str) -> Result<()> {
        let of_url = self.info("localhost", text)?;
        let login = self.query.log_in(of_url.redis_settings().clone());
        for login in [login, self.query.log_in_at_sentinel()] {
            if login.username().is_some() && login.password().is_none() {
                return Err(refused(
                    "a user in a Redis URL needs a password; for a user with `nopass`, write any",
                ));
            }
        }
        Ok(())
    }

    /// Returns the address of a host, with the user and password of the URL.
    fn address(&self, host: &str, tls: Option<Tls>, text: &str) -> Result<Address> {
        let address =
            Address::new(&self.info(host, text)?, tls, self.max_value).map_err(refused)?;
        Ok(address.with_login(|login| self.query.log_in(login)))
    }

    fn info(&self, host: &str, text: &str) -> Result<ConnectionInfo> {
        let url = format!("redis://{}{host}", self.login);
        url.into_connection_info().map_err(|_| malformed(text))
    }

    /// Returns the number of the database: that of the path, or of the setting `db`.
    fn database(&self, path: &str, text: &str) -> Result<i64> {
        match path.trim_matches('/') {
            "" => Ok(self.query.database.unwrap_or(0)),
            number => number.parse().map_err(|_| malformed(text)),
        }
    }
}

impl UrlSettings {
    fn parse(query: &str, text: &str) -> Result<Self> {
        let mut read = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8();
            let value = value.map_err(|_| malformed(text))?.into_owned();
            let files = &mut read.files;
            match name {
                "db" => read.database = Some(value.parse().map_err(|_| malformed(text))?),
                "user" | "username" => read.user = Some(value),
                "pass" | "password" => read.password = Some(value),
                "sentinel_username" => read.sentinel_user = Some(value),
                "sentinel_password" => read.sentinel_password = Some(value),
                "ssl_ca_certs" => files.get_or_insert_default().authorities = Some(value),
                "ssl_certfile" => files.get_or_insert_default().certificate = Some(value),
                "ssl_keyfile" => files.get_or_insert_default().key = Some(value),
                "ssl_cert_reqs" if value == "required" => {}
                "ssl_cert_reqs" => {
                    return Err(refused(
                        "the certificate of Redis is always verified; omit ssl_cert_reqs, and name the certificate's authority with \
                         ssl_ca_certs",
                    ));
                }
                // It is always 3.
                "protocol" => {}
                // A password may hold an unencoded question mark.
                _ if !text.contains('@') && is_word(name) => {
                    return Err(refused(&format!(
                        "unknown setting `{name}` in a Redis URL; known are db, username, password, sentinel_username, \
                         sentinel_password, ssl_ca_certs, ssl_certfile and ssl_keyfile"
                    )));
                }
                _ => return Err(malformed(text)),
            }
        }
        Ok(read)
    }

    fn has_sentinel_login(&self) -> bool {
        self.sentinel_user.is_some() || self.sentinel_password.is_some()
    }

    fn log_in(&self, login: RedisConnectionInfo) -> RedisConnectionInfo {
        with(login, self.user.as_deref(), self.password.as_deref())
    }

    fn log_in_at_sentinel(&self) -> RedisConnectionInfo {
        let (user, password) = (&self.sentinel_user, &self.sentinel_password);
        let login = RedisConnectionInfo::default()
            .set_protocol(redis::ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        with(login, user.as_deref(), password.as_deref())
    }
}

fn with(
    mut login: RedisConnectionInfo,
    user: Option<&str>,
    password: Option<&str>,
) -> RedisConnectionInfo {
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    login
}

fn shown(addresses: &[Address]) -> String {
    let shown: Vec<_> = addresses.iter().map(|address| &**address.shown()).collect();
    shown.join(",")
}

fn has_port(host: &str) -> bool {
    let after_address = host.rsplit(']').next().unwrap_or(host);
    after_address.contains(':')
}

fn is_word(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::Layer, reason.to_owned())
}

/// Returns the error for a malformed URL. The URL may hold a password and is not shown.
fn malformed(url: &str) -> Error {
    let hint = match url.split_once("://") {
        // Each of these, unencoded in a password, ends the part of the URL that holds it.
        Some((_, rest)) if rest.contains(['#', '@', '?', '%']) => {
            "; percent-encode special characters in the password: # is %23, / is %2F, ? is %3F, @ is %40, % is %25"
        }
        _ => "",
    };
    Error::new(
        ErrorKind::Layer,
        format!(
            "malformed Redis URL: write redis://[user:password@]host[:port][/database], as in redis://127.0.0.1:6379, or \
             rediss://… for TLS, unix:///path[?db=number], redis+sentinel://host:port,host:port/service, \
             redis+cluster://host:port,host:port{hint}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{super::MAX_VALUE, *};

    fn refusal(urls: &[&str]) -> String {
        match endpoints(urls, MAX_VALUE) {
            Ok(_) => panic!("{urls:?} was taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_malformed_url_is_refused_without_its_password_and_with_a_hint() {
        for (url, has_hint) in [
            ("127.0.0.1:6379", false),
            ("http://127.0.0.1", false),
            ("redis://", false),
            ("redis://127.0.0.1:x", false),
            ("redis://127.0.0.1/x", false),
            ("unix://run/redis.sock", false),
            ("redis+sentinel://10.0.0.1,,10.0.0.2/a", false),
            ("redis+cluster://", false),
            ("redis://:se#cret@127.0.0.1:6379", true),
            ("redis://:se/cret@127.0.0.1:6379", true),
            ("redis://:se?cret@127.0.0.1:6379", true),
            ("redis+cluster://:se?cret@127.0.0.1:6379", true),
        ] {
            let text = refusal(&[url]);
            assert_eq!(text.contains("%23"), has_hint, "{url}: {text}");
            assert!(!text.contains("cret"), "{text}");
            assert!(text.contains("redis://127.0.0.1:6379"), "{text}");
        }
    }

    #[test]
    fn a_url_that_cannot_work_is_refused_with_the_reason() {
        for (urls, reason) in [
            (&["redis://10.0.0.1,10.0.0.2"][..], "redis+sentinel://"),
            (&["redis+sentinel://10.0.0.1"], "the name of the service"),
            (&["redis+cluster://10.0.0.1/2"], "only the database 0"),
            (&["redis+cluster://10.0.0.1?db=2"], "only the database 0"),
            (
                &["redis+cluster://10.0.0.1", "redis://10.0.0.2"],
                "omit the other hosts",
            ),
            (
                &["redis://10.0.0.1", "redis+cluster://10.0.0.1"],
                "omit the other hosts",
            ),
            (&["redis://10.0.0.1?ssl_ca_certs=/ca.pem"], "rediss://"),
            (
                &["redis://10.0.0.1?sentinel_password=x"],
                "redis+sentinel://",
            ),
            (&["redis://10.0.0.1?tiemout=2"], "`tiemout`"),
            (&["redis://ana@10.0.0.1"], "needs a password"),
            (&["redis://ana:@10.0.0.1"], "needs a password"),
            (&["redis+cluster://ana@10.0.0.1"], "needs a password"),
            (&["redis://10.0.0.1?username=ana"], "needs a password"),
            (&["unix:///redis.sock?username=ana"], "needs a password"),
            (
                &["redis+sentinel://:x@10.0.0.1/a?sentinel_username=ana"],
                "needs a password",
            ),
            (&["rediss://10.0.0.1?ssl_cert_reqs=none"], "always verified"),
            #[cfg(feature = "redis-tls")]
            (
                &["rediss://10.0.0.1?ssl_ca_certs=/no/such/file"],
                "/no/such/file",
            ),
            #[cfg(feature = "redis-tls")]
            (
                &["rediss://10.0.0.1?ssl_ca_certs=Cargo.toml"],
                "none in PEM",
            ),
            #[cfg(not(feature = "redis-tls"))]
            (&["rediss://10.0.0.1"], "feature `redis-tls`"),
        ] {
            let text = refusal(urls);
            assert!(text.contains(reason), "{urls:?}: {text}");
        }
    }

    #[test]
    fn each_form_is_shown_without_user_and_password() {
        for (url, expected) in [
            ("redis://127.0.0.1", "127.0.0.1:6379"),
            ("valkey://ana:secret@cache/2", "cache:6379"),
            ("redis://[::1]:7000", "::1:7000"),
            (
                "unix:///run/redis.sock?db=1&password=secret",
                "/run/redis.sock",
            ),
            ("unix://ana:secret@/run/redis.sock", "/run/redis.sock"),
            ("redis://ana@cache?password=secret", "cache:6379"),
            ("redis+unix:///run/a%20b.sock", "/run/a b.sock"),
            (
                "redis+sentinel://:secret@a,b:1,[::1]/my%20service/1?sentinel_password=secret",
                "redis+sentinel://a:26379,b:1,::1:26379/my service",
            ),
            (
                "redis+cluster://:secret@a,b:1",
                "redis+cluster://a:6379,b:1",
            ),
        ] {
            let (hosts, places) = endpoints(&[url], MAX_VALUE).unwrap();
            assert_eq!(&**places[0].shown(), expected);
            assert_eq!(hosts.is_cluster(), url.contains("cluster"));
            assert_eq!(places.len(), if hosts.is_cluster() { 16 } else { 1 });
        }
    }

    #[test]
    fn several_servers_are_independent_hosts_whatever_their_form() {
        let urls = ["redis://a", "unix:///b", "redis+sentinel://c/service"];

        let (hosts, places) = endpoints(&urls, MAX_VALUE).unwrap();

        assert_eq!(hosts, Hosts::independent(3));
        assert_eq!(places.len(), 3);
    }
}
