//! A small site with accounts for the tests of auth: login pages, and a WebSocket that sends its
//! user.

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use seaway::{
    ApplicationExt, AuthSession, Authenticator, BoxApplication, Channels, Context, Handshake,
    HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent, Rejection, Result, Session,
    User, WebSocketConsumer,
    channels::{ChannelLayer, InMemoryChannelLayer, LocalChannels},
    from_service,
    http::{Response, StatusCode, request},
    middleware::{Auth, RequireUser, Sessions},
    protocol::{Http, WebSocket},
    routing::{PathRouter, ProtocolTypeRouter},
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) is_staff: bool,
}

/// The accounts; each password is "open sesame" at first, and `root` is staff.
#[derive(Clone)]
pub(crate) struct Accounts {
    accounts: Arc<Mutex<HashMap<String, Account>>>,
    is_down: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
    is_slow: Arc<AtomicBool>,
    pause: Pause,
}

impl Accounts {
    pub(crate) fn of(names: &[&str]) -> Self {
        let accounts = names.iter().map(|name| {
            let account = Account {
                name: (*name).to_owned(),
                password: "open sesame".to_owned(),
                is_staff: *name == "root",
            };
            (account.name.clone(), account)
        });
        Self {
            accounts: Arc::new(Mutex::new(accounts.collect())),
            is_down: Arc::default(),
            hangs: Arc::default(),
            is_slow: Arc::default(),
            pause: Pause::default(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Account {
        self.lock()[name].clone()
    }

    pub(crate) fn set_password(&self, name: &str, password: &str) {
        let mut accounts = self.lock();
        accounts.get_mut(name).unwrap().password = password.to_owned();
    }

    pub(crate) fn ban(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Sets whether no account can be loaded.
    pub(crate) fn fail(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// Sets whether an account that was loaded waits at the gate before it is returned.
    pub(crate) fn slow_down(&self, is_slow: bool) {
        self.is_slow.store(is_slow, Ordering::Relaxed);
    }

    /// From now on, loading an account never ends.
    pub(crate) fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Account>> {
        self.accounts.lock().unwrap()
    }
}

impl Authenticator for Accounts {
    type User = Account;
    type Credentials = (String, String);

    fn id(&self, account: &Account) -> String {
        account.name.clone()
    }

    fn stamp(&self, account: &Account) -> String {
        account.password.clone()
    }

    async fn load(&self, id: &str) -> Result<Option<Account>> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err("the accounts are down".into());
        }
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let account = self.lock().get(id).cloned();
        if self.is_slow.load(Ordering::Relaxed) {
            self.pause.wait().await;
        }
        Ok(account)
    }

    async fn authenticate(&self, (name, password): (String, String)) -> Result<Option<Account>> {
        let account = self.lock().get(&name).cloned();
        Ok(account.filter(|account| account.password == password))
    }
}

/// A gate at which a page or an account waits until a test lets it continue.
#[derive(Clone, Default)]
struct Pause(Arc<(tokio::sync::Notify, tokio::sync::Notify)>);

impl Pause {
    async fn wait(&self) {
        self.0.0.notify_one();
        self.0.1.notified().await;
    }
}

pub(crate) struct Site {
    pub(crate) accounts: Accounts,
    pub(crate) channels: Channels,
    pub(crate) local: LocalChannels,
    pause: Pause,
    pub(crate) app: ProtocolTypeRouter,
    pages: BoxApplication<Http>,
    sockets: BoxApplication<WebSocket>,
}

impl Site {
    /// Returns a site with the accounts `ana`, `bo` and `root`, and this auth and session
    /// configuration.
    pub(crate) fn with(
        auth: impl FnOnce(Auth<Accounts>) -> Auth<Accounts>,
        sessions: impl FnOnce(Sessions) -> Sessions,
    ) -> Self {
        Self::over(InMemoryChannelLayer::default(), auth, sessions)
    }

    /// The same over another channel layer.
    pub(crate) fn over(
        layer: impl ChannelLayer,
        auth: impl FnOnce(Auth<Accounts>) -> Auth<Accounts>,
        sessions: impl FnOnce(Sessions) -> Sessions,
    ) -> Self {
        let local = layer.local().clone();
        let channels = Channels::new(layer);
        let accounts = Accounts::of(&["ana", "bo", "root"]);
        let pause = accounts.pause.clone();
        let pages = || pages(pause.clone());
        let auth = auth(Auth::new(accounts.clone()));
        let store = seaway::session::MemoryStore::default();
        let sessions = sessions(Sessions::new(store, &channels));
        let who = Who::application(&channels);
        let members = || RequireUser::<Account>::new().redirect_to("/login");
        let staff = RequireUser::<Account>::new().when(|account| account.is_staff);
        let sockets = PathRouter::new()
            .route("/who", who.clone())
            .route("/late", Late::application(&channels))
            .route("/members", who.clone().with(members()))
            .route("/staff", who.with(staff.clone()));
        let pages = PathRouter::new()
            .route("/members", from_service(pages()).with(members()))
            .route("/staff", from_service(pages()).with(staff))
            .route("/waiting/{how}", Waiting::application(&channels))
            .route("/late-stream", LateStream::application(&channels))
            .route("/late-poll", LatePoll::application(&channels))
            .route("/clearing-poll", ClearingPoll::application(&channels))
            .route("/{page}", from_service(pages()))
            .route("/{page}/{one}", from_service(pages()))
            .route("/{page}/{one}/{two}", from_service(pages()));
        let app = ProtocolTypeRouter::new()
            .http(pages)
            .websocket(sockets)
            .with(auth)
            .with(sessions);
        Self {
            pages: app.get::<Http>().unwrap().clone(),
            sockets: app.get::<WebSocket>().unwrap().clone(),
            app,
            accounts,
            channels,
            local,
            pause,
        }
    }

    /// Waits until a page or an account has reached the gate.
    pub(crate) async fn meanwhile(&self) {
        self.pause.0.0.notified().await;
    }

    /// Lets it continue.
    pub(crate) fn go_on(&self) {
        self.pause.0.1.notify_one();
    }

    pub(crate) fn new() -> Self {
        Self::with(|auth| auth, |sessions| sessions)
    }

    /// Logs in without cookies; returns the new cookie.
    pub(crate) async fn log_in(&self, name: &str) -> String {
        let page = self.get(&format!("/login/{name}/open%20sesame"), &[]).await;
        assert_eq!(page.body(), "welcome");
        cookie(&page).expect("a cookie that leads to the login")
    }

    pub(crate) async fn get(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<seaway::bytes::Bytes> {
        self.request(asking(path, headers)).await
    }

    pub(crate) async fn request(
        &self,
        request: request::Builder,
    ) -> Response<seaway::bytes::Bytes> {
        let request = request.body(String::new()).unwrap();
        HttpCommunicator::request(&self.pages, request)
            .await
            .unwrap()
    }

    /// Requests a page that is read step by step.
    pub(crate) fn ask(&self, path: &str, cookie: &str) -> HttpCommunicator {
        let request = asking(path, &[("cookie", cookie)]).body(String::new());
        HttpCommunicator::open(&self.pages, request.unwrap())
    }

    /// Opens a WebSocket.
    pub(crate) async fn open(&self, path: &str, headers: &[(&str, &str)]) -> WebSocketCommunicator {
        self.knock(asking(path, headers))
    }

    pub(crate) fn knock(&self, request: request::Builder) -> WebSocketCommunicator {
        WebSocketCommunicator::open(&self.sockets, request)
    }

    pub(crate) async fn handshake_status(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> StatusCode {
        self.open(path, headers).await.status().await
    }

    /// Opens a WebSocket with this cookie, and returns it with the name of its user.
    pub(crate) async fn who(&self, cookie: &str) -> (WebSocketCommunicator, String) {
        let mut socket = self.open("/who", &[("cookie", cookie)]).await;
        assert_eq!(socket.status().await, 101);
        let name = socket.receive_text().await;
        (socket, name)
    }
}

pub(crate) fn asking(path: &str, headers: &[(&str, &str)]) -> request::Builder {
    let request = request::Builder::new()
        .uri(path)
        .header("host", "site.example");
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

/// Returns the name and value of the cookie that a response sets.
pub(crate) fn cookie<B>(response: &Response<B>) -> Option<String> {
    let line = response.headers().get("set-cookie")?.to_str().unwrap();
    let (pair, _) = line.split_once(';').unwrap();
    Some(pair.to_owned())
}

fn pages(pause: Pause) -> Router {
    Router::new()
        .route("/login/{name}/{password}", get(log_in))
        .route("/logout", get(log_out))
        .route("/clear", get(async |session: Session| session.clear()))
        .route("/note", get(note))
        .route("/noted", get(noted))
        .route("/renew", get(move |session| renew(pause, session)))
        .route("/briefly", get(briefly))
        .route("/me", get(me))
        .route("/perhaps", get(perhaps))
        .route("/members", get(me))
        .route("/staff", get(me))
        .merge(guarded())
        .with_state(())
}

/// Returns routes of an axum app behind a guard.
fn guarded() -> Router {
    let members = RequireUser::<Account>::new().redirect_to("/login");
    let staff = RequireUser::<Account>::new().when(|account| account.is_staff);
    let members = Router::new()
        .route("/crew", get(me).post(me))
        .route_layer(members);
    let staff = Router::new().route("/bridge", get(me)).route_layer(staff);
    members.merge(staff)
}

async fn log_in(
    auth: AuthSession<Accounts>,
    Path(credentials): Path<(String, String)>,
    State(()): State<()>,
) -> Result<&'static str> {
    let Some(account) = auth.authenticate(credentials).await? else {
        return Ok("wrong name or password");
    };
    auth.log_in(&account).await?;
    Ok("welcome")
}

async fn log_out(auth: AuthSession<Accounts>) -> Result<&'static str> {
    auth.log_out().await?;
    Ok("bye")
}

/// Creates a session without a login.
async fn note(session: Session) -> Result<()> {
    Ok(session.insert("note", "kept").await?)
}

/// Gives the session a new id, after waiting at the gate.
async fn renew(pause: Pause, session: Session) -> Result<()> {
    session.get_value("note").await?;
    pause.wait().await;
    Ok(session.cycle_id().await?)
}

/// Creates a session that expires after ten minutes, whatever the default.
async fn briefly(session: Session) -> Result<()> {
    use seaway::session::{Expiry, time::Duration};
    session.set_expiry(Some(Expiry::OnInactivity(Duration::minutes(10))));
    Ok(session.insert("note", "brief").await?)
}

async fn noted(session: Session) -> Result<String> {
    let note: Option<String> = session.get("note").await?;
    Ok(note.unwrap_or_default())
}

async fn me(user: User<Account>) -> String {
    user.name.clone()
}

async fn perhaps(user: Option<User<Account>>) -> String {
    user.map_or("nobody".to_owned(), |user| user.name.clone())
}

/// A long poll or a stream of a user, which never gets an event.
struct Waiting {
    name: String,
    how: String,
}

impl HttpConsumer for Waiting {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        let User(account): User<Account> = handshake.extract().await?;
        let (name, how) = (account.name, handshake.param("how")?);
        Ok(Self { name, how })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        if self.how == "poll" {
            ctx.next_event().await?;
            return ctx.response("the server stops");
        }
        let events = ctx.sse().await?;
        events.send(self.name.as_str()).await?;
        // It continues after events that it may have missed.
        while ctx.next_event().await.is_err() {}
        Ok(events.end())
    }
}

/// A stream that reads its user only after it has begun to wait.
struct LateStream {
    auth: AuthSession<Accounts>,
}

impl HttpConsumer for LateStream {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        let auth = handshake.extract().await?;
        Ok(Self { auth })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let events = ctx.sse().await?;
        tokio::task::yield_now().await;
        let user = self.auth.user().await?;
        events
            .send(user.map_or("nobody".to_owned(), |account| account.name))
            .await?;
        ctx.next_event().await?;
        Ok(events.end())
    }
}

/// A long poll that reads its user only once it has waited.
struct LatePoll {
    auth: AuthSession<Accounts>,
}

impl HttpConsumer for LatePoll {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        let auth = handshake.extract().await?;
        Ok(Self { auth })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        tokio::select! {
            biased;
            event = ctx.next_event() => drop(event?),
            () = tokio::task::yield_now() => {}
        }
        self.auth.user().await?;
        ctx.next_event().await?;
        ctx.response("never")
    }
}

/// A long poll that removes its own login once it has waited.
struct ClearingPoll {
    session: Session,
}

impl HttpConsumer for ClearingPoll {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        session.get_value("_user").await?;
        Ok(Self { session })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        for is_cleared in [false, true] {
            if is_cleared {
                self.session.clear();
                self.session.save().await?;
            }
            tokio::select! {
                biased;
                event = ctx.next_event() => drop(event?),
                () = tokio::task::yield_now() => {}
            }
        }
        ctx.response("cleared")
    }
}

