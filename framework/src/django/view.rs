//! A view of the Django site that returns the user of a session cookie.

use crate::{
    error::{Error, ErrorKind, Result},
    upstream::{Upstream, chain},
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt, Empty, Limited};
use serde::{Deserialize, Deserializer};
use std::{collections::HashSet, fmt, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

/// The default of [`DjangoView::timeout`].
const TIMEOUT: Duration = Duration::from_secs(5);
/// The default of [`DjangoView::max_requests`].
const MAX_REQUESTS: usize = 16;
/// The size of the largest response, in bytes: the names of some thousand permissions.
const MAX_RESPONSE: usize = 256 * 1024;

/// A view of the Django site that returns the user of a session cookie, for
/// [`DjangoAuth::from_view`](super::DjangoAuth::from_view).
///
/// ```
/// use seaway::django::{DjangoAuth, DjangoView};
///
/// let view = DjangoView::new("http://127.0.0.1:8000", "/seaway/user/").host("www.example.com");
/// let auth = DjangoAuth::from_view(view);
/// ```
///
/// Seaway sends it `GET` with the client's session cookie and no other header of the client. The
/// view answers 200 with `{"user": null}`, or with the user:
///
/// ```json
/// {"user": {"id": "7", "name": "ana", "is_active": true, "is_staff": false, "is_superuser": false}}
/// ```
///
/// For [`DjangoUser::has_perm`](super::DjangoUser::has_perm), `?permissions` is added to the path;
/// the user then has the key `permissions`, with names such as `chat.add_message`. For
/// [`DjangoUser::groups`](super::DjangoUser::groups), it is `?groups`, and the key `groups` with
/// their names. The guide `docs/from-django.md` has a ready view.
///
/// Any other response, one of more than 256 KiB, and none within the [timeout](Self::timeout) is
/// an error, never a logout.
#[derive(Clone)]
pub struct DjangoView {
    upstream: Arc<Upstream<Empty<Bytes>>>,
    path: String,
    host: HeaderValue,
    timeout: Duration,
    max_requests: usize,
    permits: Arc<Semaphore>,
    /// Those of checks of open connections, half of all: these must not keep new clients out.
    rechecks: Arc<Semaphore>,
}

/// Why the view is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// A new connection, or a hook that waits.
    Now,
    /// The next check of an open connection.
    Recheck,
}

/// What the view answers.
#[derive(Deserialize)]
struct Answer {
    /// Required: an object without it is no answer of the view.
    #[serde(deserialize_with = "nullable")]
    user: Option<KnownUser>,
}

/// A user as the view describes it.
#[derive(Deserialize)]
pub(super) struct KnownUser {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_active: bool,
    pub(super) is_staff: bool,
    pub(super) is_superuser: bool,
    pub(super) permissions: Option<HashSet<String>>,
    pub(super) groups: Option<Vec<String>>,
}

fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<KnownUser>, D::Error> {
    Option::deserialize(deserializer)
}

impl DjangoView {
    /// Returns the view at a path of the site at an address: `http://127.0.0.1:8000`, or
    /// `unix:/run/site.sock` for a Unix socket.
    ///
    /// # Panics
    /// If the address has another form, or the path does not begin with `/` or has a query.
    #[track_caller]
    pub fn new(site: &str, path: &str) -> Self {
        let upstream = Upstream::parse(site).unwrap_or_else(|mistake| {
            panic!(
                "{site:?} is not the address of a Django site: {mistake}; write \
                 http://127.0.0.1:8000 or unix:/run/site.sock"
            )
        });
        let parsed = path.parse::<PathAndQuery>();
        assert!(
            path.starts_with('/') && parsed.is_ok_and(|parsed| parsed.query().is_none()),
            "{path:?} is not the path of a view; write it as /seaway/user/, without a query"
        );
        let host = HeaderValue::from_str(upstream.authority().as_str());
        Self {
            upstream: Arc::new(upstream),
            path: path.to_owned(),
            host: host.expect("an authority is visible ASCII"),
            timeout: TIMEOUT,
            max_requests: 0,
            permits: Arc::new(Semaphore::new(0)),
            rechecks: Arc::new(Semaphore::new(0)),
        }
        .max_requests(MAX_REQUESTS)
    }

    /// Sets the `Host` header, one of the site's `ALLOWED_HOSTS` (default: that of the address, and
    /// `localhost` for a Unix socket).
    ///
    /// # Panics
    /// If it is no header value.
    #[must_use]
    #[track_caller]
    pub fn host(mut self, host: &str) -> Self {
        let value = HeaderValue::from_str(host);
        self.host = value.unwrap_or_else(|_| panic!("{host:?} is no host name"));
        self
    }

