//! The scope of a connection, and the protocol traits.

use crate::{
    connection_span::ConnectionSpan,
    cookies,
    error::{Error, ErrorKind, Result},
    rejection::Rejection,
    rejection_log::{Peer, Rule},
};
use http::{Extensions, StatusCode, request, response};
use std::{
    any::{Any, type_name},
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    str::FromStr,
};

/// A kind of connection: the types of its opening head and of its connection.
///
/// [`Http`](crate::protocol::Http), [`WebSocket`](crate::protocol::WebSocket) and
/// [`Worker`](crate::protocol::Worker) are protocols; your own unit struct can be one.
///
/// ```
/// use seaway::Protocol;
///
/// /// Jobs in a spool folder.
/// struct Spool;
/// impl Protocol for Spool {
///     const NAME: &'static str = "spool";
///     type Head = std::path::PathBuf;
///     type Connection = std::vec::IntoIter<String>;
/// }
/// ```
pub trait Protocol: Sized + Send + Sync + 'static {
    /// The protocol's name in logs and messages.
    const NAME: &'static str;
    /// The type of the opening head, such as the head of an HTTP request.
    type Head: Send + Sync + 'static;
    /// The type of the connection after the head.
    type Connection: Send + 'static;
}

/// A protocol whose connections open with an HTTP request and get one HTTP response.
///
/// Middleware that is generic over these protocols works for HTTP and WebSockets alike.
pub trait OpensOverHttp: Protocol<Head = request::Parts> {
    /// Whether a browser shows the response, so that
    /// [`RequireUser`](crate::middleware::RequireUser) may redirect to a login page (default: no).
    const IS_PAGE: bool = false;

    /// Whether a client may send its bearer token as a subprotocol, because it cannot set headers
    /// (default: no).
    const HAS_SUBPROTOCOLS: bool = false;

    /// Registers a hook that runs before the response is sent, for example to save a session and
    /// set its cookie.
    ///
    /// Hooks run in reverse order of registration, the innermost first, as responses pass
    /// middleware. After 10 s, the remaining ones are dropped at an await, and the client gets 503.
    ///
    /// ```
    /// use seaway::{Application, OpensOverHttp, Result, Scope, http::HeaderValue};
    ///
    /// /// Tells the client which version of the program responds.
    /// struct Version<A>(A);
    ///
    /// impl<P: OpensOverHttp, A: Application<P>> Application<P> for Version<A> {
    ///     async fn call(&self, scope: Scope<P>, mut connection: P::Connection) -> Result<()> {
    ///         P::on_response(
    ///             &mut connection,
    ///             Box::new(|response| {
    ///                 response.headers.insert("x-version", HeaderValue::from_static("7"));
    ///                 Box::pin(async { Ok(()) })
    ///             }),
    ///         );
    ///         Ok(self.0.call(scope, connection).await?)
    ///     }
    /// }
    /// ```
    fn on_response(connection: &mut Self::Connection, hook: ResponseHook);

    /// Responds with a rejection and ends the connection.
    fn reject(
        connection: Self::Connection,
        rejection: impl Into<Rejection> + Send,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Runs a step before the response. `None` if the client has left meanwhile, and the connection
    /// has ended.
    #[doc(hidden)]
    fn while_awaited<T: Send>(
        connection: Self::Connection,
        step: impl Future<Output = T> + Send,
    ) -> impl Future<Output = Option<(T, Self::Connection)>> + Send {
        async move { Some((step.await, connection)) }
    }
}

/// A hook that runs once, before the response is sent.
///
/// It may change status and headers. An error replaces the whole response; the hooks that remain
/// run on the rejection.
pub type ResponseHook =
    Box<dyn for<'a> FnOnce(&'a mut response::Parts) -> RunningHook<'a> + Send + Sync>;

/// The future of a [`ResponseHook`].
pub type RunningHook<'a> = Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>;

