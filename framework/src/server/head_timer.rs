//! The limit on request heads, at the price of a look at the clock.
//!
//! hyper starts a timer for every head and drops it when the head is there, which with tokio's own timers is an
//! allocation and two turns of the timer wheel for each request. Here one alarm per connection stands for all of them:
//! it rings no later than any head's deadline, and when it rings early, because a later head has a later one, it is set
//! again.

use hyper::rt::{Sleep, Timer};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// hyper's timer for one connection.
#[derive(Clone, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Option<Alarm>>>);

/// Rings once, and wakes whoever looked at it last.
struct Alarm {
    bell: Pin<Box<tokio::time::Sleep>>,
    rings_at: Instant,
    wakes: Waker,
}

/// One head's limit.
struct Limit {
    deadline: Instant,
    alarm: Arc<Mutex<Option<Alarm>>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let alarm = self.0.clone();
        Box::pin(Limit { deadline, alarm })
    }
}

impl Sleep for Limit {}

impl Future for Limit {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self
            .alarm
            .lock()
            .expect("no code panics while it holds this lock");
        // As long as it has not rung, there is time left: no look at the clock.
        if let Some(set) = &*alarm
            && set.rings_at <= self.deadline
            && !set.bell.is_elapsed()
            && set.wakes.will_wake(cx.waker())
        {
            return Poll::Pending;
        }
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let rings_at = self.deadline;
        let mut bell = match alarm.take() {
            Some(set) => set.bell,
            None => Box::pin(tokio::time::sleep_until(rings_at.into())),
        };
        bell.as_mut().reset(rings_at.into());
        if bell.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        *alarm = Some(Alarm {
            bell,
            rings_at,
            wakes: cx.waker().clone(),
        });
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn heads_that_come_in_time_set_one_alarm_and_a_late_one_is_told() {
        let timer = HeadTimer::default();
        let rings_at = || timer.0.lock().unwrap().as_ref().unwrap().rings_at;

        let mut first = timer.sleep(Duration::from_millis(300));
        rest(&mut first).await;
        let first_ring = rings_at();
        drop(first);
        let start = Instant::now();
        let mut second = timer.sleep(Duration::from_millis(600));
        rest(&mut second).await;
        assert_eq!(first_ring, rings_at(), "the second head has set no alarm");

        second.await;
        assert!(start.elapsed() >= Duration::from_millis(600));
    }

    /// Looks once, and finds that there is time left.
    async fn rest(limit: &mut Pin<Box<dyn Sleep>>) {
        poll_fn(|cx| {
            assert!(limit.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
    }
}
