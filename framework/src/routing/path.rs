//! The router that selects an application by path.

use super::written_path::{decoded, read_behind, written, written_route};
use crate::{
    application::{Application, ApplicationExt, BoxApplication},
    error::Result,
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{MatchedPath, OpensOverHttp, Scope},
};
use http::StatusCode;
use matchit::{InsertError, Params};
use std::{borrow::Cow, fmt, future::Future, mem, sync::Arc};

/// A router that selects an application by path, for HTTP or for WebSocket.
///
/// The syntax of paths is axum's: `/rooms/{room}` matches one segment, `/files/{*rest}` all that
/// follow; a parameter is never empty. A literal segment wins over a parameter and over `{*rest}`.
/// A path without a route gets 404, or goes to the [fallback](PathRouter::fallback). `/rooms` and
/// `/rooms/` are two paths.
///
/// ```
/// use seaway::{Scope, application_fn, protocol::{Body, Exchange, Http}, routing::PathRouter};
///
/// let router = PathRouter::<Http>::new()
///     .route("/hello/{name}", application_fn(|scope: Scope<Http>, exchange: Exchange| async move {
///         let name: String = scope.param("name").unwrap_or_default();
///         Ok(exchange.respond(http::Response::new(Body::from(format!("hello {name}")))).await?)
///     }))
///     .nest("/admin", PathRouter::new());
/// ```
///
/// Parameters are percent-decoded in the scope: [`Scope::param`], [`Scope::raw_param`].
///
/// The literal parts of a route are compared decoded, as RFC 3986 requires: `/salón` also matches
/// `/sal%C3%B3n`, as a browser sends it, and `%70` is `p`. A `%2F` does not separate segments. A
/// path with a malformed percent-encoding, or one that is not UTF-8, gets 404.
///
/// A `PathRouter` is a tower service, for HTTP or for WebSockets: serve it, or mount it in axum,
/// `axum::Router::new().nest_service("/ws", sockets)`.
#[must_use = "a router does nothing until it is served"]
pub struct PathRouter<P: OpensOverHttp> {
    /// Clones share the routes: a tower service is cloned for each request.
    routes: Arc<matchit::Router<PathRoute<P>>>,
    fallback: Option<BoxApplication<P>>,
    /// What the applications of all routes need.
    required: Arc<RequiredState>,
}

struct PathRoute<P: OpensOverHttp> {
    application: BoxApplication<P>,
    /// Whether it is the prefix of a nested application.
    is_nest: bool,
    /// Whether it matches paths of any number of segments.
    is_open: bool,
}

/// Name of the parameter that matches the rest of the path for a nested router. Routes should not
/// use this name.
const REST: &str = "__rest";

/// What follows the prefix of a nested router.
const BELOW: &str = "/{*__rest}";

impl<P: OpensOverHttp> Clone for PathRoute<P> {
    fn clone(&self) -> Self {
        Self {
            application: self.application.clone(),
            is_nest: self.is_nest,
            is_open: self.is_open,
        }
    }
}

impl<P: OpensOverHttp> Clone for PathRouter<P> {
    fn clone(&self) -> Self {
        Self {
            routes: self.routes.clone(),
            fallback: self.fallback.clone(),
            required: self.required.clone(),
        }
    }
}

impl<P: OpensOverHttp> Default for PathRouter<P> {
    fn default() -> Self {
        Self {
            routes: Arc::default(),
            fallback: None,
            required: Arc::default(),
        }
    }
}

impl<P: OpensOverHttp> PathRouter<P> {
    /// Returns a router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    ///
    /// With `{*rest}`, a path gets 404 if it has another route once `%2F` is decoded, as for a
    /// [fallback](Self::fallback).
    ///
    /// # Panics
    /// If the path is malformed, no client can request it, or another route matches the same paths.
    #[track_caller]
    pub fn route(mut self, path: &str, application: impl Application<P>) -> Self {
        self.require(path, &application);
        self.insert(path, application.boxed(), false);
        self
    }

