//! One accepted stream: which HTTP it speaks, and serving it to the end.

use super::{drain::Seat, head_timer::HeadTimer, place};
use crate::{error::BoxError, protocol::Body};
use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::pin,
    time::Duration,
};
use tokio::net::TcpStream;
use tower_service::Service;

/// How long to wait before looking again at a first read that was too short to judge.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the head of a request may take.
#[derive(Clone, Copy)]
pub(super) struct HeadLimits {
    pub(super) timeout: Duration,
    pub(super) size: usize,
}

/// How often a silent HTTP/2 client is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Serves one connection until it ends, or politely until its current requests are done once the server stops.
pub(super) async fn serve<S, B>(
    stream: TcpStream,
    app: S,
    seat: Seat,
    limits: HeadLimits,
) -> Result<(), BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    // Small answers leave at once; what belongs together is written together anyway.
    stream.set_nodelay(true)?;
    let version = tokio::select! {
        version = tokio::time::timeout(limits.timeout, sniff(&stream)) => version??,
        // A client that has not said anything yet is owed nothing.
        () = seat.stopping() => return Ok(()),
    };
    let io = TokioIo::new(stream);
    let mut stop = seat.stop();
    let service = service_fn(move |request: Request<Incoming>| {
        let mut app = app.clone();
        let request = request.map(Body::incoming);
        async move {
            place::forget_stream();
            poll_fn(|cx| app.poll_ready(cx)).await?;
            let mut response = app.call(request).await?;
            place::note_stream(&mut response);
            Ok::<_, Infallible>(response)
        }
    });
    match version {
        Version::Http1 => {
            let mut builder = conn::http1::Builder::new();
            builder
                .timer(HeadTimer::default())
                .header_read_timeout(limits.timeout)
                .max_buf_size(limits.size);
            let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
            poll_fn(|cx| {
                if stop.poll(cx) {
                    connection.as_mut().graceful_shutdown();
                }
                connection.as_mut().poll(cx)
            })
            .await?;
        }
        Version::Http2 => {
            let mut builder = conn::http2::Builder::new(Streams(seat));
            builder
                .timer(TokioTimer::new())
                .keep_alive_interval(Some(KEEP_ALIVE))
                .max_header_list_size(u32::try_from(limits.size).unwrap_or(u32::MAX));
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

#[derive(Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them: HTTP/2 with prior knowledge opens with a preface (RFC 9113, 3.4) that
/// starts no HTTP/1 request. It has to be complete: hyper would wait for the rest of it without a limit.
async fn sniff(stream: &TcpStream) -> io::Result<Version> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..count] != PREFACE[..count] {
            return Ok(Version::Http1);
        }
        if count == PREFACE.len() {
            return Ok(Version::Http2);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
