//! Tests of routing by protocol and by path.

use http::{Request, Response, StatusCode};
use seaway::{
    Application, ApplicationExt, BoxApplication, Protocol, Result, Scope, application_fn,
    protocol::{Body, Exchange, Http},
    routing::{PathRouter, ProtocolTypeRouter},
    testing::HttpCommunicator,
};

/// Returns an app that responds with its name and all path parameters.
fn page(name: &'static str) -> impl Application<Http> {
    application_fn(move |scope: Scope<Http>, exchange: Exchange| async move {
        let params: Vec<_> = scope
            .params()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let text = format!("{name} {}", params.join(" "));
        let response = Response::new(Body::from(text.trim_end().to_owned()));
        Ok(exchange.respond(response).await?)
    })
}

async fn get(app: &BoxApplication<Http>, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body("").unwrap();
    let response = HttpCommunicator::request(app, request).await.unwrap();
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    (response.status(), text)
}

#[tokio::test]
async fn paths_are_matched_and_parameters_decoded() {
    let rooms = PathRouter::new()
        .route("/", page("rooms"))
        .route("/{room}", page("room"))
        .route("/{room}/messages/{id}", page("message"));
    let app = PathRouter::new()
        .route("/", page("home"))
        .route("/about", page("about"))
        .route("/files/{*path}", page("files"))
        .nest("/rooms", rooms)
        .nest(
            "/of/{user}",
            PathRouter::new().route("/rooms/{room}", page("theirs")),
        )
        .boxed();
    for (path, response) in [
        ("/", "home"),
        ("/about", "about"),
        ("/about?x=1", "about"),
        ("/files/a/b.txt", "files path=a/b.txt"),
        ("/rooms", "rooms"),
        ("/rooms/", "rooms"),
        ("/rooms/lobby", "room room=lobby"),
        ("/rooms/caf%C3%A9%20x", "room room=caf\u{e9} x"),
        ("/rooms/lobby/messages/7", "message room=lobby id=7"),
        ("/of/ana/rooms/lobby", "theirs user=ana room=lobby"),
    ] {
        assert_eq!(
            get(&app, path).await,
            (StatusCode::OK, response.to_owned()),
            "{path}"
        );
    }
    for path in [
        "/nowhere",
        "/about/",
        "/rooms/a/b",
        "/roomsx",
        "/of/ana",
        "/of//rooms/lobby",
        "/rooms//messages/7",
        "/files",
    ] {
        assert_eq!(get(&app, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_fallback_gets_the_paths_without_a_route_and_a_nested_router_has_its_own() {
    let shop = PathRouter::new()
        .route("/cart", page("cart"))
        .fallback(page("no such shop"));
    let app = PathRouter::new()
        .route("/about", page("about"))
        .nest("/shop", shop)
        .nest("/empty", PathRouter::new())
        .fallback(page("fallback"))
        .boxed();

    for (path, response) in [
        ("/about", "about"),
        ("/", "fallback"),
        ("/about/", "fallback"),
        ("/a/b?c=d", "fallback"),
        ("/%zz", "fallback"),
        ("/shop/cart", "cart"),
        ("/shop", "no such shop"),
        ("/shop/a/b", "no such shop"),
    ] {
        let expected = (StatusCode::OK, response.to_owned());
        assert_eq!(get(&app, path).await, expected, "{path}");
    }
    assert_eq!(get(&app, "/empty/a").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_fallback_gets_no_path_that_a_server_behind_may_read_as_one_with_a_route() {
    let shop = PathRouter::new()
        .route("/cart/{item}", page("cart"))
        .fallback(page("no such shop"));
    let app = PathRouter::new()
        .nest("/admin", page("admin"))
        .nest("/shop", shop)
        .route("/100%25/{x}", page("percent"))
        .route("/rooms/{room}/messages", page("messages"))
        .fallback(page("fallback"))
        .boxed();

    for path in [
        "/admin%2Fusers/",
        "/%61dmin%2fusers/",
        "/admin%2F",
        "/admin/%zz",
        "/admin/users/%",
        "/admin%2Fusers/%ff",
        "/shop/cart%2F7",
        "/100%25%2F7",
    ] {
        assert_eq!(get(&app, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for (path, response) in [
        ("/administration%2Fusers/", "fallback"),
        ("/admin%252Fusers/", "fallback"),
        ("/about/%zz", "fallback"),
        ("/a%2Fb", "fallback"),
        ("/rooms//messages", "fallback"),
        ("/shop/a%2Fb", "no such shop"),
    ] {
        let expected = (StatusCode::OK, response.to_owned());
        assert_eq!(get(&app, path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn an_open_route_gets_no_path_that_a_server_behind_may_read_as_one_of_another_route() {
    let site = || PathRouter::new().fallback(page("site"));
    let tenant = PathRouter::new()
        .nest("/admin", page("admin of a tenant"))
        .fallback(page("tenant"));
    let outer = PathRouter::new()
        .nest("/app/admin", page("admin"))
        .nest("/app", site())
        .nest("/of/{tenant}", tenant)
        .fallback(page("fallback"))
        .boxed();
    let beside = PathRouter::new()
        .nest("/admin", page("admin"))
        .nest("/{any}", site());
    let inner = PathRouter::new().nest("/beside", beside).boxed();
    let catch_all = PathRouter::new()
        .nest("/admin", page("admin"))
        .route("/rooms/{room}", page("room"))
        .route("/{*path}", page("site"))
        .boxed();

    for (app, path) in [
        (&outer, "/app/admin%2Fusers/"),
        (&outer, "/app/%61dmin%2fusers/"),
        (&outer, "/app/admin%2F"),
        (&outer, "/of/a%2Fadmin/users"),
        (&outer, "/of/a%2Fadmin"),
        (&inner, "/beside/admin%2Fusers/"),
        (&catch_all, "/admin%2Fusers/"),
        (&catch_all, "/admin%2F"),
        (&catch_all, "/rooms%2Flobby"),
    ] {
        assert_eq!(get(app, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for (app, path, response) in [
        (&outer, "/app/a%2Fb", "site"),
        (&outer, "/app/administration%2Fusers/", "site"),
        (&outer, "/app/admin%252Fusers/", "site"),
        (&outer, "/app/admin/a%2Fb", "admin"),
        (&outer, "/of/a%2Fb", "tenant tenant=a/b"),
        (&outer, "/of/a%2Fb/users", "tenant tenant=a/b"),
        (
            &outer,
            "/of/a%2Fb/admin/users",
            "admin of a tenant tenant=a/b",
        ),
        (&catch_all, "/a%2Fb", "site path=a/b"),
        (&catch_all, "/rooms/a%2Fb", "room room=a/b"),
        (&catch_all, "/rooms/a/b%2Fc", "site path=rooms/a/b/c"),
    ] {
        let expected = (StatusCode::OK, response.to_owned());
        assert_eq!(get(app, path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_nested_router_has_no_route_for_a_path_that_middleware_has_replaced() {
    let shop = PathRouter::new().route("/", page("shop"));
    let elsewhere = application_fn(move |mut scope: Scope<Http>, exchange: Exchange| {
        let shop = shop.clone();
        async move {
            scope.head.uri = http::Uri::from_static("/a");
            shop.call(scope, exchange).await
        }
    });
    let app = PathRouter::new().nest("/shop", elsewhere).boxed();

    assert_eq!(get(&app, "/shop").await.0, StatusCode::NOT_FOUND);
}

#[test]
#[should_panic(expected = "a router has one for all paths without a route")]
fn a_second_fallback_is_rejected() {
    _ = PathRouter::new()
        .fallback(page("one"))
        .fallback(page("two"));
}

#[tokio::test]
async fn a_route_matches_every_spelling_of_its_path() {
    let rooms = PathRouter::new()
        .route("/b\u{fc}ro/{x}", page("office"))
        .route("/{room}/%6Dessages", page("messages"));
    let app = PathRouter::new()
        .route("/sal\u{f3}n/{x}", page("salon"))
        .route("/caf%C3%A9", page("cafe"))
        .route("/a%2fb", page("one segment"))
        .route("/a/b", page("two segments"))
        .route("/files/{*path}", page("files"))
        .nest("/r\u{e4}ume", rooms)
        .boxed();
    for (path, response) in [
        ("/sal%C3%B3n/7", "salon x=7"),
        ("/sal%c3%b3n/7", "salon x=7"),
        ("/sal\u{f3}n/7", "salon x=7"),
        ("/%73al%C3%B3n/%37", "salon x=7"),
        ("/sal%C3%B3n/a%2Fb", "salon x=a/b"),
        ("/sal%C3%B3n/a%252Fb", "salon x=a%2Fb"),
        ("/sal%C3%B3n/100%25", "salon x=100%"),
        ("/caf\u{e9}", "cafe"),
        ("/caf%c3%A9", "cafe"),
        ("/a%2Fb", "one segment"),
        ("/a/b", "two segments"),
        ("/files/a%2Fb/%C3%A9", "files path=a/b/\u{e9}"),
        ("/r%C3%A4ume/b%C3%BCro/7", "office x=7"),
        ("/r\u{e4}ume/b%c3%bcro/%2F", "office x=/"),
        ("/r%C3%A4ume/caf%C3%A9/messages", "messages room=caf\u{e9}"),
    ] {
        assert_eq!(
            get(&app, path).await,
            (StatusCode::OK, response.to_owned()),
            "{path}"
        );
    }
    for path in [
        "/sal%C3%B3n",
        "/sal%C3%B3n%2F7",
        "/sal%F3n/7",
        "/sal%C3%B3n/%",
        "/sal%C3%B3n/%f",
        "/sal%C3%B3n/%zz",
        "/sal%C3%B3n/%ff",
        "/r%C3%A4ume/b%C3%BCro/%ff",
        "/files/%",
    ] {
        assert_eq!(get(&app, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
#[should_panic(expected = "cannot route \"/sal%C3%B3n\"")]
fn two_spellings_of_one_path_are_one_route() {
    _ = PathRouter::new()
        .route("/sal\u{f3}n", page("one"))
        .route("/sal%C3%B3n", page("other"));
}

#[tokio::test]
async fn a_parameter_is_parsed_as_the_requested_type() {
    let app = PathRouter::new()
        .route(
            "/double/{number}",
            application_fn(|scope: Scope<Http>, exchange: Exchange| async move {
                match scope.param::<u32>("number") {
                    Ok(number) => {
                        let text = (number * 2).to_string();
                        exchange.respond(Response::new(Body::from(text))).await?;
                    }
                    Err(reject) => {
                        <Http as seaway::OpensOverHttp>::reject(exchange, reject).await?;
                    }
                }
                Ok(())
            }),
        )
        .boxed();

    assert_eq!(get(&app, "/double/21").await, (StatusCode::OK, "42".into()));
    assert_eq!(get(&app, "/double/x").await.0, StatusCode::NOT_FOUND);
}

#[test]
fn two_routes_for_one_path_panic_at_construction_with_the_reason() {
    type Build = fn(PathRouter<Http>) -> PathRouter<Http>;
    let nested = "it conflicts with what is nested at \"/a\"";
    let cases: [(Build, &str, &str); 8] = [
        (
            |app| app.route("/ws", page("one")).route("/ws", page("two")),
            "/ws",
            "the route is added twice",
        ),
        (
            |app| app.route("/a/{one}", page("")).route("/a/{two}", page("")),
            "/a/{two}",
            "it conflicts with the route \"/a/{one}\": both match the same paths",
        ),
        (
            |app| app.nest("/a", page("")).nest("/a", page("")),
            "/a",
            nested,
        ),
        (
            |app| app.nest("/a", page("")).route("/a/", page("")),
            "/a/",
            nested,
        ),
        (
            |app| app.nest("/a", page("")).route("/a/{b}", page("")),
            "/a/{b}",
            nested,
        ),
        (
            |app| app.route("/a/{b}", page("")).nest("/a", page("")),
            "/a",
            "it conflicts with the route \"/a/{b}\": both match the same paths",
        ),
        (
            |app| app.route("/a", page("")).nest("/a", page("")),
            "/a",
            "the route is added twice",
        ),
        (
            |app| app.route("/{a}-b", page("")),
            "/{a}-b",
            "a segment has at most one parameter, and nothing follows it",
        ),
    ];
    for (build, path, reason) in cases {
        let building = std::panic::catch_unwind(|| build(PathRouter::new()));
        let panic = building.expect_err(path).downcast::<String>().unwrap();
        assert_eq!(*panic, format!("cannot route {path:?}: {reason}"));
    }
}

#[tokio::test]
async fn a_literal_segment_wins_over_a_parameter_and_over_the_rest_of_a_path() {
    let routes = [
        "/in/{house}",
        "/in/about",
        "/in/{house}/{room}",
        "/in/{other}/attic",
        "/in/hall/{room}",
        "/{*path}",
    ];
    let app = |routes: &[&'static str]| {
        let with =
            |router: PathRouter<Http>, route: &&'static str| router.route(route, page(route));
        routes.iter().fold(PathRouter::new(), with).boxed()
    };
    let reversed: Vec<_> = routes.iter().copied().rev().collect();
    for app in [app(&routes), app(&reversed)] {
        for (path, response) in [
            ("/in/about", "/in/about"),
            ("/in/hall", "/in/{house} house=hall"),
            ("/in/hall/attic", "/in/hall/{room} room=attic"),
            ("/in/hut/attic", "/in/{other}/attic other=hut"),
            ("/in/hut/shed", "/in/{house}/{room} house=hut room=shed"),
            ("/in/hall/a/b", "/{*path} path=in/hall/a/b"),
            ("/in/about/", "/{*path} path=in/about/"),
        ] {
            assert_eq!(
                get(&app, path).await,
                (StatusCode::OK, response.into()),
                "{path}"
            );
        }
        assert_eq!(get(&app, "/").await.0, StatusCode::NOT_FOUND);
    }
    for both in [
        ["/x", "/x"],
        ["/{a}/x", "/{b}/x"],
        ["/{*a}", "/{*b}"],
        ["/{a}", "/{*b}"],
        ["/{*a}", "/{b}/x"],
    ] {
        let building = std::panic::catch_unwind(|| app(&both));
        assert!(building.is_err(), "{both:?}");
    }
}

#[test]
fn a_path_that_no_request_can_have_panics_at_construction() {
    for (path, remedy) in [
        ("", "starts with /"),
        ("jobs", "starts with /"),
        ("/jobs/:id", "{name}"),
        ("/files/*rest", "{*name}"),
        ("/jobs/<int:id>", "{name}"),
        ("/jobs?page=1", "no query or fragment"),
        ("/jobs/{id?}", "no query or fragment"),
        ("/jobs#last", "no query or fragment"),
        ("/jobs/../rooms", "resolves"),
        ("/./jobs", "resolves"),
        ("/100%", "%25"),
        ("/sal%F3n", "UTF-8"),
    ] {
        let building = std::panic::catch_unwind(|| PathRouter::new().route(path, page("never")));
        let panic = building.expect_err(path);
        let text = panic.downcast::<String>().unwrap();
        let expected = format!("cannot route {path:?}: ");
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains(remedy), "{text}");
    }
}

#[test]
#[should_panic(expected = "a parameter is written {name}")]
fn a_nested_prefix_is_checked_too() {
    _ = PathRouter::<Http>::new().nest("/of/:user", page("theirs"));
}

#[tokio::test]
async fn a_custom_protocol_is_routed_too() {
    /// A protocol whose messages are numbers.
    struct Shouting;
    impl Protocol for Shouting {
        const NAME: &'static str = "shouting";
        type Head = String;
        type Connection = std::sync::mpsc::Sender<String>;
    }
    async fn response(
        scope: Scope<Shouting>,
        sender: std::sync::mpsc::Sender<String>,
    ) -> Result<()> {
        sender.send(scope.head.to_lowercase()).unwrap();
        Ok(())
    }
    let app = ProtocolTypeRouter::new().protocol::<Shouting>(application_fn(response));
    let (sender, receiver) = std::sync::mpsc::channel();

    let application = app.get::<Shouting>().unwrap();
    application
        .call(Scope::new("AHOY".to_owned()), sender)
        .await
        .unwrap();

    assert_eq!(receiver.recv().unwrap(), "ahoy");
    assert!(app.get::<Http>().is_none());
}
