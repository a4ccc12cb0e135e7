//! The end of a connection that is idle or old.

use super::config::WebSocketConfig;
use crate::message::Close;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The end of a connection that is idle or old.
pub(crate) struct Lifetime {
    alarm: Pin<Box<Sleep>>,
    last_message: Instant,
    /// `None` for no end.
    max_age: Option<Instant>,
}

impl Lifetime {
    /// Starts the clock of a new connection; `None` if it has no limit.
    pub(crate) fn new(config: &WebSocketConfig) -> Option<Box<Self>> {
        let now = Instant::now();
        // A sum that overflows is no end.
        let max_age = config.max_age.and_then(|limit| now.checked_add(limit));
        let idle = config.idle_timeout.and_then(|limit| now.checked_add(limit));
        let first = max_age.into_iter().chain(idle).min()?;
        Some(Box::new(Self {
            alarm: Box::pin(sleep_until(first)),
            last_message: now,
            max_age,
        }))
    }

    /// Notes that the client has sent a message.
    pub(crate) fn received(&mut self) {
        self.last_message = Instant::now();
    }

    /// Returns the close of a connection whose time is over.
    pub(crate) fn poll(
        &mut self,
        idle_timeout: Option<Duration>,
        cx: &mut Context<'_>,
    ) -> Poll<Close> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let now = Instant::now();
            if self.max_age.is_some_and(|end| now >= end) {
                let reason = "the connection has reached its maximum age";
                return Poll::Ready(Close::new(Close::AWAY, reason));
            }
            let idle = idle_timeout.and_then(|limit| self.last_message.checked_add(limit));
            if idle.is_some_and(|end| now >= end) {
                return Poll::Ready(Close::new(Close::AWAY, "the client was idle for too long"));
            }
            let Some(next) = self.max_age.into_iter().chain(idle).min() else {
                return Poll::Pending;
            };
            self.alarm.as_mut().reset(next);
        }
    }
}
