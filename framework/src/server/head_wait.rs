//! The signal that hyper waits for a request head.
//!
//! hyper creates a timer when it starts to wait for a head, and drops it when the head is complete.
//! A timer for each head would cost an allocation and a reading of the clock, so this one only
//! records the wait, and the connection limits its time.

use super::traffic::Traffic;
use hyper::rt::{Sleep, Timer};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// The timer of an HTTP/1 connection, which records that hyper waits for a head, and never fires.
pub(super) struct HeadWait {
    traffic: Arc<Traffic>,
    created: Instant,
}

/// A timer that never fires. Boxed, it takes no memory.
struct Never;

impl HeadWait {
    /// Creates a timer that records in `traffic` when hyper starts to wait for a head.
    pub(super) fn new(traffic: Arc<Traffic>) -> Self {
        let created = Instant::now();
        Self { traffic, created }
    }
}

impl Timer for HeadWait {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.created)
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        self.traffic.await_head();
        Box::pin(Never)
    }

    // hyper only adds its timeout to it.
    fn now(&self) -> Instant {
        self.created
    }
}

impl Sleep for Never {}

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
