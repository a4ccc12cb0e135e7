//! The settings of a server, and its run from startup to shutdown.

use super::{
    accept::{ServerLimits, accept},
    bind::Bind,
    connection::{ConnectionLimits, ServedApp},
    lifecycle::Lifecycle,
    lifespan::{Lifespan, LifespanFn},
    listener::ErasedListener,
    shutdown_signal::ShutdownSignal,
    trusted_proxies::TrustedProxies,
    workers::{RunningWorkers, Workers},
};
use crate::{
    application::Application,
    catch_panic::{catch_panic, caught},
    channels::Channels,
    error::Result,
    middleware::ProvideAll,
    protocol::{Http, WebSocket},
    required_state::RequiredState,
    routing::{ChannelNameRouter, PathRouter, ProtocolTypeRouter},
};
use http::Extensions;
use std::{
    any::Any,
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};
use tokio::sync::Semaphore;
use tower_layer::Layer;

/// Serves an application: a [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter), a
/// [`PathRouter`](crate::routing::PathRouter), a consumer's application, an `axum::Router`, or any
/// other tower service.
///
/// Await the returned value. On Ctrl-C or SIGTERM the server shuts down: it stops accepting
/// connections, closes WebSockets with 1001, finishes open requests, and notifies event streams to
/// end. What still runs after [`drain_timeout`](Serve::drain_timeout), or at a second Ctrl-C or
/// SIGTERM, is aborted, and `disconnect` then has 3 s more; a further signal ends that wait, too.
///
/// Calls that block continue after the server has returned, and tokio's runtime waits for them when
/// it is dropped. If one may hang, end the runtime with `Runtime::shutdown_timeout`; see
/// `docs/blocking.md`.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::routing::ProtocolTypeRouter;
///
/// seaway::serve("127.0.0.1:8000", ProtocolTypeRouter::new()).await?;
/// # Ok(()) }
/// ```
///
/// Instead of an address it accepts a [`Listener`](crate::Listener): a `tokio::net::TcpListener`,
/// for example to know the port before it serves, a `tokio::net::UnixListener`, or your own.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) if it cannot listen on the address,
/// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if a router needs a value that neither its
/// middleware nor a startup function provides ([`RequiredState`]), the error of a startup
/// function that fails, and [`ErrorKind::User`](crate::ErrorKind::User), once it has shut down, if
/// a listener panics.
pub fn serve<S: ServedApp>(on: impl Into<Bind>, app: S) -> Serve<S> {
    Serve::new(on.into(), AppSource::Built(app))
}

/// Serves the application that an async function builds once the startup functions have run:
/// without parameters, or of a value that one of them has returned.
///
/// So a startup value can be part of the application: of an
/// [`Authenticator`](crate::middleware::Authenticator), a session store, the state of an axum
/// router.
///
/// ```no_run
/// # #[derive(Clone)] struct Database;
/// # impl Database {
/// #     async fn open() -> seaway::Result<Self> { Ok(Self) }
/// #     async fn close(self) {}
/// # }
/// # fn app(_: Database) -> seaway::routing::ProtocolTypeRouter { seaway::routing::ProtocolTypeRouter::new() }
/// # async fn example() -> seaway::Result<()> {
/// use seaway::serve_with;
///
/// serve_with("127.0.0.1:8000", async |database: Database| Ok(app(database)))
///     .on_startup(Database::open)
///     .on_shutdown(Database::close)
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`serve`], and the error of the function; [`ErrorKind::Missing`](crate::ErrorKind::Missing)
/// if no startup function has returned its parameter. The shutdown functions run then.
pub fn serve_with<Args, S: ServedApp>(
    on: impl Into<Bind>,
    build: impl LifespanFn<Args, Output = crate::Result<S>>,
) -> Serve<S> {
    let build = move |values: &Extensions| -> Result<Building<S>> {
        let build = build.bind(values)?;
        Ok(Box::pin(async move { Ok(build().await?) }))
    };
    Serve::new(on.into(), AppSource::Function(Box::new(build)))
}

