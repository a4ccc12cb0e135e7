//! A Seaway WebSocket consumer inside an existing axum app, served by axum, with tower-http layers
//! around both.
//!
//! `curl --json 21.5 http://127.0.0.1:8000/readings` adds a sensor reading. Every client connected
//! to `ws://127.0.0.1:8000/ws/readings` receives it at once, from a page of [`DASHBOARD`] or from a
//! client that is no browser. `curl http://127.0.0.1:8000/readings` returns the last readings.

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    routing::get,
};
use launch::Program;
use seaway::{
    Channels, Context, Error, Event, Group, Result, Shared, WebSocketConsumer, consumer,
    protocol::AllowedOrigins, routing::ProtocolTypeRouter,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tower_http::{compression::CompressionLayer, cors::CorsLayer, trace::TraceLayer};

/// The origin that may send cross-origin requests and open WebSockets.
const DASHBOARD: &str = "http://localhost:5173";

/// The number of readings that are kept; the oldest is dropped first.
const KEPT: usize = 1_000;

/// The events of the group `readings`.
#[derive(Event)]
#[event(prefix = "reading")]
enum ReadingEvent {
    Added { celsius: f64 },
}

/// One connected client.
#[derive(WebSocketConsumer)]
struct Listener {
    #[group("readings")]
    _readings: Group<ReadingEvent>,
}

#[consumer]
impl Listener {
    #[on("reading.added")]
    async fn added(
        &mut self,
        ctx: &mut Context<ReadingEvent>,
        event: Shared<ReadingEvent>,
    ) -> Result<()> {
        Ok(ctx.send(seaway::Json(event)).await?)
    }
}

/// The state that axum's handlers share.
#[derive(Clone)]
struct Sensor {
    readings: Arc<Mutex<VecDeque<f64>>>,
    listeners: Group<ReadingEvent>,
}

impl Sensor {
    /// Returns the kept readings, the oldest first.
    fn all(&self) -> Vec<f64> {
        let readings = self.readings.lock();
        let readings = readings.expect("no code panics while it holds this lock");
        readings.iter().copied().collect()
    }

    fn keep(&self, celsius: f64) {
        let readings = self.readings.lock();
        let mut readings = readings.expect("no code panics while it holds this lock");
        if readings.len() == KEPT {
            readings.pop_front();
        }
        readings.push_back(celsius);
    }
}

const PROGRAM: Program = Program {
    name: "in-axum",
    about: "An axum app whose WebSocket clients receive each reading of a sensor.",
    settings: &[],
};

#[tokio::main]
async fn main() -> Result<()> {
    let address = PROGRAM.start();
    let channels = Channels::in_memory();
    let sensor = Sensor {
        readings: Arc::default(),
        listeners: channels.group("readings")?,
    };
    let listener = address.listen().await?;
    println!("in-axum listens on http://{}", listener.local_addr()?);
    axum::serve(listener, app(sensor, &channels)).await?;
    Ok(())
}

fn app(sensor: Sensor, channels: &Channels) -> Router {
    use seaway::ApplicationExt;

    let sockets = Listener::application(channels).with(AllowedOrigins::list([DASHBOARD]));
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(DASHBOARD))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE]);
    Router::new()
        .route("/readings", get(list).post(add))
        .route_service("/ws/readings", ProtocolTypeRouter::new().websocket(sockets))
        .with_state(sensor)
        .layer(CompressionLayer::new())
        .layer(cors)
        .layer(TraceLayer::new_for_http())
}

async fn list(State(sensor): State<Sensor>) -> Json<Vec<f64>> {
    Json(sensor.all())
}

async fn add(State(sensor): State<Sensor>, Json(celsius): Json<f64>) -> Result<StatusCode, Error> {
    sensor.keep(celsius);
    sensor
        .listeners
        .send(&ReadingEvent::Added { celsius })
        .await?;
    Ok(StatusCode::CREATED)
}
