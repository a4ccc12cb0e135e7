//! The arena's HTTP routes.

use crate::streams::Listener;
use http::{Method, Response, StatusCode};
use launch::Metrics;
use seaway::{
    ApplicationExt, Channels, HttpConsumer, OpensOverHttp, Rejection, Result, Scope,
    application_fn,
    middleware::Provide,
    protocol::{Body, Exchange, Http},
    routing::PathRouter,
};

/// The largest body that `/body` accepts, in bytes.
#[derive(Clone, Copy)]
struct BodyLimit(usize);

/// Returns the router of all HTTP routes; `/body` accepts at most `body_limit` bytes.
pub fn router(body_limit: usize, channels: &Channels, recorded: Metrics) -> PathRouter<Http> {
    PathRouter::new()
        .route("/", application_fn(hello))
        .route("/healthz", application_fn(healthz))
        .route("/metrics", application_fn(metrics).with(Provide(recorded)))
        .route("/events/room/{name}", Listener::application(channels))
        .route(
            "/body",
            application_fn(body).with(Provide(BodyLimit(body_limit))),
        )
}

async fn hello(_: Scope<Http>, exchange: Exchange) -> Result<()> {
    Ok(exchange.respond(Response::new(Body::from("hello"))).await?)
}

async fn healthz(_: Scope<Http>, exchange: Exchange) -> Result<()> {
    Ok(exchange.respond(Response::new(Body::from("ok"))).await?)
}

async fn metrics(scope: Scope<Http>, exchange: Exchange) -> Result<()> {
    let text = scope.state::<Metrics>()?.render();
    Ok(exchange.respond(Response::new(Body::from(text))).await?)
}

async fn body(scope: Scope<Http>, mut exchange: Exchange) -> Result<()> {
    if scope.head.method != Method::POST {
        let rejection = Rejection::from_status(StatusCode::METHOD_NOT_ALLOWED);
        return Ok(Http::reject(exchange, rejection).await?);
    }
    let BodyLimit(limit) = *scope.state()?;
    match exchange.take_body().to_bytes(limit).await {
        Ok(bytes) => exchange.respond(Response::new(Body::from(bytes))).await?,
        Err(error) if error.is_closed() => return Err(error.into()),
        Err(_) => {
            let rejection = Rejection::from_status(StatusCode::PAYLOAD_TOO_LARGE);
            Http::reject(exchange, rejection).await?;
        }
    }
    Ok(())
}
