//! Tests of the state that applications need: checked at startup, not at the first client.

use crate::auth_app::{Account, Accounts};
use axum::Router;
use seaway::{
    Application, ApplicationExt, AuthSession, BlockingConsumer, BlockingContext, BlockingHandshake,
    Channels, ErrorKind, FromScope, Group, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    HttpResponse, Lifespan, NoEvent, Rejection, RequiredState, Result, Scope, Session, User,
    WebSocketConsumer, consumer, from_service,
    middleware::{Auth, Provide, RequireUser, Sessions},
    protocol::{AllowedOrigins, Http, Job, WebSocket, WebSocketConfig, Worker},
    routing::{ChannelNameRouter, PathRouter, ProtocolTypeRouter},
    serve, serve_with, serve_workers,
    session::MemoryStore,
    testing::TestClient,
};
use std::future::{IntoFuture, pending, ready};

#[derive(Clone)]
struct Database;

#[derive(Clone)]
struct Cache;

/// A consumer with fields of every kind.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Room {
    #[param]
    room: String,
    #[state]
    database: Database,
    #[state]
    cache: Option<Cache>,
    #[default]
    count: u32,
}

#[consumer]
impl Room {
    async fn receive(&mut self, _: String) -> Result<()> {
        Ok(())
    }
}

/// A consumer of a user.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Member {
    #[user]
    account: Option<Account>,
    #[session("basket")]
    basket: Option<u32>,
    session: Session,
    auth: AuthSession<Accounts>,
}

#[consumer]
impl Member {
    async fn receive(&mut self, _: String) -> Result<()> {
        Ok(())
    }
}

/// A consumer with a `connect` of its own, which fills the fields.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Checked {
    #[state]
    database: Database,
}

#[consumer]
impl Checked {
    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        <Self as seaway::FromHandshake>::from_handshake(handshake).await
    }
    async fn receive(&mut self, _: String) -> Result<()> {
        Ok(())
    }
}

/// An HTTP consumer that states its needs by hand.
struct Page;

impl HttpConsumer for Page {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        handshake.state::<Database>()?;
        Ok(Self)
    }
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("here you are")
    }
    fn required_state() -> RequiredState {
        RequiredState::of::<Database>()
    }
}

/// A blocking consumer that does.
struct Clerk;

impl BlockingConsumer for Clerk {
    type Input = String;
    type Event = NoEvent;

    fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }
    fn receive(&mut self, _: &mut BlockingContext, _: String) -> Result<()> {
        Ok(())
    }
    fn required_state() -> RequiredState {
        RequiredState::of::<Cache>()
    }
}

fn rooms() -> ProtocolTypeRouter {
    let rooms = PathRouter::new().route("/{room}", Room::application(&Channels::in_memory()));
    ProtocolTypeRouter::new().websocket(PathRouter::new().nest("/ws", rooms))
}

fn sessions() -> Sessions {
    Sessions::new(MemoryStore::default(), &Channels::in_memory())
}

fn auth() -> Auth<Accounts> {
    Auth::new(Accounts::of(&["ana"]))
}