    /// Routes all paths below `prefix` to another application.
    ///
    /// A `PathRouter` matches what follows the prefix; any other application sees the whole path.
    /// The prefix may have parameters; they are added to those of the inner route.
    ///
    /// A path gets 404 if it has another route once `%2F` is decoded, as for a
    /// [fallback](Self::fallback).
    ///
    /// # Panics
    /// If the prefix is malformed, ends in `/`, or a route matches the same paths.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, application: impl Application<P>) -> Self {
        assert!(
            prefix.starts_with('/') && !prefix.ends_with('/'),
            "cannot nest at {prefix:?}: a prefix must start with / and must not end with /"
        );
        self.require(prefix, &application);
        let application = application.boxed();
        for path in [
            prefix.to_owned(),
            format!("{prefix}/"),
            format!("{prefix}{BELOW}"),
        ] {
            self.insert(&path, application.clone(), true);
        }
        self
    }

    /// Sets the application of all paths without a route (default: they get 404).
    ///
    /// ```
    /// use seaway::{from_service, protocol::Http, routing::PathRouter};
    /// # use seaway::Application;
    ///
    /// # fn app(events: impl Application<Http>) -> PathRouter<Http> {
    /// let pages = axum::Router::new().route("/about", axum::routing::get(|| async { "about" }));
    /// PathRouter::<Http>::new()
    ///     .route("/events", events)
    ///     .fallback(from_service(pages))
    /// # }
    /// ```
    ///
    /// It sees the whole path, also one whose percent-encoding is malformed. A nested router uses
    /// its own fallback, not that of the router around it.
    ///
    /// A path gets 404 instead if it has a route once `%2F` is decoded and malformed
    /// percent-encoding is taken literally, as servers behind a proxy do: `/admin%2Fusers` would
    /// bypass the middleware of `/admin/{page}`. Such a server may equate more paths, so check
    /// there, too, who may request what.
    ///
    /// # Panics
    /// If the router has a fallback already.
    #[track_caller]
    pub fn fallback(mut self, application: impl Application<P>) -> Self {
        assert!(
            self.fallback.is_none(),
            "cannot set a second fallback: a router has one for all paths without a route"
        );
        self.require("", &application);
        self.fallback = Some(application.boxed());
        self
    }

    fn require(&mut self, route: &str, application: &impl Application<P>) {
        let required = application.required_state().at(route);
        let known = Arc::make_mut(&mut self.required);
        *known = mem::take(known).and(required);
    }

    #[track_caller]
    fn insert(&mut self, path: &str, application: BoxApplication<P>, is_nest: bool) {
        if let Some(mistake) = mistake(path) {
            panic!("cannot route {path:?}: {mistake}");
        }
        let Some(written) = written_route(path) else {
            panic!("cannot route {path:?}: a % must begin percent-encoded UTF-8; write % as %25");
        };
        let route = PathRoute {
            application,
            is_nest,
            is_open: is_nest || has_catch_all(path),
        };
        let routes = Arc::make_mut(&mut self.routes);
        if let Err(error) = routes.insert(written.as_str(), route) {
            let path = path.strip_suffix(BELOW).unwrap_or(path);
            panic!("cannot route {path:?}: {}", fault(&error, &written, routes));
        }
    }

    /// Returns the application for this connection, and adds the path parameters to the scope.
    fn pick(&self, scope: &mut Scope<P>) -> Result<&BoxApplication<P>, Rejection> {
        let Some(path) = written(scope.head.uri.path()) else {
            return Err(unrouted(
                "the percent-encoding of the path is malformed or not UTF-8",
            ));
        };
        let before = scope.matched;
        let Some(rest) = unmatched(&path, before.written) else {
            return Err(changed());
        };
        let Ok(found) = self.routes.at(rest) else {
            return Err(unrouted("no route has this path"));
        };
        let route = found.value;
        let mut params = Vec::with_capacity(found.params.len());
        for (name, value) in found.params.iter() {
            if name == REST {
                continue;
            }
            // matchit accepts `//` for a parameter between two slashes.
            if value.is_empty() {
                return Err(unrouted("a parameter of the route is empty in this path"));
            }
            params.push((name.to_owned(), decoded(value).into_owned()));
        }
        let prefix = prefix_length(rest, &found.params);
        let read = if route.is_open && path.contains("%2F") {
            let read = read_behind(&path);
            let read = unmatched(&read, before.read).ok_or_else(changed)?;
            self.read_prefix(route, read, &rest[..prefix])?
        } else {
            prefix
        };
        if route.is_nest {
            scope.matched = MatchedPath {
                written: before.written + prefix,
                read: before.read + read,
            };
        }
        for (name, value) in params {
            scope.add_param(&name, &value);
        }
        Ok(&route.application)
    }

    /// Returns how many bytes of a path, as a server behind this route may read it, the prefix of the
    /// route matches. `Err` if that path has another route, whose middleware it would bypass.
    fn read_prefix(
        &self,
        route: &PathRoute<P>,
        read: &str,
        prefix: &str,
    ) -> Result<usize, Rejection> {
        match self.routes.at(read) {
            Ok(found) if !found.value.application.is(&route.application) => Err(unrouted(
                "a server behind the route may read the path as one that has another route",
            )),
            Ok(found) => Ok(prefix_length(read, &found.params)),
            Err(_) => Ok(read_behind(prefix).len()),
        }
    }

    /// Returns whether a server behind the fallback may read a path without a route as one that has
    /// a route: it would bypass the middleware of that route.
    fn is_ambiguous(&self, scope: &Scope<P>) -> bool {
        let path = scope.head.uri.path();
        if !path.contains('%') {
            return false;
        }
        let path = written(path).unwrap_or(Cow::Borrowed(path));
        let before = scope.matched;
        let read = read_behind(&path);
        let rest = unmatched(&path, before.written);
        let read = unmatched(&read, before.read);
        read != rest && read.is_some_and(|read| self.routes.at(read).is_ok())
    }

    /// Returns the application for a path without a route.
    fn without_route(
        &self,
        scope: &Scope<P>,
        reject: Rejection,
    ) -> Result<&BoxApplication<P>, Rejection> {
        match &self.fallback {
            None => Err(reject),
            Some(_) if self.is_ambiguous(scope) => Err(unrouted(
                "a server behind the fallback may read the path as one that has a route",
            )),
            Some(fallback) => Ok(fallback),
        }
    }
}