/// A consumer that sends its user, and then executes commands.
struct Who {
    name: String,
    auth: AuthSession<Accounts>,
}

impl WebSocketConsumer for Who {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let auth: AuthSession<Accounts> = handshake.extract().await?;
        if let Some(name) = handshake.raw_query("login") {
            let account = auth.authenticate((name, "open sesame".to_owned())).await?;
            auth.log_in(&account.expect("an account")).await?;
        }
        let name = match auth.user().await? {
            Some(account) => account.name,
            None => "nobody".to_owned(),
        };
        Ok(Self { name, auth })
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.name.as_str()).await?)
    }

    async fn receive(&mut self, ctx: &mut Context, command: String) -> Result<()> {
        match command.as_str() {
            "log out" => Ok(self.auth.log_out().await?),
            "log in" => {
                let account = self.auth.user().await?.expect("somebody");
                match self.auth.log_in(&account).await {
                    Ok(()) => Ok(ctx.send("welcome").await?),
                    Err(error) => Ok(ctx.send(error.to_string()).await?),
                }
            }
            _ => Ok(ctx.send(command).await?),
        }
    }
}

/// A consumer that reads its user only on request.
struct Late {
    auth: AuthSession<Accounts>,
}

impl WebSocketConsumer for Late {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let auth = handshake.extract().await?;
        Ok(Self { auth })
    }

    async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
        let user = self.auth.user().await?;
        Ok(ctx
            .send(user.map_or("nobody".to_owned(), |account| account.name))
            .await?)
    }
}