#[tokio::test]
async fn a_server_without_a_value_that_a_consumer_needs_does_not_start() {
    let served = serve("127.0.0.1:0", rooms()).stop_on(pending()).await;

    let error = served.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    let expected = "it::required_state::Room at /ws/{room} needs it::required_state::Database: \
                    return one from an on_startup function, or wrap the application in Provide; \
                    it::required_state::Room at /ws/{room} needs \
                    core::option::Option<it::required_state::Cache>: ";
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[tokio::test]
async fn path_routers_are_checked_too() {
    let channels = Channels::in_memory();
    let sockets = PathRouter::<WebSocket>::new().route("/", Checked::application(&channels));
    let pages = PathRouter::<Http>::new().route("/", Page::application(&channels));

    let sockets = serve("127.0.0.1:0", sockets).stop_on(pending()).await;
    let pages = serve("127.0.0.1:0", pages).stop_on(pending()).await;

    assert_eq!(sockets.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(pages.unwrap_err().kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn values_of_startup_functions_and_of_middleware_are_not_missing() {
    let app = rooms().with(Provide(Some(Cache)));
    let served = serve("127.0.0.1:0", app)
        .on_startup(|| ready(Ok(Database)))
        .stop_on(ready(()));

    served.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_function_runs_when_something_is_missing() {
    let recorder = crate::support::Recorder::default();
    let noted = recorder.clone();
    let served = serve("127.0.0.1:0", rooms())
        .on_startup(|| ready(Ok(Cache)))
        .on_shutdown(async move |_: Cache| noted.record("the cache is closed"))
        .stop_on(pending());

    assert_eq!(served.await.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(recorder.entries(), ["the cache is closed"]);
}

/// A consumer whose group is named by path parameters, one of which is not a field.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Lot {
    #[param("lot_id")]
    lot: u32,
    #[param]
    seat: Option<u32>,
    #[group("lot.{house}.{lot}")]
    events: Group<NoEvent>,
}

#[consumer]
impl Lot {
    async fn receive(&mut self, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_path_parameter_that_no_route_has_stops_the_start() {
    let lots =
        |route: &str| PathRouter::new().route(route, Lot::application(&Channels::in_memory()));
    let check = |sockets: PathRouter<WebSocket>| {
        let app = ProtocolTypeRouter::new().websocket(sockets);
        app.required_state().check()
    };

    check(lots("/{house}/{lot_id}")).unwrap();
    check(PathRouter::new().nest("/in/{house}", lots("/{lot_id}"))).unwrap();
    let missing = check(lots("/{lot_id}")).unwrap_err().to_string();
    assert!(missing.contains("with {house}"), "{missing}");

    let app = ProtocolTypeRouter::new().websocket(lots("/in/{house}/{lot}"));
    let failed = serve("127.0.0.1:0", app).stop_on(pending()).await;
    let missing = failed.unwrap_err().to_string();
    assert!(
        missing.contains(
            "it::required_state::Lot at /in/{house}/{lot} needs the path parameter \"lot_id\": \
             route it under a path with {lot_id}"
        ),
        "{missing}"
    );
}

#[test]
fn middleware_provides_only_what_is_inside_it() {
    let channels = Channels::in_memory();
    let room = || Checked::application(&channels);
    let router = |sockets: PathRouter<WebSocket>| ProtocolTypeRouter::new().websocket(sockets);
    let missing = |app: ProtocolTypeRouter| app.required_state().to_string();
    let here = "it::required_state::Checked at /here needs it::required_state::Database: return \
                one from an on_startup function, or wrap the application in Provide";

    let one = PathRouter::new()
        .route("/here", room())
        .route("/there", room().with(Provide(Database)));
    assert_eq!(missing(router(one)), here);
    let all = PathRouter::new()
        .route("/here", room())
        .with(Provide(Database));
    let all = ProtocolTypeRouter::new().websocket(all);
    assert_eq!(missing(all), "");
    let other = PathRouter::new().route("/here", room().with(Provide(Cache)));
    assert_eq!(missing(router(other)), here);
    let configured = room()
        .with(AllowedOrigins::any())
        .with(WebSocketConfig::new());
    assert_eq!(
        missing(router(PathRouter::new().route("/here", configured))),
        here
    );
}

#[test]
fn sessions_and_auth_are_needed_in_their_order() {
    let channels = Channels::in_memory();
    let member = || ProtocolTypeRouter::new().websocket(Member::application(&channels));
    let staff = RequireUser::<Account>::new();
    let missing = |app: ProtocolTypeRouter| app.required_state().to_string();
    let to_sessions = "wrap the application in the middleware Sessions, by a `.with` after those of middleware that needs it: the last `.with` is the outermost";
    let to_auth = "wrap the application in the middleware Auth, whose users have this type, by a `.with` after those of middleware that needs it: the last `.with` is the outermost";

    let all = missing(member());
    for needed in [
        "it::required_state::Member needs a User<it::auth_app::Account>: ",
        "Member needs a Session: ",
        "Member needs an AuthSession<it::auth_app::Accounts>: ",
        to_sessions,
        to_auth,
    ] {
        assert!(all.contains(needed), "{needed} in {all}");
    }
    assert_eq!(missing(member().with(auth()).with(sessions())), "");
    let wrong = missing(member().with(sessions()).with(auth()));
    assert_eq!(
        wrong,
        format!("the middleware Auth needs a Session: {to_sessions}")
    );
    let tokens = auth().tokens(|_| ready(Ok(None)));
    assert_eq!(missing(member().with(sessions()).with(tokens)), "");
    let outside = member().with(auth()).with(staff).with(sessions());
    let expected =
        format!("the middleware RequireUser needs a User<it::auth_app::Account>: {to_auth}");
    assert_eq!(missing(outside), expected);
}

/// An extractor for HTTP alone.
struct Visit;

impl FromScope<Http> for Visit {
    async fn from_scope(scope: &Scope<Http>) -> Result<Self, Rejection> {
        scope.state::<Database>()?;
        Ok(Self)
    }
    fn required_state() -> RequiredState {
        RequiredState::of::<Database>()
    }
}

#[derive(HttpConsumer)]
struct Visited {
    _visit: Visit,
}

#[consumer]
impl Visited {
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("here you are")
    }
}

#[test]
fn an_extractor_for_http_alone_states_what_it_needs() {
    let visited = Visited::application(&Channels::in_memory());

    let missing = visited.required_state().to_string();

    assert!(
        missing.contains("Visited needs it::required_state::Database"),
        "{missing}"
    );
}

#[test]
fn consumers_of_every_kind_state_what_they_need() {
    let channels = Channels::in_memory();
    let app = ProtocolTypeRouter::new()
        .http(PathRouter::<Http>::new().route("/page", Page::application(&channels)))
        .websocket(Clerk::application(&channels));

    let missing = app.required_state().to_string();

    assert!(
        missing.contains("Page at /page needs it::required_state::Database"),
        "{missing}"
    );
    assert!(
        missing.contains("Clerk needs it::required_state::Cache"),
        "{missing}"
    );
    assert!(
        app.with(Provide(Database))
            .with(Provide(Cache))
            .required_state()
            .is_empty()
    );
}

/// An application of jobs that states what it needs.
struct Jobs;

impl Application<Worker> for Jobs {
    async fn call(&self, _: Scope<Worker>, _: Job) -> Result<()> {
        Ok(())
    }
    fn required_state(&self) -> RequiredState {
        RequiredState::of::<Database>()
    }
}

#[tokio::test]
async fn workers_are_checked_alone_and_beside_a_server() {
    let channels = Channels::in_memory();
    let jobs = || ChannelNameRouter::new().route("images", Jobs);
    let expected = "an application at images needs it::required_state::Database: ";

    let alone = serve_workers(&channels, jobs()).stop_on(pending()).await;
    let beside = serve("127.0.0.1:0", ProtocolTypeRouter::new())
        .workers(&channels, jobs())
        .stop_on(pending())
        .await;

    for failed in [alone, beside] {
        let missing = failed.unwrap_err().to_string();
        assert!(missing.starts_with(expected), "{missing}");
    }
    let provided = serve_workers(&channels, jobs().with(Provide(Database)));
    provided.stop_on(ready(())).await.unwrap();
}

/// A middleware that reports nothing.
struct Opaque<A>(A);

impl<A: Application<WebSocket>> Application<WebSocket> for Opaque<A> {
    async fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: seaway::protocol::Upgrade,
    ) -> Result<()> {
        self.0.call(scope, upgrade).await
    }
}

#[test]
fn middleware_that_reports_nothing_is_not_checked() {
    let room = Opaque(Checked::application(&Channels::in_memory()));

    assert!(
        ProtocolTypeRouter::new()
            .websocket(room)
            .required_state()
            .is_empty()
    );
}

#[tokio::test]
async fn a_host_checks_what_a_started_lifespan_provides() {
    let app = rooms();
    let running = Lifespan::new()
        .on_startup(|| ready(Ok(Database)))
        .start()
        .await
        .unwrap();

    let missing = running.check(app.required_state()).unwrap_err();

    assert_eq!(missing.kind(), ErrorKind::Missing);
    assert!(!missing.to_string().contains("Database"), "{missing}");
    let app = app.with(running.provide());
    assert_eq!(
        app.required_state().check().unwrap_err().to_string(),
        missing.to_string()
    );
    running.stop().await;
}

/// A pool that a startup function opens.
#[derive(Clone)]
struct Pool {
    accounts: Accounts,
    sessions: MemoryStore,
}

async fn me(user: User<Account>) -> String {
    user.name.clone()
}

fn app_of(pool: Pool) -> ProtocolTypeRouter {
    let pages = Router::new().route("/me", axum::routing::get(me));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .with(Auth::new(pool.accounts))
        .with(Sessions::new(pool.sessions, &Channels::in_memory()))
}

#[tokio::test]
async fn a_startup_value_feeds_the_authenticator_and_the_session_store() {
    let (built, app) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let open = async || {
        let (accounts, sessions) = (Accounts::of(&["ana"]), MemoryStore::default());
        Ok(Pool { accounts, sessions })
    };
    let build = async move |pool: Pool| {
        let app = app_of(pool);
        _ = built.send(app.clone());
        Ok(app)
    };
    let served = serve_with("127.0.0.1:0", build)
        .on_startup(open)
        .stop_on(async { _ = stopped.await });
    let served = tokio::spawn(served.into_future());

    let ana = TestClient::new(&app.await.unwrap());
    ana.log_in_as(&Accounts::of(&["ana"]).get("ana")).await;

    assert_eq!(ana.get("/me").await.text(), "ana");
    drop(stop);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_application_that_cannot_be_built_stops_the_start() {
    let recorder = crate::support::Recorder::default();
    let serve = || {
        let noted = recorder.clone();
        move |build: fn(Cache) -> std::future::Ready<Result<ProtocolTypeRouter>>| {
            serve_with("127.0.0.1:0", build)
                .on_startup(|| ready(Ok(Cache)))
                .on_shutdown(async move || noted.record("stopped"))
                .stop_on(pending())
        }
    };

    let failed =
        serve()(|_| ready(Err(seaway::Error::new(ErrorKind::User, "no pages").into()))).await;
    assert_eq!(failed.unwrap_err().to_string(), "no pages");
    let panicked = serve()(|_| panic!("no luck")).await;
    assert!(panicked.unwrap_err().to_string().contains("no luck"));
    let unchecked = serve()(|_| ready(Ok(rooms()))).await;
    assert_eq!(unchecked.unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(recorder.entries(), ["stopped"; 3]);

    let missing = serve_with("127.0.0.1:0", async |_: Database| Ok(rooms()));
    let missing = missing.stop_on(pending()).await.unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("no earlier on_startup returned a"),
        "{missing}"
    );
}