/// Returns the part of a path behind these bytes, which outer routers have matched; `None` if it is
/// not the path that they have matched.
fn unmatched(path: &str, matched: usize) -> Option<&str> {
    match path.get(matched..)? {
        "" => Some("/"),
        rest => Some(rest),
    }
}

fn changed() -> Rejection {
    unrouted("the path has changed since a router has matched it")
}

/// Returns how many bytes of a path the prefix of a nested application matches.
fn prefix_length(path: &str, params: &Params<'_, '_>) -> usize {
    let below = match params.get(REST) {
        // With the slash before it.
        Some(rest) => rest.len() + 1,
        None => usize::from(path.len() > 1 && path.ends_with('/')),
    };
    path.len() - below
}

fn has_catch_all(path: &str) -> bool {
    // matchit escapes a literal brace by doubling it.
    path.replace("{{", "").contains("{*")
}

fn unrouted(reason: &'static str) -> Rejection {
    Rejection::from_status(StatusCode::NOT_FOUND)
        .by(Rule::Path)
        .because(reason)
}

/// Returns what is wrong with a path that `matchit` accepts but no client can request.
fn mistake(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("a path starts with /");
    }
    if path.contains(['?', '#']) {
        return Some("a path has no query or fragment; write a literal ? as %3F");
    }
    path.split('/').find_map(|segment| match segment {
        "." | ".." => Some("a client resolves . and .. before it sends a request"),
        _ if segment.starts_with([':', '<']) => {
            Some("a parameter is written {name}, as in \"/rooms/{room}\"")
        }
        _ if segment.starts_with('*') => {
            Some("a catch-all parameter is written {*name}, as in \"/files/{*rest}\"")
        }
        _ => None,
    })
}

/// Returns why `matchit` does not accept a route.
fn fault<P: OpensOverHttp>(
    error: &InsertError,
    route: &str,
    routes: &matchit::Router<PathRoute<P>>,
) -> String {
    match error {
        InsertError::Conflict { with } => {
            let prefix = with.strip_suffix(BELOW).unwrap_or(with);
            let is_nest = routes.at(with).is_ok_and(|found| found.value.is_nest);
            if is_nest {
                let prefix = prefix.trim_end_matches('/');
                format!("it conflicts with what is nested at {prefix:?}")
            } else if with == route {
                "the route is added twice".to_owned()
            } else {
                format!("it conflicts with the route {with:?}: both match the same paths")
            }
        }
        InsertError::InvalidParamSegment => {
            "a segment has at most one parameter, and nothing follows it".to_owned()
        }
        InsertError::InvalidParam => {
            "a parameter is written {name}; write a literal { or } as {{ or }}".to_owned()
        }
        InsertError::InvalidCatchAll => "nothing follows a catch-all parameter".to_owned(),
        error => error.to_string(),
    }
}

impl<P: OpensOverHttp> Application<P> for PathRouter<P> {
    fn call(
        &self,
        mut scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        // This future, which lives as long as the selected application's, is no larger than a box.
        let picked = self.pick(&mut scope);
        match picked.or_else(|reject| self.without_route(&scope, reject)) {
            Ok(application) => application.call_boxed(scope, connection),
            Err(reject) => Box::pin(async { Ok(P::reject(connection, reject).await?) }),
        }
    }

    fn required_state(&self) -> RequiredState {
        RequiredState::clone(&self.required)
    }
}

impl<P: OpensOverHttp> fmt::Debug for PathRouter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathRouter").finish_non_exhaustive()
    }
}
