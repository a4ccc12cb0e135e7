//! Where requests are served: in one task, which also carries on with a conversation that goes on after its answer.

use super::drain::Seat;
use crate::{
    application::{Conversation, note},
    error::{Error, Result},
    protocol::{GivenUp, Http},
};
use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    error::Error as _,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tracing::{Instrument, instrument::Instrumented};

tokio::task_local! {
    /// The place of the connection whose requests this task serves.
    static PLACE: Place;
}

struct Place {
    seat: Seat,
    /// A conversation that has answered and goes on: it feeds a stream, or says goodbye.
    /// Here an event reaches its client after one wake; from a task of its own it would take two.
    going_on: Cell<Option<Instrumented<Conversation>>>,
    /// Whether it came since it was polled here: what wakes it may then be the waker of some middleware.
    is_new: Cell<bool>,
}

/// The seat of the connection whose request is being served; none under a foreign server, or where middleware serves
/// requests in tasks of its own.
pub(crate) fn seat() -> Option<Seat> {
    PLACE.try_with(|place| place.seat.clone()).ok()
}

/// Serves requests in this seat, and carries on with what goes on after their answers. `None` if a conversation has given
/// its client up: hyper would wait without an end for one that takes nothing.
pub(super) fn serve<F: Future>(seat: Seat, requests: F) -> impl Future<Output = Option<F::Output>> {
    let place = Place {
        seat,
        going_on: Cell::default(),
        is_new: Cell::default(),
    };
    let serving = Serving {
        requests: Some(requests),
        served: None,
    };
    PLACE.scope(place, serving)
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
        let mut going_on = poll_going_on(cx);
        if let Poll::Ready(Client::GivenUp) = going_on {
            return Poll::Ready(None);
        }
        if let Some(requests) = serving.requests.as_mut().as_pin_mut() {
            let Poll::Ready(served) = requests.poll(cx) else {
                // Not polled here: `Pipe` has counted on that the reader comes after.
                if PLACE.with(|place| place.is_new.take()) {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            };
            *serving.served = Some(served);
            // Whoever fed the connection sees now that nobody reads any more.
            serving.requests.set(None);
            going_on = poll_going_on(cx);
        }
        ready!(going_on);
        Poll::Ready(serving.served.take())
    }
}

/// Carries on with a conversation that has answered, in the span that its request is served in. The latest of a
/// connection goes on in its task, an earlier one moves to a task of its own, so that a connection's task never has more
/// than one to look after.
pub(crate) fn carry_on(conversation: Conversation) {
    let conversation = conversation.in_current_span();
    let seat = seat();
    let moved = match seat {
        Some(_) => PLACE.with(|place| {
            place.is_new.set(true);
            place.going_on.replace(Some(conversation))
        }),
        None => Some(conversation),
    };
    if let Some(conversation) = moved {
        carry_on_apart(conversation, seat);
    }
}

fn carry_on_apart(conversation: Instrumented<Conversation>, seat: Option<Seat>) {
    tokio::spawn(async move {
        note::<Http>(conversation.await);
        drop(seat);
    });
}

/// What a conversation knows of its client once it is over.
enum Client {
    Served,
    GivenUp,
}

fn poll_going_on(cx: &mut Context<'_>) -> Poll<Client> {
    PLACE.with(|place| {
        // More than once if the one that ended has asked a service of ours, and that goes on.
        while let Some(mut conversation) = place.going_on.take() {
            place.is_new.set(false);
            let Poll::Ready(outcome) = Pin::new(&mut conversation).poll(cx) else {
                let asked = place.going_on.replace(Some(conversation));
                if let Some(asked) = asked {
                    carry_on_apart(asked, Some(place.seat.clone()));
                }
                return Poll::Pending;
            };
            let is_given_up = is_given_up(&outcome);
            note::<Http>(outcome);
            if is_given_up {
                return Poll::Ready(Client::GivenUp);
            }
        }
        Poll::Ready(Client::Served)
    })
}

fn is_given_up(outcome: &Result<()>) -> bool {
    let source = outcome.as_ref().err().and_then(Error::source);
    source.is_some_and(|source| source.is::<GivenUp>())
}
