//! The driver of an HTTP consumer: its handler, what may end it, and `disconnect` exactly once.

use super::{
    super::{
        disconnect_guard::{
            ConnectionEnd, DisconnectGuard, DisconnectHook, Disconnects, disconnected,
        },
        joined::{GroupMember, Joined},
        response_headers::complete,
    },
    Disconnect, HttpConsumer,
    context::HttpContext,
    interrupts::{Interrupt, Interrupts},
    response::{HttpResponse, ResponseKind},
};
use crate::{
    catch_panic::catch_panic,
    channels::{Departure, Event},
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    message::Close,
    protocol::{Body, Exchange, Http},
    rejection::Rejection,
    rejection_log::Rule,
    revocation::Revocations,
    scope::OpensOverHttp,
};
use http::StatusCode;
use std::{
    future::{Future, poll_fn, ready},
    pin::Pin,
    task::Poll,
};

/// A consumer and its request.
pub(super) struct HandlerDriver<C: HttpConsumer>(Joined<HttpContext<C::Event>, Handler<C>>);

/// A consumer that has connected.
struct Handler<C>(C);

impl<C: HttpConsumer> Disconnects for Handler<C> {
    type End = Disconnect;

    fn disconnect(self, end: Disconnect) -> DisconnectHook {
        disconnected(move || self.0.disconnect(end))
    }
}

impl ConnectionEnd for Disconnect {
    fn dropped() -> Self {
        Disconnect::ClientLeft
    }
}

impl<E> GroupMember for HttpContext<E> {
    type Rest = ();

    fn leave(self) -> (Departure, ()) {
        (self.handler_state.address.departure(), ())
    }
}

/// How a handler ended.
enum HandlerOutcome {
    Responded(HttpResponse),
    Failed(Error),
    Ended(Interrupt),
}

impl<C: HttpConsumer> HandlerDriver<C> {
    pub(super) fn new(consumer: C, ctx: HttpContext<C::Event>) -> Self {
        let exchange = ctx.exchange.as_ref();
        let handle = exchange.and_then(|exchange| exchange.handle().cloned());
        Self(Joined {
            connection: ctx,
            consumer: DisconnectGuard::new(Handler(consumer), handle),
        })
    }

    /// Serves the request until it ends. Returns the handler's error if the response head was
    /// already sent, or that of `disconnect`; an earlier error becomes a response and is logged.
    #[expect(
        clippy::manual_async_fn,
        reason = "the future of an `async fn` would hold the driver twice"
    )]
    pub(super) fn serve(mut self) -> impl Future<Output = crate::Result<()>> + Send {
        async move {
            let Joined {
                connection: ctx,
                consumer,
            } = &mut self.0;
            let revocations = ctx.scope.extensions.get::<Revocations>().cloned();
            let handle = consumer.connection().cloned();
            let interrupts = Interrupts::new(
                ctx.handler_state.clone(),
                revocations,
                handle,
                C::DISCONNECT_ON_HALF_CLOSE,
            );
            let handler = async {
                ctx.handler_state.address.enter().await?;
                catch_panic(|| consumer.0.handle(ctx)).await
            };
            let outcome = run_handler(Box::pin(handler), interrupts).await;
            Box::pin(self.end(outcome)).await
        }
    }

    async fn end(mut self, outcome: HandlerOutcome) -> crate::Result<()> {
        let (end, outcome) = conclude(&mut self.0.connection, outcome).await;
        let disconnected = self.0.end(|()| ready(end)).await;
        outcome?;
        Ok(disconnected?)
    }
}

/// Runs the handler until it returns, or something ends the request: then its future is dropped.
async fn run_handler(
    mut handler: Pin<Box<impl Future<Output = Result<crate::Result<HttpResponse>>> + Send>>,
    mut interrupts: Interrupts,
) -> HandlerOutcome {
    let mut is_waiting = false;
    poll_fn(|cx| {
        // The end of the request goes before queued events. It is not polled for a handler that
        // returns without waiting.
        if is_waiting && let Poll::Ready(interrupt) = interrupts.poll(cx) {
            return Poll::Ready(HandlerOutcome::Ended(interrupt));
        }
        let polled = is_waiting.then(|| interrupts.sources());
        is_waiting = true;
        if let Poll::Ready(handled) = handler.as_mut().poll(cx) {
            return Poll::Ready(match handled {
                Ok(Ok(response)) => HandlerOutcome::Responded(response),
                Ok(Err(error)) => HandlerOutcome::Failed(error.into()),
                Err(panic) => HandlerOutcome::Failed(panic),
            });
        }
        // What the handler has just begun, such as a stream, may already have ended.
        if polled != Some(interrupts.sources())
            && let Poll::Ready(interrupt) = interrupts.poll(cx)
        {
            return Poll::Ready(HandlerOutcome::Ended(interrupt));
        }
        interrupts.poll_half_close(cx).map(HandlerOutcome::Ended)
    })
    .await
}

