//! WebSockets beside a Django site: `/ws/whoami` sends the user who is logged in there, and stays
//! open until that is no longer so.
//!
//! `README.md` beside it starts both; `site/` is the Django project.

mod options;

use launch::Redis;
use options::Options;
use seaway::{
    ApplicationExt, Channels, Context, Json, Result, WebSocketConsumer, consumer,
    django::{DjangoAuth, DjangoUser},
    protocol::AllowedOrigins,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use serde_json::json;

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
        Ok(ctx
            .send(Json(json!({ "user": name, "staff": staff })))
            .await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::read()?;
    let database = options.database().await?;
    let sessions = options.sessions(&database).await?;
    let channels = match options.redis {
        // Without a prefix, as Django's channel layer.
        Some(url) => Redis::from_option(url).channels(|config| config).await?,
        None => Channels::in_memory(),
    };
    let sockets = PathRouter::new()
        .route("/ws/whoami", WhoAmI::application(&channels))
        .with(AllowedOrigins::django(["localhost", "127.0.0.1"], []));
    let auth = DjangoAuth::new(options.keys, sessions, &database).recheck(options.recheck);
    let app = ProtocolTypeRouter::new().websocket(sockets).with(auth);
    let listener = options.address.listen().await?;
    println!(
        "beside-django listens on ws://{}/ws/whoami",
        listener.local_addr()?
    );
    Ok(serve(listener, app).await?)
}
