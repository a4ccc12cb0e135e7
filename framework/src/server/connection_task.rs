//! The task that serves the requests of a connection.
//!
//! It also runs an application that continues after its response, and drops the connection of a
//! client that stalls on a streamed response.

use super::drain::ConnectionHandle;
use crate::{
    application::{Conversation, note},
    protocol::{Http, Pipe},
};
use http::Response;
use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tracing::{Instrument, instrument::Instrumented};

tokio::task_local! {
    /// The connection whose requests this task serves.
    static CONNECTION_TASK: ConnectionTask;
}

struct ConnectionTask {
    handle: ConnectionHandle,
    /// An application that has responded and still runs: it sends a streamed body, or runs
    /// `disconnect`. Here an event reaches the client after one wake; in a task of its own it would
    /// take two.
    going_on: Cell<Option<Instrumented<Conversation>>>,
    /// The streamed response that the client reads, if a consumer feeds it.
    stream: Cell<Option<Arc<Pipe>>>,
    /// Whether one of the two was set since this task last polled them. The application may then be
    /// registered with the waker of some middleware, and nothing would wake this task when the
    /// client stalls.
    is_new: Cell<bool>,
}

/// Returns the handle of the connection whose request is being served; `None` under another server,
/// or where middleware serves requests in tasks of its own.
pub(crate) fn handle() -> Option<ConnectionHandle> {
    CONNECTION_TASK.try_with(|place| place.handle.clone()).ok()
}

/// Serves requests with this handle, and runs applications that continue after their responses.
/// Returns `None` if the client stalls on a streamed response: hyper would wait for it without a
/// limit.
pub(super) fn serve<F: Future>(
    handle: ConnectionHandle,
    requests: F,
) -> impl Future<Output = Option<F::Output>> {
    let place = ConnectionTask {
        handle,
        going_on: Cell::default(),
        is_new: Cell::default(),
        stream: Cell::default(),
    };
    let serving = Serving {
        requests: Some(requests),
        served: None,
    };
    CONNECTION_TASK.scope(place, serving)
}

/// Stores the stream that the client reads from now on. It is taken from the response's extensions,
/// so it belongs to the response that is really sent, whichever service made it and whatever
/// middleware is in between.
pub(super) fn note_stream<B>(response: &mut Response<B>) {
    let stream = response.extensions_mut().remove();
    CONNECTION_TASK.with(|place| {
        if stream.is_some() {
            place.is_new.set(true);
        }
        place.stream.set(stream);
    });
}

/// Clears the stream: the client has sent another request, so the previous response is done.
pub(super) fn forget_stream() {
    CONNECTION_TASK.with(|place| place.stream.set(None));
}

pin_project! {
    struct Serving<F: Future> {
        #[pin]
        requests: Option<F>,
        served: Option<F::Output>,
    }
}

impl<F: Future> Future for Serving<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let mut serving = self.project();
        // Polled before the requests: what it sends now is written in this poll. `Pipe` relies on
        // this.
        let mut gone_on = poll_going_on(cx);
        if let Some(requests) = serving.requests.as_mut().as_pin_mut() {
            if poll_given_up(cx).is_pending() {
                let Poll::Ready(served) = requests.poll(cx) else {
                    // Not polled here: `Pipe` relies on the reader being polled after the feeder.
                    if CONNECTION_TASK.with(|place| place.is_new.take()) {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                };
                *serving.served = Some(served);
            }
            // The feeder of the stream is now notified that the reader is gone.
            serving.requests.set(None);
            gone_on = poll_going_on(cx);
        }
        ready!(gone_on);
        Poll::Ready(serving.served.take())
    }
}

/// Completes once the client stalls on a streamed response.
fn poll_given_up(cx: &Context<'_>) -> Poll<()> {
    CONNECTION_TASK.with(|place| {
        let Some(stream) = place.stream.take() else {
            return Poll::Pending;
        };
        let polled = stream.poll_given_up(cx);
        place.stream.set(Some(stream));
        polled
    })
}

/// Completes once no application runs here after its response.
fn poll_going_on(cx: &mut Context<'_>) -> Poll<()> {
    CONNECTION_TASK.with(|place| {
        // Repeats if the application that ended has called a service of this crate, whose
        // application still runs.
        while let Some(mut conversation) = place.going_on.take() {
            place.is_new.set(false);
            if poll_noted(&mut conversation, cx).is_pending() {
                let asked = place.going_on.replace(Some(conversation));
                if let Some(asked) = asked {
                    carry_on_apart(asked, Some(place.handle.clone()));
                }
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    })
}

/// Runs the rest of an application that has responded, in the span in which its request is served.
/// The latest one of a connection runs in the connection's task, an earlier one moves to a task of
/// its own: so a connection's task never has more than one to poll.
pub(crate) fn carry_on(conversation: Conversation) {
    let conversation = conversation.in_current_span();
    let handle = handle();
    let moved = match handle {
        Some(_) => CONNECTION_TASK.with(|place| {
            place.is_new.set(true);
            place.going_on.replace(Some(conversation))
        }),
        None => Some(conversation),
    };
    if let Some(conversation) = moved {
        carry_on_apart(conversation, handle);
    }
}

fn carry_on_apart(mut conversation: Instrumented<Conversation>, handle: Option<ConnectionHandle>) {
    let going_on = std::future::poll_fn(move |cx| poll_noted(&mut conversation, cx));
    match handle {
        // The application may still call services of this crate.
        Some(handle) => handle.spawn(serve(handle.clone(), going_on)),
        None => _ = tokio::spawn(going_on),
    }
}

/// Polls the application, and logs its outcome in its span.
fn poll_noted(conversation: &mut Instrumented<Conversation>, cx: &mut Context<'_>) -> Poll<()> {
    let outcome = ready!(Pin::new(&mut *conversation).poll(cx));
    conversation.span().in_scope(|| note::<Http>(outcome));
    Poll::Ready(())
}
