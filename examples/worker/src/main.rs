//! A page that sends jobs to workers and shows their progress: each job draws a picture of the
//! Mandelbrot set, in strips.
//!
//! `cargo run --release -p worker`, then <http://127.0.0.1:8000>: one process serves the page and
//! runs the jobs. With a Redis, workers may be other processes, as many as you like:
//!
//! ```sh
//! cargo run --release -p worker -- --redis redis://127.0.0.1:6379 --no-jobs
//! cargo run --release -p worker -- --redis redis://127.0.0.1:6379 --worker
//! ```
//!
//! Stop a worker with Ctrl-C while it draws: it finishes its picture first, and the others draw the
//! rest. More than 100 waiting jobs are refused; the page says which.
//!
//! | file | contains |
//! | --- | --- |
//! | `jobs.rs` | the job, its worker, and the events that it sends to the page |
//! | `mandelbrot.rs` | the work: the colours of a strip |
//! | `page.html` | the page |

mod jobs;
mod mandelbrot;

use axum::{Router, response::Html, routing::get};
use jobs::{PICTURES, PictureEvent, PictureJob, draw};
use launch::{Program, Redis};
use mandelbrot::View;
use seaway::{
    ChannelName, Channels, Context, ErrorKind, Handshake, Json, Rejection, Result, Shared,
    WebSocketConsumer, from_service,
    routing::{ChannelNameRouter, PathRouter, ProtocolTypeRouter},
    serve, serve_workers, worker_fn,
};
use serde::Deserialize;
use std::num::NonZeroUsize;

const PAGE: &str = include_str!("page.html");

/// A message from the page: draw this view.
#[derive(Deserialize)]
struct Order {
    /// The page's own number for the picture.
    number: u32,
    view: View,
}

/// One open page: it sends jobs, and receives the pictures on its own channel.
struct Viewer {
    pictures: ChannelName,
}

impl WebSocketConsumer for Viewer {
    type Input = Json<Order>;
    type Event = PictureEvent;

    async fn connect(_: &mut Handshake<PictureEvent>) -> Result<Self, Rejection> {
        let pictures = ChannelName::new(PICTURES)?;
        Ok(Self { pictures })
    }

    async fn receive(
        &mut self,
        ctx: &mut Context<PictureEvent>,
        Json(Order { number, view }): Json<Order>,
    ) -> Result<()> {
        let reply_to = ctx.channel().clone();
        let job = PictureJob::Draw {
            number,
            view,
            reply_to,
        };
        match ctx.channels().send(&self.pictures, &job).await {
            Err(error) if error.kind() == ErrorKind::ChannelFull => {
                Ok(ctx.send(Json(PictureEvent::Refused { number })).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn event(
        &mut self,
        ctx: &mut Context<PictureEvent>,
        event: Shared<PictureEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}

const PROGRAM: Program = Program {
    name: "worker",
    about: "A page that sends jobs to workers and shows their progress.",
    settings: &[&[
        (
            "--redis URL",
            "the Redis that connects several processes (omitted: one process does everything)",
        ),
        ("--worker", "run jobs only, without a page; needs --redis"),
        (
            "--no-jobs",
            "serve the page only, without a worker; needs --redis",
        ),
        (
            "--concurrency N",
            "how many jobs to run at the same time (1)",
        ),
    ]],
};

#[tokio::main]
async fn main() -> Result<()> {
    let mut redis = None;
    let (mut only_jobs, mut only_page) = (false, false);
    let mut concurrency = NonZeroUsize::MIN;
    let address = PROGRAM.start_with(|flag| {
        match flag.name() {
            "--redis" => redis = Some(Redis::from_option(flag.value()?)),
            "--worker" => only_jobs = true,
            "--no-jobs" => only_page = true,
            "--concurrency" => concurrency = flag.value()?,
            _ => return Ok(false),
        }
        Ok(true)
    });
    if redis.is_none() && (only_jobs || only_page) {
        eprintln!("worker: --worker and --no-jobs need --redis, which carries the jobs");
        std::process::exit(2);
    }
    let channels = match redis {
        // Other programs may use that Redis.
        Some(redis) => redis.channels(|config| config.prefix(PROGRAM.name)).await?,
        None => Channels::in_memory(),
    };
    let workers = ChannelNameRouter::new()
        .route(PICTURES, worker_fn(&channels, draw))
        .concurrency(PICTURES, concurrency.get());
    if only_jobs {
        println!("worker takes jobs");
        return Ok(serve_workers(&channels, workers).await?);
    }
    let pages = Router::new().route("/", get(Html(PAGE)));
    let sockets = PathRouter::new().route("/ws", Viewer::application(&channels));
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(sockets);
    let listener = address.listen().await?;
    println!("worker listens on http://{}", listener.local_addr()?);
    let server = serve(listener, app);
    if only_page {
        return Ok(server.await?);
    }
    Ok(server.workers(&channels, workers).await?)
}
