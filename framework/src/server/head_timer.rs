//! hyper's timer for request heads: all heads of a connection share one alarm.
//!
//! hyper creates a timer when it starts to wait for a head, and drops it when the head is complete.

use super::{alarm::SharedAlarm, traffic::Traffic};
use hyper::rt::{Sleep, Timer};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// hyper's timer for the request heads of one HTTP/1 connection.
pub(super) struct HeadTimer {
    alarm: SharedAlarm,
    traffic: Arc<Traffic>,
}

/// The timeout of one head.
struct Limit {
    deadline: Instant,
    alarm: SharedAlarm,
}

impl HeadTimer {
    /// Creates a timer that records in `traffic` when hyper starts to wait for a head.
    pub(super) fn new(alarm: SharedAlarm, traffic: Arc<Traffic>) -> Self {
        Self { alarm, traffic }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.traffic.await_head();
        let alarm = self.alarm.clone();
        Box::pin(Limit { deadline, alarm })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for Limit {}

impl Future for Limit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(self.deadline.into(), cx)
    }
}