/// The metadata of one connection: its head, the client's address, path parameters, and values
/// added by middleware.
///
/// ```
/// use seaway::{Scope, protocol::Http};
///
/// let (head, ()) = http::Request::get("/rooms/7?lang=da").body(()).unwrap().into_parts();
/// let mut scope = Scope::<Http>::new(head);
/// scope.insert("ana".to_owned());
/// assert_eq!(scope.state::<String>().unwrap(), "ana");
/// assert_eq!(scope.query::<String>("lang").unwrap(), "da");
/// assert_eq!(scope.query_opt::<u32>("page").unwrap(), None);
/// ```
///
/// [`param`](Scope::param) and [`query`](Scope::query) parse, and return the rejection of what they
/// cannot parse; those with `_opt` return `None` without the parameter, and those with `raw_` the
/// text as it is. A [`Handshake`](crate::Handshake) has the same methods.
#[non_exhaustive]
pub struct Scope<P: Protocol> {
    /// The opening head.
    ///
    /// Boxed, because a scope is moved from application to application.
    pub head: Box<P::Head>,
    /// The client's address; `None` if it did not connect over a network.
    pub client: Option<SocketAddr>,
    /// The values that middleware has added, by type.
    pub extensions: Extensions,
    params: Params,
    /// The part of the path that the routers so far have matched.
    pub(crate) matched: MatchedPath,
    span: ConnectionSpan,
}

/// How many bytes of a path outer routers have matched. The inner router matches the rest.
#[derive(Clone, Copy, Default)]
pub(crate) struct MatchedPath {
    /// Of the path as a router compares it.
    pub(crate) written: usize,
    /// Of the path as a server behind the router may read it.
    pub(crate) read: usize,
}

/// The path parameters of all routers, outermost first.
#[derive(Clone, Default)]
struct Params(Vec<(Box<str>, Box<str>)>);

impl Params {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| **key == *name);
        found.map(|(_, value)| &**value)
    }

    fn param<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        self.param_opt(name)?.ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|(key, _)| &**key).collect();
            Rejection::from(Error::new(
                ErrorKind::Missing,
                format!(
                    "no path parameter {name:?} among {known:?}; route this application in a PathRouter under a path with \
                      {{{name}}} (in an axum app, nest_service a PathRouter around it: parameters that axum's \
                      own routes capture are not visible here)"
                ),
            ))
        })
    }

    fn param_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>, Rejection> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|_| {
            let reason = format!("the path parameter {name:?} is not a {}", type_name::<T>());
            Rejection::from_status(StatusCode::NOT_FOUND)
                .by(Rule::Path)
                .because(reason)
        })
    }
}

impl<P: Protocol> Scope<P> {
    /// Creates a scope with this head and nothing else.
    pub fn new(head: P::Head) -> Self {
        Self {
            head: Box::new(head),
            client: None,
            extensions: Extensions::new(),
            params: Params::default(),
            matched: MatchedPath::default(),
            span: ConnectionSpan::default(),
        }
    }

    /// Returns the name of the protocol.
    pub fn protocol(&self) -> &'static str {
        P::NAME
    }

    /// Returns a path parameter as text, percent-decoded.
    ///
    /// ```
    /// use seaway::{Rejection, Scope, protocol::Http};
    ///
    /// // In an application on the route `/rooms/{room}/{page}`:
    /// fn place(scope: &Scope<Http>) -> Result<(String, u32), Rejection> {
    ///     let room = scope.raw_param("room").unwrap_or("lobby");
    ///     Ok((room.to_owned(), scope.param("page")?))
    /// }
    /// ```
    pub fn raw_param(&self, name: &str) -> Option<&str> {
        self.params.get(name)
    }

    /// Returns all path parameters, outermost router first.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        let params = self.params.0.iter();
        params.map(|(key, value)| (&**key, &**value))
    }

    /// Returns a path parameter, parsed as `T`.
    ///
    /// # Errors
    /// Rejects with 404 if the text does not parse, as for a path without a route, and with 500 if
    /// no router around this application has a parameter of that name, which is a routing mistake.
    pub fn param<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        self.params.param(name)
    }

    /// Returns a path parameter, parsed as `T`, or `None` if no router around this application has
    /// one of that name, as on one of several routes to it.
    ///
    /// ```
    /// use seaway::{Rejection, Scope, protocol::Http};
    ///
    /// // In an application on the routes `/lots` and `/lots/{page}`:
    /// fn page(scope: &Scope<Http>) -> Result<u32, Rejection> {
    ///     Ok(scope.param_opt("page")?.unwrap_or(1))
    /// }
    /// ```
    ///
    /// # Errors
    /// Rejects with 404 if the text does not parse.
    pub fn param_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>, Rejection> {
        self.params.param_opt(name)
    }

    /// Adds a value for [`state`](Scope::state), replacing one of the same type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.extensions.insert(value);
    }

    /// Returns a value that [`Provide`](crate::middleware::Provide), other middleware or a startup
    /// function has added, by its type.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if there is none of this type; the message names it. Through `?` in
    /// `connect` it rejects with 500.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.extensions.get().ok_or_else(|| {
            let name = type_name::<T>();
            Error::new(
                ErrorKind::Missing,
                format!("no {name} in the scope; add one with middleware, such as Provide(value), or in an axum app with an Extension layer"),
            )
        })
    }

    /// Returns the same metadata with another head.
    pub(crate) fn map_head<Q: Protocol>(self, map: impl FnOnce(P::Head) -> Q::Head) -> Scope<Q> {
        Scope {
            head: Box::new(map(*self.head)),
            client: self.client,
            extensions: self.extensions,
            params: self.params,
            matched: self.matched,
            span: self.span,
        }
    }

    /// Returns a copy. There is no `Clone`: what is changed in one of them is not in the other.
    pub(crate) fn copy(&self) -> Self
    where
        P::Head: Clone,
    {
        Self {
            head: self.head.clone(),
            client: self.client,
            extensions: self.extensions.clone(),
            params: self.params.clone(),
            matched: self.matched,
            span: self.span.clone(),
        }
    }

    pub(crate) fn add_param(&mut self, name: &str, value: &str) {
        self.params.0.push((name.into(), value.into()));
    }
}

