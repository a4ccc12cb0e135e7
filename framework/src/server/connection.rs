//! One accepted stream: which HTTP it speaks, and serving it to the end.

use super::{
    client_stream::ClientStream, drain::Seat, head_timer::HeadTimer, place, preface::Preface,
};
use crate::{
    alarm::SharedAlarm,
    error::BoxError,
    protocol::{Body, Pace},
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};
use tokio::net::TcpStream;
use tower_service::Service;

/// The limits of one connection.
#[derive(Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) head_timeout: Duration,
    pub(super) max_head_size: usize,
    pub(super) body_timeout: Duration,
}

/// How often a silent HTTP/2 client is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Serves one connection until it ends, or politely until its current requests are done once the server stops.
pub(super) async fn serve<S, B>(
    mut stream: TcpStream,
    app: S,
    seat: Seat,
    limits: ConnectionLimits,
) -> Result<(), BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Small answers leave at once; what belongs together is written together anyway.
    stream.set_nodelay(true)?;
    let preface = tokio::time::timeout(limits.head_timeout, Preface::read(&mut stream));
    let preface = tokio::select! {
        preface = preface => preface??,
        // A client that has not said anything yet is owed nothing.
        () = seat.stopping() => return Ok(()),
    };
    let is_http_2 = preface.is_http_2();
    let io = TokioIo::new(ClientStream::new(stream, preface));
    let mut stop = seat.stop();
    let alarm = SharedAlarm::default();
    let timer = HeadTimer::new(alarm.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let mut app = app.clone();
        let alarm = || match is_http_2 {
            // Bodies of one connection are read at the same time, and each needs an alarm of its own.
            true => SharedAlarm::default(),
            false => alarm.clone(),
        };
        let request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::incoming(body, Pace::new(limits.body_timeout, alarm())),
        });
        async move {
            place::forget_stream();
            poll_fn(|cx| app.poll_ready(cx)).await?;
            let mut response = app.call(request).await?;
            place::note_stream(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    match is_http_2 {
        false => {
            let mut builder = conn::http1::Builder::new();
            builder
                .timer(timer)
                .header_read_timeout(limits.head_timeout)
                .max_buf_size(limits.max_head_size);
            let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
            poll_fn(|cx| {
                if stop.poll(cx) {
                    connection.as_mut().graceful_shutdown();
                }
                connection.as_mut().poll(cx)
            })
            .await?;
        }
        true => {
            let mut builder = conn::http2::Builder::new(Streams(seat));
            builder
                .timer(TokioTimer::new())
                .keep_alive_interval(Some(KEEP_ALIVE))
                .max_header_list_size(u32::try_from(limits.max_head_size).unwrap_or(u32::MAX));
            let mut connection = pin!(builder.serve_connection(io, service));
            poll_fn(|cx| {
                if stop.poll(cx) {
                    connection.as_mut().graceful_shutdown();
                }
                connection.as_mut().poll(cx)
            })
            .await?;
        }
    }
    Ok(())
}

/// Where an HTTP/2 connection's requests are served: each in a task of its own, all in one place.
#[derive(Clone)]
struct Streams(Seat);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn(place::serve(self.0.clone(), stream));
    }
}
