//! Tests of `DjangoAuth::from_view`, with views that answer well, badly, slowly or not at all.

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use seaway::{
    Channels, Context, Result, User, WebSocketConsumer, consumer,
    django::{DjangoAuth, DjangoSession, DjangoUser, DjangoView},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use serde_json::{Value, json};
use std::{
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};

/// A site whose view answers as a test says.
#[derive(Clone)]
struct Site {
    answer: Arc<Mutex<Answer>>,
    asked: watch::Sender<usize>,
    /// What the view was asked with.
    cookies: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Answer {
    Ana,
    AnaWithoutGrants,
    Promoted,
    Nobody,
    Empty,
    Html,
    WrongTypes,
    NoId,
    TooLarge,
    Error,
    Redirect,
    Never,
    /// No answer for the cookie `abcdefgh`, and ana for any other.
    NeverToFirst,
}

impl Site {
    fn new(answer: Answer) -> Self {
        Self {
            answer: Arc::new(Mutex::new(answer)),
            asked: watch::Sender::new(0),
            cookies: Arc::default(),
        }
    }

    fn pages(&self) -> Router {
        Router::new()
            .route("/user/", get(view))
            .with_state(self.clone())
    }

    /// Starts the site, and returns its address.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, self.pages()).into_future());
        address
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// Waits until the view was asked this many more times.
    async fn asked(&self, times: usize) {
        let mut asked = self.asked.subscribe();
        let goal = *asked.borrow() + times;
        let waiting = asked.wait_for(|asked| *asked >= goal);
        let waited = timeout(Duration::from_secs(20), waiting).await;
        waited.expect("the view is asked").expect("the site runs");
    }
}

async fn view(State(site): State<Site>, request: Request) -> Response {
    let cookie = request.headers()[header::COOKIE].to_str().unwrap();
    let is_first = cookie == "sessionid=abcdefgh";
    site.cookies.lock().unwrap().push(cookie.to_owned());
    site.asked.send_modify(|asked| *asked += 1);
    let answer = *site.answer.lock().unwrap();
    let mut ana = json!({
        "id": "7", "name": "ana", "is_active": true, "is_staff": false, "is_superuser": false,
    });
    match answer {
        Answer::Ana if request.uri().query() == Some("permissions") => {
            ana["permissions"] = json!(["chat.add_message"]);
        }
        Answer::Ana if request.uri().query() == Some("groups") => {
            ana["groups"] = json!(["writers", "editors"]);
        }
        Answer::Ana | Answer::AnaWithoutGrants => {}
        Answer::Promoted => ana["is_staff"] = true.into(),
        Answer::Nobody => ana = Value::Null,
        Answer::Empty => return "{}".into_response(),
        Answer::Html => return "<h1>log in</h1>".into_response(),
        Answer::WrongTypes => ana["id"] = 7.into(),
        Answer::NoId => ana["id"] = "".into(),
        Answer::TooLarge => ana["name"] = "a".repeat(300 * 1024).into(),
        Answer::Error => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Answer::Redirect => return Redirect::to("/accounts/login/").into_response(),
        Answer::NeverToFirst if !is_first => {}
        Answer::Never | Answer::NeverToFirst => std::future::pending().await,
    }
    json!({ "user": ana }).to_string().into_response()
}

/// A socket that sends the name of its user.
#[derive(WebSocketConsumer)]
struct Greeting {
    #[user]
    user: DjangoUser,
}

#[consumer]
impl Greeting {
    async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
        Ok(ctx.send(self.user.name.clone()).await?)
    }
}

fn app(auth: DjangoAuth) -> ProtocolTypeRouter {
    let pages = Router::new()
        .route(
            "/name",
            get(async |user: Option<User<DjangoUser>>| {
                user.map_or("nobody".to_owned(), |user| user.name.clone())
            }),
        )
        .route(
            "/may",
            get(async |User(user): User<DjangoUser>| {
                let may = user.has_perm("chat.add_message").await?;
                let more = user.has_perm("chat.delete_message").await?;
                Ok::<_, seaway::Error>(format!("{may} {more}"))
            }),
        )
        .route(
            "/groups",
            get(async |User(user): User<DjangoUser>| {
                Ok::<_, seaway::Error>(user.groups().await?.join(" "))
            }),
        )
        .route("/session", get(async |_: DjangoSession| "a session"));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(Greeting::application(&Channels::in_memory()))
        .with(auth)
}

fn client_of(view: DjangoView) -> TestClient {
    let auth = DjangoAuth::from_view(view).recheck(Duration::from_millis(20));
    let client = TestClient::new(&app(auth));
    client.set_cookie("theme", "dark");
    client.set_cookie("sessionid", "abcdefgh");
    client
}

async fn client(site: &Site) -> TestClient {
    client_of(DjangoView::new(&site.start().await, "/user/"))
}

#[tokio::test]
async fn the_view_says_who_the_owner_of_the_cookie_is() {
    let site = Site::new(Answer::Ana);
    let client = client(&site).await;

    let response = client.get("/name").await;
    assert_eq!(response.text(), "ana");
    assert_eq!(response.header("vary"), Some("cookie"));
    assert_eq!(client.get("/may").await.text(), "true false");
    assert_eq!(client.get("/groups").await.text(), "editors writers");
    assert_eq!(client.get("/session").await.status(), 500);
    site.answers(Answer::Nobody);
    assert_eq!(client.get("/name").await.text(), "nobody");
    assert_eq!(client.get("/may").await.status(), 401);
    let cookies = site.cookies.lock().unwrap().clone();
    assert!(cookies.iter().all(|cookie| cookie == "sessionid=abcdefgh"));

    client.clear_cookies();
    site.answers(Answer::Error);
    assert_eq!(
        client.get("/name").await.text(),
        "nobody",
        "it is not asked"
    );
}

#[tokio::test]
async fn a_view_behind_a_unix_socket_is_asked() {
    let folder = std::env::temp_dir().join(format!("seaway-view-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("site.sock");
    let site = Site::new(Answer::Ana);
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(axum::serve(listener, site.pages()).into_future());

    let client = client_of(DjangoView::new(
        &format!("unix:{}", path.display()),
        "/user/",
    ));

    assert_eq!(client.get("/name").await.text(), "ana");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_wrong_answer_keeps_the_users_of_open_sockets_and_rejects_new_ones_with_503() {
    for wrong in [
        Answer::Empty,
        Answer::Html,
        Answer::WrongTypes,
        Answer::NoId,
        Answer::TooLarge,
        Answer::Error,
        Answer::Redirect,
    ] {
        let site = Site::new(Answer::Ana);
        let client = client(&site).await;
        let mut socket = client.websocket("/");
        assert_eq!(socket.status().await, 101);

        site.answers(wrong);
        site.asked(3).await;

        socket.send("who").await;
        assert_eq!(socket.receive_text().await, "ana");
        assert_eq!(client.websocket("/").status().await, 503);
        assert_eq!(client.get("/name").await.status(), 503);
        site.answers(Answer::Ana);
        assert_eq!(client.get("/name").await.text(), "ana");
        site.answers(Answer::Nobody);
        assert_eq!(socket.receive_close().await.code, 4401);
    }
}

#[tokio::test]
async fn a_user_whose_rights_have_changed_is_disconnected() {
    let site = Site::new(Answer::Ana);
    let mut socket = client(&site).await.websocket("/");
    assert_eq!(socket.status().await, 101);

    site.answers(Answer::Promoted);

    assert_eq!(socket.receive_close().await.code, 4401);
}

#[tokio::test]
async fn a_view_that_does_not_answer_in_time_gives_503() {
    let site = Site::new(Answer::Never);
    let view = DjangoView::new(&site.start().await, "/user/");

    let client = client_of(view.timeout(Duration::from_millis(50)));

    assert_eq!(client.get("/name").await.status(), 503);
    site.answers(Answer::Ana);
    assert_eq!(client.get("/name").await.text(), "ana");
}

#[tokio::test]
async fn a_view_without_permissions_or_groups_is_a_mistake_in_the_site() {
    let site = Site::new(Answer::AnaWithoutGrants);

    for page in ["/may", "/groups"] {
        assert_eq!(client(&site).await.get(page).await.status(), 500, "{page}");
    }
}

#[tokio::test]
async fn a_view_has_no_more_requests_at_a_time_than_set() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Arc::new(Semaphore::new(0));
    let (entered, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let slow = {
        let (now, most, gate) = (now.clone(), most.clone(), gate.clone());
        move || {
            let (now, most, gate) = (now.clone(), most.clone(), gate.clone());
            let entered = entered.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                entered.send(()).unwrap();
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                r#"{"user": null}"#
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let pages = Router::new().route("/user/", get(slow));
    tokio::spawn(axum::serve(listener, pages).into_future());
    let client = Arc::new(client_of(
        DjangoView::new(&address, "/user/").max_requests(2),
    ));

    let asking: Vec<_> = (0..6)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.get("/name").await.text().to_owned() })
        })
        .collect();
    for _ in 0..6 {
        arrivals.recv().await.expect("the site runs");
        gate.add_permits(1);
    }
    for asked in asking {
        assert_eq!(asked.await.unwrap(), "nobody");
    }

    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn checks_of_open_sockets_that_get_no_answer_do_not_keep_new_clients_out() {
    let site = Site::new(Answer::Ana);
    let view = DjangoView::new(&site.start().await, "/user/")
        .max_requests(2)
        .timeout(Duration::from_secs(30));
    let first = client_of(view.clone());
    let mut sockets: Vec<_> = (0..4).map(|_| first.websocket("/")).collect();
    for socket in &mut sockets {
        // Its hooks run after its first check.
        socket.send("who").await;
        assert_eq!(socket.receive_text().await, "ana");
    }
    let other = client_of(view);
    other.set_cookie("sessionid", "ijklmnop");

    site.answers(Answer::NeverToFirst);
    site.asked(1).await;

    // Ten times as long as the time between two checks.
    let end = Instant::now() + Duration::from_millis(200);
    while Instant::now() < end {
        let asking = async {
            assert_eq!(other.get("/name").await.text(), "ana");
            let mut socket = other.websocket("/");
            socket.send("who").await;
            assert_eq!(socket.receive_text().await, "ana");
        };
        let answered = timeout(Duration::from_secs(10), asking).await;
        answered.expect("a page and a socket");
    }
}

#[test]
fn a_view_has_an_address_and_a_path() {
    for (site, path) in [
        ("https://127.0.0.1", "/user/"),
        ("http://127.0.0.1/app", "/user/"),
        ("http://127.0.0.1", "user/"),
        ("http://127.0.0.1", "/user/?a=b"),
        ("http://127.0.0.1", ""),
        ("http://127.0.0.1", "/a b"),
    ] {
        let made = std::panic::catch_unwind(|| DjangoView::new(site, path));
        assert!(made.is_err(), "{site} {path}");
    }
}