impl<S> Serve<S> {
    fn new(on: Bind, app: AppSource<S>) -> Self {
        Self {
            on: vec![on],
            app,
            limits: ServerLimits {
                connection: ConnectionLimits {
                    head_timeout: Duration::from_secs(10),
                    max_head_size: 64 * 1024,
                    body_timeout: Duration::from_secs(60),
                    write_timeout: Duration::from_secs(60),
                    idle_timeout: Duration::from_secs(60),
                    half_close_timeout: Duration::from_secs(300),
                    allows_connect: false,
                },
                connections: 65_536,
                per_address: usize::MAX,
                retry_after: None,
                close_over: Duration::ZERO,
                proxies: None,
                drain_timeout: Duration::from_secs(30),
            },
            lifecycle: Lifecycle::default(),
            workers: Vec::new(),
        }
    }
}

/// A server that runs when it is awaited, with its settings; see [`serve`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> seaway::Result<()> {
/// use seaway::{Lifespan, routing::ProtocolTypeRouter, serve};
/// use std::time::Duration;
///
/// # let finished = async {};
/// serve("127.0.0.1:0", ProtocolTypeRouter::new())
///     .max_connections(10_000)
///     .max_connections_per_address(100)
///     .max_head_size(16 * 1024)
///     .head_timeout(Duration::from_secs(5))
///     .body_timeout(Duration::from_secs(30))
///     .write_timeout(Duration::from_secs(30))
///     .idle_timeout(Duration::from_secs(30))
///     .half_close_timeout(Duration::from_secs(60))
///     .lifespan(Lifespan::new().on_shutdown(async || println!("closed")))
///     .drain_timeout(Duration::from_secs(10))
///     .retry_after(Duration::from_secs(5))
///     .close_over(Duration::from_secs(5))
///     .shutdown_timeout(Duration::from_secs(5))
///     .stop_on(finished)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<S> {
    on: Vec<Bind>,
    app: AppSource<S>,
    limits: ServerLimits,
    lifecycle: Lifecycle,
    workers: Vec<Workers>,
}

/// Where the application comes from.
enum AppSource<S> {
    Built(S),
    Function(Box<Build<S>>),
}

type Build<S> = dyn FnOnce(&Extensions) -> Result<Building<S>> + Send;

/// The future of a function that builds the application.
type Building<S> = Pin<Box<dyn Future<Output = Result<S>> + Send>>;

impl<S> AppSource<S> {
    /// Returns the application, built of these values.
    async fn app(self, values: &Extensions) -> Result<S> {
        match self {
            Self::Built(app) => Ok(app),
            Self::Function(build) => {
                let building = caught(|| build(values))??;
                catch_panic(|| building).await?
            }
        }
    }
}

/// Returns what a router needs; other services report nothing.
fn required_state(app: &dyn Any) -> RequiredState {
    if let Some(router) = app.downcast_ref::<ProtocolTypeRouter>() {
        return router.required_state();
    }
    if let Some(router) = app.downcast_ref::<PathRouter<Http>>() {
        return router.required_state();
    }
    let router = app.downcast_ref::<PathRouter<WebSocket>>();
    router.map(Application::required_state).unwrap_or_default()
}

impl<S> Serve<S> {
    /// Sets how long a client may take to send a request head, and to send its first bytes after it
    /// has connected (default: 10 s).
    ///
    /// At the bound the connection is closed. The limit applies to an idle keep-alive connection,
    /// too: behind a proxy, set the proxy's own limit shorter.
    pub fn head_timeout(mut self, limit: Duration) -> Self {
        self.limits.connection.head_timeout = limit;
        self
    }

    /// Sets the largest request head, in bytes (default: 64 KiB).
    ///
    /// A larger one gets 431, and the connection is closed.
    ///
    /// Over HTTP/1 the head extends from the request line to the empty line. Over HTTP/2 its size
    /// is that of the header list: names and values, and 32 bytes per header (RFC 9113, 6.5.2).
    pub fn max_head_size(mut self, bytes: usize) -> Self {
        self.limits.connection.max_head_size = bytes;
        self
    }