/// Sends the response if it has not begun. Returns how the request ended, and the error to log.
async fn conclude<E: Event>(
    ctx: &mut HttpContext<E>,
    outcome: HandlerOutcome,
) -> (Disconnect, crate::Result<()>) {
    ctx.handler_state.end_stream();
    let exchange = ctx.exchange.take();
    let responded = match ctx.handler_state.is_stopping() {
        true => Disconnect::ServerStopping,
        false => Disconnect::Responded,
    };
    let end = match (outcome, exchange) {
        (
            HandlerOutcome::Responded(HttpResponse(ResponseKind::Whole(mut response))),
            Some(exchange),
        ) => {
            complete(response.headers_mut(), &mut ctx.headers);
            match exchange.respond(response).await {
                Ok(()) => responded,
                Err(_) => Disconnect::ClientLeft,
            }
        }
        (HandlerOutcome::Responded(HttpResponse(ResponseKind::Streamed)), None) => {
            match ctx.handler_state.has_stalled() {
                true => Disconnect::ClientLeft,
                false => responded,
            }
        }
        (HandlerOutcome::Responded(_), exchange) => {
            let error = Error::new(
                ErrorKind::User,
                "`handle` returned a whole response after it had called `stream` or `sse`, or the end of another request's \
                 stream; return the `end` of its own stream",
            );
            return fail(exchange, error).await;
        }
        (HandlerOutcome::Failed(error), exchange) => {
            let has_left = ctx.handler_state.has_left() || error.body_error().is_some();
            let error = match error.is_closed() && !has_left {
                true => Error::new(
                    ErrorKind::User,
                    "the handler sent to another connection or stream, which is closed",
                )
                .with_source(error),
                false => error,
            };
            return fail(exchange, error).await;
        }
        (HandlerOutcome::Ended(Interrupt::Left), exchange) => {
            if let Some(exchange) = exchange {
                // Not a rejection, which would be logged: most of these clients have left.
                let response = half_closed().into_response().map(Body::from);
                _ = exchange.respond(response).await;
            }
            Disconnect::ClientLeft
        }
        (HandlerOutcome::Ended(Interrupt::Stopped), _) => {
            log_limited!(
                warn,
                "ended an event stream that was still open 5 s after the server began to stop"
            );
            Disconnect::ServerStopping
        }
        (HandlerOutcome::Ended(Interrupt::Closed(close)), exchange) => {
            if let Some(exchange) = exchange {
                _ = Http::reject(exchange, rejection(&close)).await;
            }
            Disconnect::Revoked(close)
        }
    };
    (end, Ok(()))
}

async fn fail(exchange: Option<Exchange>, error: Error) -> (Disconnect, crate::Result<()>) {
    let end = match error.kind() {
        ErrorKind::Closed => Disconnect::ClientLeft,
        kind => Disconnect::Failed(kind),
    };
    match exchange {
        Some(exchange) => {
            _ = Http::reject(exchange, error).await;
            (end, Ok(()))
        }
        // The stream has ended and the client reconnects: this is not an error of the consumer.
        None if error.kind() == ErrorKind::Missed => (end, Ok(())),
        None => (end, Err(error.into())),
    }
}

/// Returns the response to a client that closed its sending side while the handler waited: it may
/// still read. 499 is the status that nginx uses for it.
fn half_closed() -> Rejection {
    let status = StatusCode::from_u16(499).expect("a status has three digits");
    Rejection::new(
        status,
        "the client closed its sending side of the connection while the handler was waiting",
    )
}

/// Returns the response to a request that is closed from outside while its handler waits.
fn rejection(close: &Close) -> Rejection {
    let (status, rule) = match close.code {
        Close::UNAUTHORIZED => (StatusCode::UNAUTHORIZED, Rule::User),
        Close::TRY_AGAIN | Close::AWAY => (StatusCode::SERVICE_UNAVAILABLE, Rule::Application),
        _ => (StatusCode::FORBIDDEN, Rule::Application),
    };
    Rejection::new(status, close.reason().to_owned()).by(rule)
}
