use axum::{
    Router,
    http::{StatusCode, header},
    response::Html,
    routing::get,
};
use seaway::{
    Channels, Context, Error, ErrorKind, Event, Handshake, Json, PresenceEvent, Rejection, Result,
    Shared, Topic, TopicEvent, WebSocketConsumer,
    channels::redis::RedisConfig,
    from_service,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use std::env;

/// What the room remembers.
#[derive(Event)]
enum ChatEvent {
    Message { from: String, text: String },
}

/// What a page receives.
#[derive(Event)]
enum RoomEvent {
    #[event(include)]
    Chat(TopicEvent<ChatEvent>),
    #[event(include)]
    Here(PresenceEvent<()>),
}

/// One client in one room.
struct Visitor {
    name: String,
    room: Topic<ChatEvent>,
}

impl WebSocketConsumer for Visitor {
    type Input = String;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Rejection> {
        let name: String = handshake.query("name")?;
        if !(1..=40).contains(&name.chars().count()) {
            let reason = "a name has 1 to 40 characters";
            return Err(Rejection::new(StatusCode::BAD_REQUEST, reason));
        }
        let room: String = handshake.param("room")?;
        let room = handshake.channels().topic(format!("chat.{room}"))?;
        let since = handshake.since(&room)?;
        handshake.resume(&room, since).await?;
        handshake.present(room.name(), &name, ()).await?;
        Ok(Visitor { name, room })
    }

    async fn receive(&mut self, _: &mut Context<RoomEvent>, text: String) -> Result<()> {
        let from = self.name.clone();
        self.room.send(&ChatEvent::Message { from, text }).await?;
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}

/// The files that a browser loads.
struct Files {
    page: String,
    client: String,
}

fn app(channels: &Channels, files: Files) -> ProtocolTypeRouter {
    let script = [(header::CONTENT_TYPE, "text/javascript")];
    let pages = Router::new()
        .route("/", get(Html(files.page)))
        .route("/seaway.js", get((script, files.client)));
    let rooms = PathRouter::new().route("/ws/chat/{room}", Visitor::application(channels));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(rooms)
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt::init();
    let channels = match env::var("REDIS_URL") {
        Ok(url) => Channels::redis(RedisConfig::new(url).prefix("my-room")).await?,
        Err(_) => Channels::in_memory(),
    };
    let port = env::args().nth(1).unwrap_or_else(|| "8000".to_owned());
    let files = Files {
        page: read("index.html")?,
        client: read("seaway.js")?,
    };
    Ok(serve(format!("127.0.0.1:{port}"), app(&channels, files)).await?)
}

/// Reads a file of the current directory.
fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Io, format!("cannot read {path}")).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use seaway::{protocol::WebSocket, testing::WebSocketCommunicator};
    use serde_json::{Value, json};

    #[tokio::test]
    async fn a_client_that_reconnects_receives_the_missed_messages() {
        let channels = Channels::in_memory();
        let mut ana = connect(&channels, "name=ana").await;
        let position = next(&mut ana, "recovered").await;
        let mut bo = connect(&channels, "name=bo").await;
        ana.disconnect().await.unwrap();

        bo.send("ahoy").await;
        next(&mut bo, "event").await;
        let (offset, epoch) = (&position["offset"], position["epoch"].as_str().unwrap());
        let resume = format!("name=ana&resume=chat.lobby:{offset}:{epoch}");
        let mut ana = connect(&channels, &resume).await;

        let ahoy = json!({ "type": "chat.message", "from": "bo", "text": "ahoy" });
        assert_eq!(next(&mut ana, "event").await["event"], ahoy);
        assert_eq!(next(&mut ana, "recovered").await["recovered"], true);
    }

    #[tokio::test]
    async fn a_room_shows_who_is_present() {
        let channels = Channels::in_memory();
        let mut ana = connect(&channels, "name=ana").await;
        assert_eq!(next(&mut ana, "state").await["presence"], "chat.lobby");

        let _bo = connect(&channels, "name=bo").await;

        let joined = next(&mut ana, "joined").await;
        assert_eq!(joined["joined"][0]["key"], "bo");
    }

    async fn connect(channels: &Channels, query: &str) -> WebSocketCommunicator {
        let (page, client) = (String::new(), String::new());
        let app = app(channels, Files { page, client });
        let sockets = app.get::<WebSocket>().unwrap();
        let request = Request::get(format!("/ws/chat/lobby?{query}"));
        let mut visitor = WebSocketCommunicator::open(sockets, request);
        assert_eq!(visitor.status().await, StatusCode::SWITCHING_PROTOCOLS);
        visitor
    }

    /// Returns the next message that has this field.
    async fn next(visitor: &mut WebSocketCommunicator, field: &str) -> Value {
        loop {
            let message: Value = serde_json::from_str(&visitor.receive_text().await).unwrap();
            if message.get(field).is_some() {
                return message;
            }
        }
    }
}