    /// Sets how long a request to the view may take, including the wait while
    /// [`max_requests`](Self::max_requests) are under way (default: 5 s).
    ///
    /// ```
    /// # use seaway::django::DjangoView;
    /// use std::time::Duration;
    ///
    /// let view = DjangoView::new("unix:/run/site.sock", "/seaway/user/")
    ///     .timeout(Duration::from_secs(2))
    ///     .max_requests(4);
    /// ```
    ///
    /// # Panics
    /// If the time is zero.
    #[must_use]
    #[track_caller]
    pub fn timeout(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "timeout needs a non-zero time");
        self.timeout = limit;
        self
    }

    /// Sets how many requests the view may have at a time (default: 16); further ones wait.
    ///
    /// At most half of them are checks of open connections, so that these do not keep new clients
    /// out.
    ///
    /// # Panics
    /// If the number is zero.
    #[must_use]
    #[track_caller]
    pub fn max_requests(mut self, number: usize) -> Self {
        assert!(number > 0, "max_requests needs a positive number");
        let number = number.min(Semaphore::MAX_PERMITS);
        self.max_requests = number;
        self.permits = Arc::new(Semaphore::new(number));
        self.rechecks = Arc::new(Semaphore::new((number / 2).max(1)));
        self
    }

    /// Asks who the client with this `Cookie` header is.
    pub(super) async fn user(&self, cookie: &HeaderValue) -> Result<Option<KnownUser>> {
        self.ask(cookie, &self.path, Occasion::Now).await
    }

    /// Asks the same for a connection that is open already.
    pub(super) async fn recheck(&self, cookie: &HeaderValue) -> Result<Option<KnownUser>> {
        self.ask(cookie, &self.path, Occasion::Recheck).await
    }

    /// Asks for the permissions of the user with this id, the client with this `Cookie` header.
    pub(super) async fn permissions(
        &self,
        cookie: &HeaderValue,
        id: &str,
    ) -> Result<HashSet<String>> {
        let known = self.ask_more(cookie, id, "permissions").await?;
        known.permissions.ok_or_else(|| without("permissions"))
    }

    /// Asks for the names of the groups of the user with this id.
    pub(super) async fn groups(&self, cookie: &HeaderValue, id: &str) -> Result<Vec<String>> {
        let known = self.ask_more(cookie, id, "groups").await?;
        known.groups.ok_or_else(|| without("groups"))
    }

    /// Asks for more about the user with this id.
    async fn ask_more(&self, cookie: &HeaderValue, id: &str, query: &str) -> Result<KnownUser> {
        let path = format!("{}?{query}", self.path);
        let known = self.ask(cookie, &path, Occasion::Now).await?;
        known
            .filter(|known| known.id == id)
            .ok_or_else(|| Error::new(ErrorKind::SessionGone, "the user is no longer logged in"))
    }

    async fn ask(
        &self,
        cookie: &HeaderValue,
        path: &str,
        occasion: Occasion,
    ) -> Result<Option<KnownUser>> {
        let mut is_sent = false;
        let asking = async {
            let _recheck = match occasion {
                Occasion::Now => None,
                Occasion::Recheck => Some(permit(&self.rechecks).await),
            };
            let _permit = permit(&self.permits).await;
            is_sent = true;
            let response = self.upstream.send(self.request(cookie, path)).await;
            let response = response.map_err(|error| {
                failed("it does not respond; check that the site runs").with_source(chain(&error))
            })?;
            let status = response.status();
            if status != StatusCode::OK {
                let advice = match status.is_server_error() {
                    true => "see the log of the site",
                    false => "check its path, ALLOWED_HOSTS, and that no middleware redirects it",
                };
                let status = status.as_u16();
                let reason = format!("it responded with {status} instead of 200; {advice}");
                return Err(failed(&reason));
            }
            let body = Limited::new(response.into_body(), MAX_RESPONSE);
            let body = body.collect().await.map_err(|source| {
                failed("its response is larger than 256 KiB, or ended early").with_source(source)
            })?;
            // The decoder's own error would quote the response.
            serde_json::from_slice(&body.to_bytes()).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                failed(&format!(
                    "its response is not the JSON of a user, from line {line}, column {column}"
                ))
            })
        };
        let answered = timeout(self.timeout, asking).await;
        let answer: Answer = answered.unwrap_or_else(|_| {
            let (limit, number) = (self.timeout, self.max_requests);
            Err(failed(&match is_sent {
                true => format!("it has not responded within {limit:?}"),
                false => format!(
                    "as many requests as max_requests allows ({number}, half of them for checks of \
                     open connections) were under way for {limit:?}; raise it, or check less often"
                ),
            }))
        })?;
        match answer.user {
            Some(user) if user.id.is_empty() => Err(failed(
                "the id of its user is empty, as would be that of any other",
            )),
            user => Ok(user),
        }
    }

    fn request(&self, cookie: &HeaderValue, path: &str) -> Request<Empty<Bytes>> {
        let uri = Uri::builder().scheme("http");
        let uri = uri
            .authority(self.upstream.authority())
            .path_and_query(path);
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.build().expect("both parts were parsed before");
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::COOKIE, cookie.clone());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        request
    }
}

async fn permit(permits: &Semaphore) -> SemaphorePermit<'_> {
    permits.acquire().await.expect("it is never closed")
}

fn without(what: &str) -> Error {
    let message = format!(
        "the view of the Django site answers without {what}: let it add them to the user when it \
         is asked with ?{what}"
    );
    Error::new(ErrorKind::Missing, message)
}

fn failed(reason: &str) -> Error {
    let message =
        format!("cannot get the user of a client from the view of the Django site: {reason}");
    Error::new(ErrorKind::Session, message)
}

impl fmt::Debug for DjangoView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoView")
            .field("site", &self.upstream)
            .field("path", &self.path)
            .field("host", &self.host)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
