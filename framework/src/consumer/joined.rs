//! A consumer that may be in groups: it leaves them, and then its `disconnect` runs.

use super::disconnect_guard::{DisconnectGuard, Disconnects};
use crate::{channels::Departure, error::Result};
use std::future::Future;

/// A consumer with its connection, which makes it a member of its groups.
///
/// However the connection ends, the groups are left before `disconnect` runs: what it sends to them
/// reaches the remaining members.
pub(super) struct Joined<M: GroupMember, C: Disconnects> {
    // Dropped in this order.
    pub(super) connection: M,
    pub(super) consumer: DisconnectGuard<C>,
}

/// The part of a connection whose drop leaves the groups.
pub(super) trait GroupMember {
    /// What remains of the connection.
    type Rest;

    /// Leaves the groups. Returns what the end of the connection waits for, too.
    fn leave(self) -> (Departure, Self::Rest);
}

impl<M: GroupMember, C: Disconnects> Joined<M, C> {
    /// Continues with the next stage of the connection and of the consumer.
    pub(super) fn map<N: GroupMember, D: Disconnects>(
        self,
        next: impl FnOnce(M, C) -> (N, D),
    ) -> Joined<N, D> {
        let Self {
            connection,
            consumer,
        } = self;
        let (connection, consumer) = consumer.map(|consumer| next(connection, consumer));
        Joined {
            connection,
            consumer,
        }
    }

    /// Leaves the groups, closes the connection, which returns how it ended, and runs `disconnect`,
    /// whose failure is returned.
    ///
    /// # Cancel safety
    /// Safe: `disconnect` then runs in a separate task.
    pub(super) async fn end<F>(self, close: impl FnOnce(M::Rest) -> F) -> Result<()>
    where
        F: Future<Output = C::End>,
    {
        // The guard is declared first, so that it is dropped last.
        let consumer = self.consumer;
        let (departure, rest) = self.connection.leave();
        let end = close(rest).await;
        let outcome = consumer.disconnect(end).await;
        // A server that stops waits for its connections, and so others learn that people have left.
        if let Some(departure) = departure {
            departure.await;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::disconnect_guard::{ConnectionEnd, DisconnectHook},
        *,
    };
    use std::{
        future::ready,
        pin::pin,
        sync::{Arc, Mutex},
        task::{Context, Waker},
    };

    type Log = Arc<Mutex<Vec<&'static str>>>;

    struct Groups(Log);

    impl Drop for Groups {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("left");
        }
    }

    impl GroupMember for Groups {
        type Rest = ();

        fn leave(self) -> (Departure, ()) {
            let log = self.0.clone();
            let departure = async move { log.lock().unwrap().push("departed") };
            (Some(Box::pin(departure)), ())
        }
    }

    struct TestedConsumer(Log);

    struct TestedEnd;

    impl ConnectionEnd for TestedEnd {
        fn dropped() -> Self {
            Self
        }
    }

    impl Disconnects for TestedConsumer {
        type End = TestedEnd;

        fn disconnect(self, _: TestedEnd) -> DisconnectHook {
            self.0.lock().unwrap().push("disconnect");
            Box::pin(ready(Ok(())))
        }
    }

    fn joined(log: &Log) -> Joined<Groups, TestedConsumer> {
        Joined {
            connection: Groups(log.clone()),
            consumer: DisconnectGuard::new(TestedConsumer(log.clone()), None),
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_dropped_leaves_its_groups_before_disconnect() {
        let log = Log::default();

        drop(joined(&log));

        assert_eq!(*log.lock().unwrap(), ["left", "disconnect"]);
    }

    #[tokio::test]
    async fn a_connection_that_ends_leaves_its_groups_first_and_waits_for_its_departure_last() {
        let log = Log::default();

        let close = |()| async {
            log.lock().unwrap().push("closed");
            TestedEnd
        };
        joined(&log).end(close).await.unwrap();

        let expected = ["left", "closed", "disconnect", "departed"];
        assert_eq!(*log.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn a_connection_that_is_dropped_while_it_closes_still_disconnects() {
        let log = Log::default();

        {
            let mut ending = pin!(joined(&log).end(|()| std::future::pending()));
            let pending = ending
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()));
            assert!(pending.is_pending());
            assert_eq!(*log.lock().unwrap(), ["left"]);
        }

        assert_eq!(*log.lock().unwrap(), ["left", "disconnect"]);
    }
}
