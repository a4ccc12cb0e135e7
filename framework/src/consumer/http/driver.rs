//! The driver of an HTTP consumer: its handler, what may end it, and `disconnect` exactly once.

use super::{
    super::{
        disconnect_guard::{DisconnectGuard, disconnected},
        reply_headers::complete,
    },
    Disconnect, HttpConsumer,
    context::HttpContext,
    interrupts::{Interrupt, Interrupts},
    reply::{Reply, ReplyKind},
};
use crate::{
    catch_panic::catch_panic,
    channels::Event,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    message::Close,
    protocol::{Exchange, Http},
    rejection::Rejection,
    rejection_log::Peer,
    revocation::Revocations,
    scope::OpensOverHttp,
};
use http::StatusCode;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// A consumer and its request.
pub(super) struct HandlerDriver<C: HttpConsumer> {
    /// `None` once its groups are left.
    ctx: Option<HttpContext<C::Event>>,
    /// The last field, so that it is dropped after the groups are left.
    consumer: DisconnectGuard<C, Disconnect>,
}

/// How a handler ended.
enum HandlerOutcome {
    Replied(Reply),
    Failed(Error),
    Ended(Interrupt),
}

impl<C: HttpConsumer> HandlerDriver<C> {
    pub(super) fn new(consumer: C, ctx: HttpContext<C::Event>) -> Self {
        let exchange = ctx.exchange.as_ref();
        let handle = exchange.and_then(|exchange| exchange.handle().cloned());
        let start = |consumer: C, end| disconnected(move || consumer.disconnect(end));
        Self {
            ctx: Some(ctx),
            consumer: DisconnectGuard::new(consumer, start, || Disconnect::ClientLeft, handle),
        }
    }

    /// Serves the request until it ends. Returns the handler's error if the response head was
    /// already sent; an earlier error becomes a response and is logged.
    pub(super) async fn serve(&mut self) -> crate::Result<()> {
        let Some(ctx) = &mut self.ctx else {
            return Ok(());
        };
        let revocations = ctx.scope.get::<Revocations>().ok().cloned();
        let handle = self.consumer.connection().cloned();
        let interrupts = Interrupts::new(
            ctx.common.clone(),
            revocations,
            handle,
            C::DISCONNECT_ON_HALF_CLOSE,
        );
        let handler = async {
            ctx.common.address.enter().await?;
            catch_panic(|| self.consumer.handle(ctx)).await
        };
        let outcome = run_handler(Box::pin(handler), interrupts).await;
        let (end, outcome) = Box::pin(conclude(ctx, outcome)).await;
        let departure = ctx.common.address.departure();
        // Leave the groups before `disconnect`: what it sends to them reaches the remaining
        // members.
        self.ctx = None;
        self.consumer.disconnect(end).await;
        if let Some(departure) = departure {
            departure.await;
        }
        outcome
    }
}

/// Runs the handler until it returns, or something ends the request: then its future is dropped.
async fn run_handler(
    mut handler: Pin<Box<impl Future<Output = Result<crate::Result<Reply>>> + Send>>,
    mut interrupts: Interrupts,
) -> HandlerOutcome {
    let mut is_waiting = false;
    poll_fn(|cx| {
        // The end of the request goes before queued events. It is not polled for a handler that
        // returns without waiting.
        if is_waiting && let Poll::Ready(interrupt) = interrupts.poll(cx) {
            return Poll::Ready(HandlerOutcome::Ended(interrupt));
        }
        is_waiting = true;
        if let Poll::Ready(handled) = handler.as_mut().poll(cx) {
            return Poll::Ready(match handled {
                Ok(Ok(reply)) => HandlerOutcome::Replied(reply),
                Ok(Err(error)) => HandlerOutcome::Failed(error.into()),
                Err(panic) => HandlerOutcome::Failed(panic),
            });
        }
        // What the handler has just begun, such as a stream, may already have ended.
        match interrupts.poll(cx) {
            Poll::Pending => interrupts.poll_half_close(cx).map(HandlerOutcome::Ended),
            ended => ended.map(HandlerOutcome::Ended),
        }
    })
    .await
}

/// Sends the response if it has not begun. Returns how the request ended, and the error to log.
async fn conclude<E: Event>(
    ctx: &mut HttpContext<E>,
    outcome: HandlerOutcome,
) -> (Disconnect, crate::Result<()>) {
    ctx.common.end_stream();
    let exchange = ctx.exchange.take();
    let replied = match ctx.common.is_stopping() {
        true => Disconnect::ServerStopping,
        false => Disconnect::Replied,
    };
    let end = match (outcome, exchange) {
        (HandlerOutcome::Replied(Reply(ReplyKind::Whole(mut response))), Some(exchange)) => {
            complete(response.headers_mut(), &mut ctx.headers);
            match exchange.respond(response).await {
                Ok(()) => replied,
                Err(_) => Disconnect::ClientLeft,
            }
        }
        (HandlerOutcome::Replied(Reply(ReplyKind::Streamed)), None) => {
            match ctx.common.has_stalled() {
                true => Disconnect::ClientLeft,
                false => replied,
            }
        }
        (HandlerOutcome::Replied(_), exchange) => {
            let error = Error::new(
                ErrorKind::User,
                "`handle` returned a whole reply after it had called `stream` or `sse`, or the end of another request's \
                 stream; return the `end` of its own stream",
            );
            return fail(ctx.scope.peer(), exchange, error).await;
        }
        (HandlerOutcome::Failed(error), exchange) => {
            return fail(ctx.scope.peer(), exchange, error).await;
        }
        (HandlerOutcome::Ended(Interrupt::Left), exchange) => {
            if let Some(exchange) = exchange {
                _ = Http::reject(exchange, half_closed()).await;
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

async fn fail(
    peer: Peer,
    exchange: Option<Exchange>,
    error: Error,
) -> (Disconnect, crate::Result<()>) {
    let end = match error.kind() {
        ErrorKind::Closed => Disconnect::ClientLeft,
        kind => Disconnect::Failed(kind),
    };
    match exchange {
        Some(exchange) => {
            let rejection = Rejection::from(error);
            rejection.log(&peer);
            _ = Http::reject(exchange, rejection).await;
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
    let status = match close.code {
        Close::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
        Close::TRY_AGAIN | Close::AWAY => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    };
    Rejection::new(status, String::from(close.reason.clone()))
}
