//! Where requests are served: in one task, which also carries on with a conversation that goes on after its answer, and
//! drops a client that takes nothing of its stream.

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
    /// The place of the connection whose requests this task serves.
    static CONNECTION_TASK: ConnectionTask;
}

struct ConnectionTask {
    handle: ConnectionHandle,
    /// A conversation that has answered and goes on: it feeds a stream, or says goodbye.
    /// Here an event reaches its client after one wake; from a task of its own it would take two.
    going_on: Cell<Option<Instrumented<Conversation>>>,
    /// What the client reads, if a consumer feeds it.
    stream: Cell<Option<Arc<Pipe>>>,
    /// Whether one of the two came since they were polled here: what wakes a conversation may then be the waker of some
    /// middleware, and nothing says yet that a client is given up.
    is_new: Cell<bool>,
}

/// The handle of the connection whose request is being served; none under a foreign server, or where middleware serves
/// requests in tasks of its own.
pub(crate) fn handle() -> Option<ConnectionHandle> {
    CONNECTION_TASK.try_with(|place| place.handle.clone()).ok()
}

/// Serves requests in this handle, and carries on with what goes on after their answers. `None` if the client takes nothing
/// of its stream: hyper would wait for it without an end.
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

/// Notes what the client reads from now on. It travels with the response, so that it is the one which really leaves,
/// whoever asked for it and whatever stands in between.
pub(super) fn note_stream<B>(response: &mut Response<B>) {
    let stream = response.extensions_mut().remove();
    CONNECTION_TASK.with(|place| {
        if stream.is_some() {
            place.is_new.set(true);
        }
        place.stream.set(stream);
    });
}

/// Notes that what the client has read is over: it asks for something else.
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
        // Before the requests: what it says now is on its way in this poll, and `Pipe` counts on that.
        let mut gone_on = poll_going_on(cx);
        if let Some(requests) = serving.requests.as_mut().as_pin_mut() {
            if poll_given_up(cx).is_pending() {
                let Poll::Ready(served) = requests.poll(cx) else {
                    // Not polled here: `Pipe` has counted on that the reader comes after.
                    if CONNECTION_TASK.with(|place| place.is_new.take()) {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                };
                *serving.served = Some(served);
            }
            // Whoever fed the connection sees now that nobody reads any more.
            serving.requests.set(None);
            gone_on = poll_going_on(cx);
        }
        ready!(gone_on);
        Poll::Ready(serving.served.take())
    }
}

/// Ready once the client takes nothing of its stream.
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

/// Ready once nothing goes on here after its answer.
fn poll_going_on(cx: &mut Context<'_>) -> Poll<()> {
    CONNECTION_TASK.with(|place| {
        // More than once if the one that ended has asked a service of ours, and that goes on.
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

/// Carries on with a conversation that has answered, in the span that its request is served in. The latest of a
/// connection goes on in its task, an earlier one moves to a task of its own, so that a connection's task never has more
/// than one to look after.
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
        // It may ask services of ours, as before.
        Some(handle) => handle.spawn(serve(handle.clone(), going_on)),
        None => _ = tokio::spawn(going_on),
    }
}

/// Polls it, and logs how it ended, in its span.
fn poll_noted(conversation: &mut Instrumented<Conversation>, cx: &mut Context<'_>) -> Poll<()> {
    let outcome = ready!(Pin::new(&mut *conversation).poll(cx));
    conversation.span().in_scope(|| note::<Http>(outcome));
    Poll::Ready(())
}
