//! The application of these tests: pages, and a WebSocket that says who its user is.

use axum::{Router, extract::Path, routing::get};
use seaway::{
    Channels, Context, Handshake, NoEvent, Rejection, Result, User, WebSocketConsumer,
    django::{DjangoAuth, DjangoSession, DjangoUser},
    from_service,
    http::Request,
    middleware::RequireUser,
    routing::ProtocolTypeRouter,
    testing::{TestClient, WebSocketCommunicator},
};

pub(super) fn router(channels: &Channels, auth: DjangoAuth) -> ProtocolTypeRouter {
    let members = RequireUser::<DjangoUser>::new().redirect_to("/accounts/login/");
    let pages = Router::new()
        .route("/members", get(async || "members"))
        .route_layer(members)
        .route("/me", get(async |User(me): User<DjangoUser>| me.name))
        .route("/cart", get(cart))
        .route("/fill", get(fill))
        .route("/fill/{name}", get(fill_in))
        .route("/value/{name}", get(value))
        .route("/permissions", get(permissions))
        .route("/groups", get(groups))
        .route("/open", get(async || "open"));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(Who::application(channels))
        .with(auth)
}

pub(super) async fn cart(session: DjangoSession) -> Result<String> {
    let cart: Option<String> = session.get("cart").await?;
    Ok(cart.unwrap_or_else(|| "empty".to_owned()))
}

/// Writes a value, and returns it.
pub(super) async fn fill(session: DjangoSession) -> Result<String, seaway::Error> {
    session.write("cart", &"3 äpfel").await?;
    Ok(session.get("cart").await?.unwrap_or_default())
}

pub(super) async fn fill_in(
    Path(name): Path<String>,
    session: DjangoSession,
) -> Result<(), seaway::Error> {
    session.write(&name, &name).await
}

pub(super) async fn value(
    Path(name): Path<String>,
    session: DjangoSession,
) -> Result<String, seaway::Error> {
    Ok(session.get(&name).await?.unwrap_or_default())
}

/// Returns which of three permissions the user has.
pub(super) async fn permissions(User(user): User<DjangoUser>) -> Result<String> {
    let mut allowed = Vec::new();
    for action in ["add", "change", "delete"] {
        if user.has_perm(&format!("chat.{action}_message")).await? {
            allowed.push(action);
        }
    }
    Ok(allowed.join(" "))
}

pub(super) async fn groups(User(user): User<DjangoUser>) -> Result<String> {
    Ok(user.groups().await?.join(" "))
}

/// Sends the name of its user, and then echoes.
pub(super) struct Who(String);

impl WebSocketConsumer for Who {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let user: Option<User<DjangoUser>> = handshake.extract().await?;
        Ok(Self(
            user.map_or("nobody".to_owned(), |user| user.to_string()),
        ))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.clone()).await?)
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }
}

pub(super) fn open(app: &ProtocolTypeRouter, cookie: &str) -> WebSocketCommunicator {
    let request = Request::get("/ws").header("cookie", cookie);
    TestClient::new(app).open_websocket(request)
}

pub(super) async fn who_is(
    app: &ProtocolTypeRouter,
    cookie: &str,
) -> (WebSocketCommunicator, String) {
    let mut socket = open(app, cookie);
    let name = socket.receive_text().await;
    (socket, name)
}

pub(super) async fn is_open(socket: &mut WebSocketCommunicator) {
    socket.send("still here").await;
    assert_eq!(socket.receive_text().await, "still here");
}