impl<P: Protocol> Scope<P> {
    /// Sets a field of the tracing span of this connection, which all its log lines show:
    /// `request_id` or `user`.
    ///
    /// In a tower service, such as an axum router, the lines of Seaway about a failed request have
    /// the span; for lines of your own there, add tower-http's `TraceLayer`.
    ///
    /// The span, `connection`, has the fields `protocol`, `path`, `client`, `consumer`,
    /// `request_id` (at first the header `x-request-id`) and `user` (set by
    /// [`Auth`](crate::middleware::Auth)). Another name is ignored; for a field of your own, put a
    /// span of yours around the call of the inner application.
    ///
    /// ```
    /// use seaway::{Application, OpensOverHttp, Result, Scope};
    ///
    /// /// Takes the id of a request from a header of its own.
    /// struct TraceId<A>(A);
    ///
    /// impl<P: OpensOverHttp, A: Application<P>> Application<P> for TraceId<A> {
    ///     async fn call(&self, scope: Scope<P>, connection: P::Connection) -> Result<()> {
    ///         if let Some(Ok(id)) = scope.head.headers.get("x-trace").map(|id| id.to_str()) {
    ///             scope.record("request_id", id);
    ///         }
    ///         self.0.call(scope, connection).await
    ///     }
    /// }
    /// ```
    pub fn record(&self, field: &'static str, value: impl fmt::Display) {
        self.span.record(field, value);
    }

    /// Returns the span of this connection.
    pub(crate) fn span(&self) -> &ConnectionSpan {
        &self.span
    }

    pub(crate) fn set_span(&mut self, span: ConnectionSpan) {
        self.span = span;
    }
}

impl<P: OpensOverHttp> Scope<P> {
    /// Returns the same metadata as that of a connection of another protocol.
    pub(crate) fn into_protocol<Q: OpensOverHttp>(self) -> Scope<Q> {
        Scope {
            head: self.head,
            client: self.client,
            extensions: self.extensions,
            params: self.params,
            matched: self.matched,
            span: self.span,
        }
    }

    /// Returns the path and address of the client, for the log.
    pub(crate) fn peer(&self) -> Peer {
        Peer::new(&self.head.uri, self.client)
    }

    /// Returns a required query parameter, parsed as `T`.
    ///
    /// # Errors
    /// Rejects with 400 if it is missing or does not parse.
    pub fn query<T: FromStr>(&self, name: &str) -> Result<T, Rejection> {
        let value = self.query_opt(name)?;
        value.ok_or_else(|| unusable_query(name, "missing", "missing"))
    }

