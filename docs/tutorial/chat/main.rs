use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use seaway::{
    AuthSession, Authenticator, Channels, Close, Context, Error, ErrorKind, Event, Group, Json,
    Result, Shared, User, WebSocketConsumer,
    channels::redis::RedisConfig,
    consumer, from_service,
    middleware::{Auth, RequireUser, Sessions},
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
    session::{RedisStore, SessionStore},
};
use serde::{Deserialize, Serialize};
use std::env;

/// A user.
#[derive(Clone)]
struct Account {
    name: String,
    key: String,
}

/// All accounts.
struct Accounts(Vec<Account>);

impl Accounts {
    /// Parses a text with a name and a key on each line.
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let accounts = lines.map(|(name, key)| Account {
            name: name.to_owned(),
            key: key.trim().to_owned(),
        });
        Self(accounts.collect())
    }
}

impl Authenticator for Accounts {
    type User = Account;
    type Credentials = String;

    fn id(&self, account: &Account) -> String {
        account.name.clone()
    }

    fn stamp(&self, account: &Account) -> String {
        account.key.clone()
    }

    async fn load(&self, id: &str) -> Result<Option<Account>> {
        let mut accounts = self.0.iter();
        Ok(accounts.find(|account| account.name == id).cloned())
    }

    async fn authenticate(&self, key: String) -> Result<Option<Account>> {
        let mut accounts = self.0.iter();
        Ok(accounts.find(|account| account.key == key).cloned())
    }
}

/// The events of a room, also sent to the pages.
#[derive(Event)]
enum ChatEvent {
    Message { from: String, text: String },
    Joined { name: String },
    Left { name: String },
}

/// Messages to the client alone.
#[derive(Serialize)]
#[serde(tag = "type")]
enum Reply {
    #[serde(rename = "chat.refused")]
    Refused { reason: String },
}

/// One client in one room.
#[derive(WebSocketConsumer)]
struct Visitor {
    #[user]
    account: Account,
    #[group("chat.{room}")]
    members: Group<ChatEvent>,
    /// Minutes since this client last sent a message.
    #[default]
    quiet: u32,
}

#[consumer]
impl Visitor {
    async fn opened(&mut self) -> Result<()> {
        let name = self.account.name.clone();
        self.notify(ChatEvent::Joined { name }).await;
        Ok(())
    }

    #[on_message("say")]
    async fn say(&mut self, ctx: &mut Context<ChatEvent>, text: String) -> Result<()> {
        self.quiet = 0;
        let from = self.account.name.clone();
        match self.members.send(&ChatEvent::Message { from, text }).await {
            Err(error) if error.kind() == ErrorKind::Layer => {
                eprintln!("a message was not sent: {error}");
                let reason = "the room cannot be reached just now".to_owned();
                Ok(ctx.send(Json(Reply::Refused { reason })).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn event(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }

    #[every(minutes = 1)]
    async fn count(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        self.quiet += 1;
        if self.quiet < 30 {
            return Ok(());
        }
        Ok(ctx.close(Close::new(4000, "no message for 30 minutes"))?)
    }

    async fn disconnect(self, _: Close) {
        let name = self.account.name.clone();
        self.notify(ChatEvent::Left { name }).await;
    }

    /// Sends an event to the room; if Redis is unavailable, it is only logged.
    async fn notify(&self, event: ChatEvent) {
        if let Err(error) = self.members.send(&event).await {
            eprintln!("could not send an event to the room: {error}");
        }
    }
}

/// The login form.
#[derive(Deserialize)]
struct LogInForm {
    key: String,
}

/// The page to return to after the login.
#[derive(Deserialize)]
struct LogInQuery {
    next: Option<String>,
}

impl LogInQuery {
    /// Returns a path of this site; any other URL could send the user to another site.
    fn local_path(&self) -> &str {
        let next = self.next.as_deref().unwrap_or("/");
        let is_external = !next.starts_with('/')
            || next.starts_with("//")
            || next.contains('\\')
            || next.contains(char::is_control);
        if is_external { "/" } else { next }
    }
}

/// `POST /login`
async fn log_in(
    auth: AuthSession<Accounts>,
    Query(query): Query<LogInQuery>,
    Form(form): Form<LogInForm>,
) -> Result<Response> {
    let Some(account) = auth.authenticate(form.key).await? else {
        let message = "No account has this key. Go back and try again.";
        return Ok((StatusCode::UNAUTHORIZED, message).into_response());
    };
    auth.log_in(&account).await?;
    Ok(Redirect::to(query.local_path()).into_response())
}

/// `POST /logout`
async fn log_out(auth: AuthSession<Accounts>) -> Result<Redirect> {
    auth.log_out().await?;
    Ok(Redirect::to("/login"))
}

/// `POST /announce/lobby` with a text: sends a message to a room without joining it.
async fn announce(
    State(channels): State<Channels>,
    Path(room): Path<String>,
    User(account): User<Account>,
    text: String,
) -> Result<StatusCode> {
    let room = channels.group(format!("chat.{room}"))?;
    let from = account.name;
    room.send(&ChatEvent::Message { from, text }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The HTML pages.
struct Files {
    room: String,
    login: String,
}

fn app(
    channels: &Channels,
    store: impl SessionStore,
    accounts: Accounts,
    files: Files,
) -> ProtocolTypeRouter {
    let members = RequireUser::<Account>::new().redirect_to("/login");
    let pages = Router::new()
        .route("/", get(Html(files.room)))
        .route("/announce/{room}", post(announce))
        .route_layer(members)
        .route("/login", get(Html(files.login)).post(log_in))
        .route("/logout", post(log_out))
        .with_state(channels.clone());
    let rooms = PathRouter::new().route("/ws/chat/{room}", Visitor::application(channels));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(rooms)
        .with(Auth::new(accounts))
        .with(Sessions::new(store, channels))
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt::init();
    let redis = env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
    let redis = redis.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let port = env::args().nth(1).unwrap_or_else(|| "8000".to_owned());
    let store = RedisStore::connect(&redis).await?.prefix("my-chat:session:");
    let channels = Channels::redis(RedisConfig::new(redis).prefix("my-chat")).await?;
    let accounts = Accounts::parse(&read("accounts.txt")?);
    let files = Files {
        room: read("index.html")?,
        login: read("login.html")?,
    };
    let app = app(&channels, store, accounts, files);
    Ok(serve(format!("127.0.0.1:{port}"), app).await?)
}

/// Reads a file of the current directory.
fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot read {path}")).with_source(error)
    })
}
