//! One application per path.

use super::written_path::{decoded, written, written_route};
use crate::{
    application::{Application, ApplicationExt, BoxApplication},
    error::Result,
    refusal_log::Rule,
    rejection::Rejection,
    scope::{OpensOverHttp, Scope},
};
use http::StatusCode;
use std::{fmt, future::Future};

/// One application per path, for pages or for sockets.
///
/// Paths are written as in axum: `/rooms/{room}` takes one segment, `/files/{*rest}` all that follow. The most specific
/// route wins. A path that no route has is answered 404. `/rooms` and `/rooms/` are two paths.
///
/// ```
/// use seaway::{Scope, application_fn, protocol::{Body, Exchange, Http}, routing::PathRouter};
///
/// let router = PathRouter::<Http>::new()
///     .route("/hello/{name}", application_fn(|scope: Scope<Http>, exchange: Exchange| async move {
///         let name: String = scope.param("name").unwrap_or_default();
///         exchange.respond(http::Response::new(Body::from(format!("hello {name}")))).await
///     }))
///     .nest("/admin", PathRouter::new());
/// ```
///
/// Parameters arrive percent-decoded in the scope: [`Scope::path`], [`Scope::param`].
///
/// What is written out in a route is compared decoded, as RFC 3986 demands: `/salón` also takes `/sal%C3%B3n`, as a
/// browser writes it, and `%70` is `p`. A `%2F` stays inside its segment. A path with a `%` that begins no escape, or
/// whose escapes are not UTF-8, is answered 404.
///
/// Pages that are a tower service get all other paths with
/// `.route("/", pages.clone()).route("/{*page}", pages)`, where `pages` is made by [`from_service`](crate::from_service).
#[must_use = "a router does nothing until it is served"]
pub struct PathRouter<P: OpensOverHttp> {
    routes: matchit::Router<Route<P>>,
}

struct Route<P: OpensOverHttp> {
    application: BoxApplication<P>,
    /// Whether the application routes what is behind this path itself.
    is_nest: bool,
}

/// The parameter that catches what a nested router is to route; a route of yours should not use the name.
const REST: &str = "__rest";

/// How much of the path, as it is [`written`], an outer router has matched already; the rest is for the inner.
#[derive(Clone, Copy)]
struct Matched(usize);

impl<P: OpensOverHttp> Default for PathRouter<P> {
    fn default() -> Self {
        Self {
            routes: matchit::Router::new(),
        }
    }
}

impl<P: OpensOverHttp> PathRouter<P> {
    /// A router with no routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route.
    ///
    /// # Panics
    /// If the path is malformed, no client can ask for it, or another route takes the same paths.
    #[track_caller]
    pub fn route(mut self, path: &str, application: impl Application<P>) -> Self {
        self.insert(path, application.boxed(), false);
        self
    }

    /// Gives all paths below `prefix` to another application: a `PathRouter` routes what is behind the prefix, any other
    /// application sees the whole path.
    /// The prefix may have parameters; they are added to those of the inner route.
    ///
    /// # Panics
    /// If the prefix is malformed, ends in `/`, or a route takes the same paths.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, application: impl Application<P>) -> Self {
        assert!(
            prefix.starts_with('/') && !prefix.ends_with('/'),
            "cannot nest at {prefix:?}: a prefix starts with / and does not end with it"
        );
        let application = application.boxed();
        for path in [
            prefix.to_owned(),
            format!("{prefix}/"),
            format!("{prefix}/{{*{REST}}}"),
        ] {
            self.insert(&path, application.clone(), true);
        }
        self
    }

    #[track_caller]
    fn insert(&mut self, path: &str, application: BoxApplication<P>, is_nest: bool) {
        if let Some(mistake) = mistake(path) {
            panic!("cannot route {path:?}: {mistake}");
        }
        let Some(written) = written_route(path) else {
            panic!("cannot route {path:?}: a % begins an escape of UTF-8; the sign itself is %25");
        };
        let route = Route {
            application,
            is_nest,
        };
        if let Err(error) = self.routes.insert(written, route) {
            panic!("cannot route {path:?}: {error}");
        }
    }

    /// The application for this connection, whose parameters are noted in the scope.
    fn pick(&self, scope: &mut Scope<P>) -> Result<&BoxApplication<P>, Rejection> {
        let Some(path) = written(scope.head.uri.path()) else {
            return Err(unrouted(
                "the path has an escape that is broken or no UTF-8",
            ));
        };
        let Matched(from) = scope.extensions.get().copied().unwrap_or(Matched(0));
        let rest = match path.get(from..) {
            None | Some("") => "/",
            Some(rest) => rest,
        };
        let Ok(found) = self.routes.at(rest) else {
            return Err(unrouted("no route has this path"));
        };
        let route = found.value;
        let mut below = 0;
        let mut params = Vec::with_capacity(found.params.len());
        for (name, value) in found.params.iter() {
            if name == REST {
                // With the slash before it.
                below = value.len() + 1;
                continue;
            }
            params.push((name.to_owned(), decoded(value).into_owned()));
        }
        let slash = usize::from(below == 0 && rest.len() > 1 && rest.ends_with('/'));
        let matched = Matched(path.len() - below - slash);
        if route.is_nest {
            scope.insert(matched);
        }
        for (name, value) in params {
            scope.add_param(&name, &value);
        }
        Ok(&route.application)
    }
}

fn unrouted(reason: &'static str) -> Rejection {
    Rejection::from(StatusCode::NOT_FOUND)
        .by(Rule::Path)
        .because(reason)
}

/// What is wrong with a path that no client could ask for, though it can be looked for.
fn mistake(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("a path starts with /");
    }
    if path.contains(['?', '#']) {
        return Some("a path ends before its query; a ? that belongs to it is written %3F");
    }
    path.split('/').find_map(|segment| match segment {
        "." | ".." => Some("a client resolves . and .. before it asks"),
        _ if segment.starts_with([':', '<']) => {
            Some("a parameter is written {name}, as in \"/rooms/{room}\"")
        }
        _ if segment.starts_with('*') => {
            Some("what takes all the rest is written {*name}, as in \"/files/{*rest}\"")
        }
        _ => None,
    })
}

impl<P: OpensOverHttp> Application<P> for PathRouter<P> {
    fn call(
        &self,
        mut scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = Result<()>> + Send {
        // The scope moves straight into the picked application's boxed future: this one, which lives as long, stays small.
        match self.pick(&mut scope) {
            Ok(application) => Picked::Application(application.call(scope, connection)),
            Err(reject) => Picked::Refused(Box::pin(P::refuse(connection, reject))),
        }
        .run()
    }
}

enum Picked<A, R> {
    Application(A),
    Refused(R),
}

impl<A: Future<Output = Result<()>>, R: Future<Output = Result<()>>> Picked<A, R> {
    async fn run(self) -> Result<()> {
        match self {
            Self::Application(future) => future.await,
            Self::Refused(future) => future.await,
        }
    }
}

impl<P: OpensOverHttp> fmt::Debug for PathRouter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PathRouter").finish_non_exhaustive()
    }
}