    /// Returns an optional query parameter, parsed as `T`.
    ///
    /// ```
    /// use seaway::{Rejection, Scope, protocol::Http};
    ///
    /// fn page(scope: &Scope<Http>) -> Result<u32, Rejection> {
    ///     Ok(scope.query_opt("page")?.unwrap_or(1))
    /// }
    /// ```
    ///
    /// # Errors
    /// Rejects with 400 if it is there and does not parse, as an empty number.
    pub fn query_opt<T: FromStr>(&self, name: &str) -> Result<Option<T>, Rejection> {
        let text = self.raw_query(name);
        text.map(|text| text.parse()).transpose().map_err(|_| {
            let reason = format!("not of the type {}", type_name::<T>());
            unusable_query(name, "malformed", &reason)
        })
    }

    /// Returns the first value of a query parameter as text, decoded (`+` is a space).
    ///
    /// ```
    /// # use seaway::{Scope, protocol::Http};
    /// # let (head, ()) = http::Request::get("/find?text=ana+bo").body(()).unwrap().into_parts();
    /// # let scope = Scope::<Http>::new(head);
    /// assert_eq!(scope.raw_query("text").as_deref(), Some("ana bo"));
    /// ```
    pub fn raw_query(&self, name: &str) -> Option<String> {
        let query = self.head.uri.query()?;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key) == name).then(|| decode(value))
        })
    }

    /// Returns the cookies that the client sent, in its order, with percent-decoded values.
    ///
    /// If several have the same name, the first counts; see [`Cookies`](crate::Cookies).
    pub fn cookies(&self) -> impl Iterator<Item = cookie::Cookie<'_>> {
        cookies::parse(&self.head.headers)
    }
}

/// Returns the rejection for a query parameter, with what the client reads and what the log says.
fn unusable_query(name: &str, why: &str, reason: &str) -> Rejection {
    let parameter = format!("the query parameter {name:?} is");
    Rejection::new(StatusCode::BAD_REQUEST, format!("{parameter} {why}"))
        .because(format!("{parameter} {reason}"))
}

/// Decodes form encoding: `+` is a space, `%xx` is a byte; invalid UTF-8 becomes U+FFFD.
fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

/// Without the query and the values of headers, which may be secrets.
impl<P: Protocol> fmt::Debug for Scope<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut scope = f.debug_struct("Scope");
        scope.field("protocol", &P::NAME);
        let head: &dyn Any = &*self.head;
        if let Some(head) = head.downcast_ref::<request::Parts>() {
            let names: Vec<_> = head.headers.keys().collect();
            scope
                .field("method", &head.method)
                .field("path", &head.uri.path())
                .field("headers", &names);
        }
        scope.field("client", &self.client).finish_non_exhaustive()
    }
}

impl<P: Protocol> fmt::Display for Scope<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connection", P::NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    #[derive(Debug)]
    struct Pages;
    impl Protocol for Pages {
        const NAME: &'static str = "pages";
        type Head = request::Parts;
        type Connection = ();
    }
    impl OpensOverHttp for Pages {
        fn on_response((): &mut (), _: ResponseHook) {}
        async fn reject((): (), _: impl Into<Rejection> + Send) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_debug_text_of_a_scope_has_no_secrets() {
        let request = Request::post("/rooms/7?token=secret")
            .header("cookie", "session=secret")
            .header("authorization", "Bearer secret");
        let scope = Scope::<Pages>::new(request.body(()).unwrap().into_parts().0);

        let text = format!("{scope:?}");

        assert!(!text.contains("secret"), "{text}");
        for part in ["pages", "POST", "/rooms/7", "cookie", "authorization"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    fn scope(query: &str) -> Scope<Pages> {
        let request = Request::get(format!("/?{query}")).body(());
        Scope::new(request.unwrap().into_parts().0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_query_parameter_is_found_among_any_others(
            before in "[^\"#<>\u{0}-\u{20}\u{7f}]{0,30}",
            behind in "[^\"#<>\u{0}-\u{20}\u{7f}]{0,30}",
            value in ".{0,20}",
        ) {
            let encoded = utf8_percent_encode(&value, NON_ALPHANUMERIC);

            let scope = scope(&format!("{before}&our%20s={encoded}&{behind}"));

            prop_assert_eq!(scope.raw_query("our s"), Some(value));
        }
    }
}