    /// Sets how long a client may pause while it sends a request body (default: 60 s).
    ///
    /// At the bound reading the body fails, which as a [`Rejection`](crate::Rejection) is a 408,
    /// and an HTTP/1 connection is closed after the response. Only time in which the application
    /// waits for the body counts. [`Duration::MAX`] sets no limit.
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.limits.connection.body_timeout = limit;
        self
    }

    /// Sets how long a client may read nothing of a response while bytes of it are waiting
    /// (default: 60 s).
    ///
    /// At the bound the connection is closed; over HTTP/2 a stream is reset whose flow-control
    /// window remains full. [`Duration::MAX`] sets no limit.
    ///
    /// Progress is detected when the socket's send buffer has room again, which a slow client makes
    /// in steps of up to a third of the buffer; over TLS, what is left at the end, up to 64 KiB, is
    /// one step. A response without bytes to send, such as a quiet event stream, is not affected,
    /// and neither are WebSockets: they have a
    /// [heartbeat](crate::protocol::WebSocketConfig::heartbeat). A WebSocket that a `proxy` passes
    /// through has none; it is closed if one side reads nothing for this time. What a WebSocket
    /// over HTTP/2 has sent last must be read within 5 s of its end, or within this time if that is
    /// shorter.
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.limits.connection.write_timeout = limit;
        self
    }

    /// Sets how long an HTTP/2 connection may have no open request (default: 60 s).
    ///
    /// At the bound the client gets GOAWAY, and the connection is closed 5 s later.
    /// [`Duration::MAX`] sets no limit. HTTP/1 connections that wait for their next request have
    /// [`head_timeout`](Serve::head_timeout).
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.limits.connection.idle_timeout = limit;
        self
    }

    /// Sets how long an HTTP/1 request may run without writing a byte of its response after the
    /// client has closed its sending side (default: 5 min).
    ///
    /// At the bound the connection is closed, and the request's future is dropped.
    /// [`Duration::MAX`] sets no limit.
    ///
    /// A client may close its sending side (TCP FIN) and still wait for the response, so the
    /// request is served to its end. A client that has closed the whole connection looks the same
    /// until something is written to it. HTTP consumers treat both as a disconnect, unless
    /// [`DISCONNECT_ON_HALF_CLOSE`](crate::HttpConsumer::DISCONNECT_ON_HALF_CLOSE) is `false`.
    pub fn half_close_timeout(mut self, limit: Duration) -> Self {
        self.limits.connection.half_close_timeout = limit;
        self
    }

    /// Passes requests with the method CONNECT to the application.
    ///
    /// By default the server responds with 501. A tunnel counts as a connection until it ends. When
    /// the server stops, it does not wait for one over HTTP/1; one over HTTP/2 is a stream like
    /// others, and is aborted after [`drain_timeout`](Serve::drain_timeout).
    pub fn allow_connect(mut self) -> Self {
        self.limits.connection.allows_connect = true;
        self
    }

    /// Sets how long the server waits for its connections when it stops (default: 30 s).
    ///
    /// What still runs then is aborted; below 250 ms, this includes connections over HTTP/1 that
    /// wait for a request. With [`close_over`](Serve::close_over), the wait begins
    /// when the last batch closes.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.limits.drain_timeout = limit;
        self
    }

    /// Sets how many connections may be open at once (default: 65,536).
    ///
    /// At the bound further clients wait in the listeners' queues; of several listeners, each may
    /// have accepted one more, which waits too.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn max_connections(mut self, limit: usize) -> Self {
        assert!(
            limit > 0,
            "max_connections must be above zero: the server would accept no client; leave it out for the default"
        );
        self.limits.connections = limit.min(Semaphore::MAX_PERMITS);
        self
    }

    /// Sets how many connections one client address may have at once (default: no limit).
    ///
    /// At the bound a further connection gets 429, or over HTTP/2 GOAWAY with ENHANCE_YOUR_CALM, and
    /// is closed; of those which that client does not close itself, at most as many again wait for
    /// up to 1 s, and others are closed without a response. Of an IPv6 address the first 64 bits
    /// count. Clients without an address, as on a Unix socket, have no limit.
    ///
    /// Behind a proxy all clients have the proxy's address: set the limit there instead.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn max_connections_per_address(mut self, limit: usize) -> Self {
        assert!(
            limit > 0,
            "max_connections_per_address must be above zero: the server would serve no client; leave it out for no limit"
        );
        self.limits.per_address = limit;
        self
    }

    /// Closes WebSockets with 1012 (service restart) when the server stops, and asks their clients
    /// to reconnect after a time of between half of `limit` and `limit`.
    ///
    /// The time is random for each client, so that they do not all reconnect at once, and in the
    /// close reason, in seconds: `retry_after=2.75`. Set `limit` to the time of a restart, or so
    /// that connections divided by half of it is a rate which the other processes can accept. Event
    /// streams get it as `retry:`, which browsers obey (HTML, 9.2.6).
    ///
    /// Default: WebSockets close with 1001 (going away), without a time.
    pub fn retry_after(mut self, limit: Duration) -> Self {
        self.limits.retry_after = Some(limit);
        self
    }

    /// Closes WebSockets, event streams and waiting requests over this time when the server stops,
    /// in batches, so that their clients do not all reconnect at once (default: zero, all at once).
    ///
    /// There are ten batches per second at most, and 600 in all; each connection is in a random
    /// one. Until its turn a connection is served as before. The listeners are closed at once, and
    /// connections without an open request 250 ms later. Clients that obey
    /// [`retry_after`](Serve::retry_after) spread by themselves; this spreads the others, too.
    pub fn close_over(mut self, time: Duration) -> Self {
        self.limits.close_over = time;
        self
    }

    /// Sets the proxies whose headers `X-Forwarded-For` and `X-Forwarded-Proto` are trusted
    /// (default: none), also `X-Forwarded-Host` with [`TrustedProxies::x_forwarded_host`], or the
    /// header `Forwarded` with [`TrustedProxies::forwarded_header`].
    ///
    /// - The client is the last address in `X-Forwarded-For` that is not one of these proxies. The
    ///   [scope]'s `client`, [`ClientAddr`](crate::ClientAddr) and the log have it then. The limit
    ///   per address counts the proxy's own connections.
    /// - The host and the scheme are the last entries of `X-Forwarded-Host` and
    ///   `X-Forwarded-Proto`, those of the nearest proxy that states them; in `Forwarded` they are
    ///   those of the client's element. [`RequestedHost`](crate::RequestedHost) and the
    ///   [origin checks](crate::protocol::AllowedOrigins::same_origin) have them then. What is not
    ///   a host, or not `http`, `https`, `ws` or `wss`, is ignored.
    ///
    /// Only list proxies that set each of these headers, add to it or remove it: a client can send
    /// any.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::{TrustedProxies, routing::ProtocolTypeRouter, serve};
    ///
    /// serve("127.0.0.1:8000", ProtocolTypeRouter::new())
    ///     .trusted_proxies(TrustedProxies::new(["127.0.0.1"]))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// [scope]: crate::Scope
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.limits.proxies = Some(proxies);
        self
    }

    /// Adds another address or [`Listener`](crate::Listener); all serve the same application.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::{routing::ProtocolTypeRouter, serve};
    /// use tokio::net::UnixListener;
    ///
    /// serve("127.0.0.1:8000", ProtocolTypeRouter::new())
    ///     .listen("[::1]:8000")
    ///     .listen(UnixListener::bind("/run/shop/http.sock")?)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn listen(mut self, on: impl Into<Bind>) -> Self {
        self.on.push(on.into());
        self
    }

    /// Adds a function that runs before connections are accepted: `.on_startup(Database::open)`.
    ///
    /// The value that it returns is inserted into every scope. If it fails, nothing is served, and
    /// the server returns the error.
    ///
    /// ```no_run
    /// # #[derive(Clone)] struct Database;
    /// # impl Database {
    /// #     async fn open() -> seaway::Result<Self> { Ok(Self) }
    /// #     async fn close(self) {}
    /// # }
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::{routing::ProtocolTypeRouter, serve};
    ///
    /// serve("127.0.0.1:8000", ProtocolTypeRouter::new())
    ///     .on_startup(Database::open)
    ///     .on_shutdown(Database::close)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// See [`Lifespan::on_startup`], and `docs/lifespan.md`.
    pub fn on_startup<Args, T>(
        mut self,
        start: impl LifespanFn<Args, Output = crate::Result<T>>,
    ) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        self.lifecycle.add(|lifespan| lifespan.on_startup(start));
        self
    }

    /// Adds a function that runs once after the drain, or after a later startup function has
    /// failed.
    ///
    /// Functions run in reverse order; see [`Lifespan::on_shutdown`].
    pub fn on_shutdown<Args>(mut self, stop: impl LifespanFn<Args, Output = ()>) -> Self {
        self.lifecycle.add(|lifespan| lifespan.on_shutdown(stop));
        self
    }

    /// Sets how long each function of [`on_shutdown`](Serve::on_shutdown) may take (default: 10 s).
    ///
    /// At the bound it is dropped at an await, and the next one runs.
    pub fn shutdown_timeout(mut self, limit: Duration) -> Self {
        self.lifecycle
            .add(|lifespan| lifespan.shutdown_timeout(limit));
        self
    }

    /// Adds the functions of a part of the application, after those that were added before.
    pub fn lifespan(mut self, part: Lifespan) -> Self {
        self.lifecycle.add(|lifespan| lifespan.and(part));
        self
    }

    /// Runs workers in the same process, beside the server.
    ///
    /// They start with it. When it stops, they take jobs until the last connection has ended, and
    /// then finish those that run, for up to [`drain_timeout`](Serve::drain_timeout) once more. The
    /// values of startup functions are in the scope of each job, too. In a process of their own,
    /// workers run by [`serve_workers`](crate::serve_workers).
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::{Channels, Event, Result, WorkerContext, serve, worker_fn};
    /// use seaway::routing::{ChannelNameRouter, ProtocolTypeRouter};
    ///
    /// #[derive(Event)]
    /// enum ImageJob { Shrink { file: String } }
    ///
    /// async fn image(_: WorkerContext, job: ImageJob) -> Result<()> { Ok(()) }
    ///
    /// let channels = Channels::in_memory();
    /// let workers = ChannelNameRouter::new().route("images", worker_fn(&channels, image));
    /// serve("127.0.0.1:8000", ProtocolTypeRouter::new())
    ///     .workers(&channels, workers)
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// A router without routes is no error, unlike in [`serve_workers`](crate::serve_workers).
    pub fn workers(mut self, channels: &Channels, router: ChannelNameRouter) -> Self {
        self.workers.push(Workers {
            channels: channels.clone(),
            router,
        });
        self
    }

    /// Stops the server when this future completes, instead of on Ctrl-C or SIGTERM.
    ///
    /// The application then handles those signals itself, also a second one.
    pub fn stop_on(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.lifecycle.stop_on(stop);
        self
    }

    async fn run(self) -> Result<()>
    where
        S: ServedApp,
    {
        let Self {
            on,
            app,
            limits,
            lifecycle,
            workers,
        } = self;
        let started = async |values: &Extensions| {
            let app = app.app(values).await?;
            let for_workers = workers.iter().map(Workers::required_state);
            let required = for_workers.fold(required_state(&app), RequiredState::and);
            required.without_all(values).check()?;
            Ok((app, workers))
        };
        let serve = async |(app, workers), values: ProvideAll, signal: &mut ShutdownSignal| {
            let listeners = listeners(on).await?;
            let app = values.layer(app);
            let mut running = RunningWorkers::default();
            for these in workers {
                running.start(these, &values);
            }
            let limit = limits.drain_timeout;
            let outcome = accept(listeners, app, limits, signal).await;
            // Connections send jobs until their end.
            running.stop(limit, signal).await;
            outcome
        };
        lifecycle.run(started, serve).await
    }
}

/// Returns the listeners of these addresses. If one cannot be bound, none remains open.
///
/// # Errors
/// As [`Bind::listener`].
async fn listeners(on: Vec<Bind>) -> Result<Vec<Box<dyn ErasedListener>>> {
    let mut listeners = Vec::with_capacity(on.len());
    for bind in on {
        listeners.push(bind.listener().await?);
    }
    Ok(listeners)
}

impl<S: ServedApp> IntoFuture for Serve<S> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<S> fmt::Debug for Serve<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").finish_non_exhaustive()
    }
}
