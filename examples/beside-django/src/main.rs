//! WebSockets of a Django site: a chat for the users who are logged in on its pages, and
//! `/ws/whoami`, which sends the user and stays open until that user loses access.
//!
//! `cargo run -p beside-django` starts the site and the server, and prints one address: all paths
//! without a route here are passed to Django.
//!
//! | part | contains |
//! | --- | --- |
//! | `main.rs` | the consumers |
//! | `options.rs` | the command line, with everything that Seaway needs to know of Django's settings |
//! | `site.rs` | starts Django |
//! | `site/` | the Django project, with the same chat in Python: `chat/consumers.py` |

mod options;
mod site;

use launch::Redis;
use options::Options;
use seaway::{
    ApplicationExt, Channels, Context, Event, Group, Json, Result, WebSocketConsumer, consumer,
    django::DjangoUser,
    protocol::AllowedOrigins,
    proxy,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use serde::Deserialize;
use serde_json::json;
use site::Site;

/// The events of a room, which Django sends as well.
#[derive(Event)]
enum ChatEvent {
    Message { author: String, text: String },
}

/// What a page says in a room.
#[derive(Deserialize)]
struct Said {
    text: String,
}

/// One user in a room.
#[derive(WebSocketConsumer)]
struct Chat {
    #[user]
    user: DjangoUser,
    #[group("chat_{room}")]
    room: Group<ChatEvent>,
}

#[consumer(forward)]
impl Chat {
    async fn receive(&mut self, Json(said): Json<Said>) -> Result<()> {
        let (author, text) = (self.user.name.clone(), said.text);
        Ok(self.room.send(&ChatEvent::Message { author, text }).await?)
    }
}

/// Sends its user.
#[derive(WebSocketConsumer)]
struct WhoAmI {
    #[user]
    user: Option<DjangoUser>,
}

#[consumer]
impl WhoAmI {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        let name = self.user.as_ref().map(|user| &user.name);
        let staff = self.user.as_ref().is_some_and(|user| user.is_staff);
        let known = json!({ "user": name, "staff": staff });
        Ok(ctx.send(Json(known)).await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read()?;
    let listener = options.address.listen().await?;
    // Dropped at the end, which stops Django.
    let site = Site::start(&options).await?;
    let auth = options.auth(site.url()).await?;
    let channels = match options.redis.clone() {
        // Without a prefix, as Django's channel layer.
        Some(url) => Redis::from_option(url).channels(|config| config).await?,
        None => Channels::in_memory(),
    };
    let sockets = PathRouter::new()
        .route("/ws/chat/{room}", Chat::application(&channels))
        .route("/ws/whoami", WhoAmI::application(&channels))
        .route("/python/chat/{room}", proxy(site.url()))
        .with(AllowedOrigins::django(["localhost", "127.0.0.1"], []))
        .with(auth);
    // Django itself knows who requests its pages.
    let app = ProtocolTypeRouter::new()
        .http(proxy(site.url()))
        .websocket(sockets);
    println!("beside-django listens on http://{}", listener.local_addr()?);
    Ok(serve(listener, app).await?)
}
