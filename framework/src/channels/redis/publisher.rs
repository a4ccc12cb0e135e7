//! Publishing: waits while Redis is unavailable, and sends an event again only if Redis has ended
//! before it delivered the event to this process.

use super::{
    received::{Evidence, Received},
    restart,
    subscriptions::{Status, Subscriptions, is_broken},
};
use crate::{
    channels::Envelope,
    error::{Error, ErrorKind, Result},
    redis_link::{Link, Server, Up, are_two_runs},
};
use redis::RedisError;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The sender of events to Redis.
pub(super) struct Publisher {
    pub(super) link: Link,
    pub(super) subscriber: Arc<Link>,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) received: Arc<Received>,
    pub(super) timeout: Duration,
}

/// What happened to an event whose connection broke before Redis acknowledged it.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    NotPublished,
    Unknown,
}

impl Fate {
    /// Returns what happened to an event that was sent to a Redis that has ended.
    fn after_the_end(evidence: Evidence, is_subscribed_here: bool) -> Self {
        match evidence {
            Evidence::NotReceived if is_subscribed_here => Self::NotPublished,
            // An equal event that was received may be that of another sender.
            Evidence::Received | Evidence::NotReceived | Evidence::Forgotten => Self::Unknown,
        }
    }
}

impl Publisher {
    /// Publishes an event, and waits until Redis has acknowledged it.
    ///
    /// While Redis is unavailable it waits, up to the timeout. An event whose connection broke is
    /// sent again only if it is certain that Redis did not deliver it: Redis has ended, and this
    /// process, which is subscribed to the channel (`is_subscribed_here`), has not received it.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if it was not sent, [`ErrorKind::Unconfirmed`] if it may have been.
    pub(super) async fn publish(
        &self,
        channel: &str,
        envelope: &Envelope,
        is_subscribed_here: bool,
    ) -> Result<()> {
        let deadline = deadline_after(self.timeout);
        loop {
            let ready = timeout_at(deadline, self.ready()).await;
            let (mut up, subscribed_on) = ready.map_err(|_| self.not_sent())?;
            let received_before = self.received.count();
            let mut command = redis::cmd("PUBLISH");
            command.arg(channel).arg(&envelope.as_bytes()[..]);
            let publishing = command.exec_async(&mut up.connection);
            let error = match timeout_at(deadline, publishing).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) if is_broken(&error) => error,
                Ok(Err(error)) => {
                    let message = "Redis refused to publish an event";
                    return Err(Error::new(ErrorKind::Layer, message).with_source(error));
                }
                Err(_) => return Err(self.unconfirmed(None)),
            };
            let fate = async {
                let ended = [
                    self.link.lost(up.generation).await,
                    self.subscriber.lost(subscribed_on).await,
                ];
                if ended != [Server::Ended; 2] {
                    return Fate::Unknown;
                }
                let payload = envelope.as_bytes();
                let received = &self.received;
                let evidence = received.take_after(received_before, channel.as_bytes(), payload);
                Fate::after_the_end(evidence, is_subscribed_here)
            };
            match timeout_at(deadline, fate).await {
                Ok(Fate::NotPublished) => {}
                Ok(Fate::Unknown) | Err(_) => return Err(self.unconfirmed(Some(error))),
            }
        }
    }

    /// Waits until events can be sent and reach all subscribers: this process has its own
    /// subscriptions, and after a restart of Redis the others have had time for theirs. Returns the
    /// connection, and the number of the subscriptions' connection.
    async fn ready(&self) -> (Up, u64) {
        loop {
            let up = self.link.up().await;
            let settled = async {
                let subscribed_on = self.subscriptions.restored_on(up.run_id.as_deref()).await;
                if let Some(at) = restart::settles_at(&up)
                    && at > Instant::now()
                {
                    sleep_until(at).await;
                }
                subscribed_on
            };
            tokio::select! {
                biased;
                subscribed_on = settled => return (up, subscribed_on),
                () = self.link.left(up.generation) => {}
            }
        }
    }

    /// Returns `Ok` if events can currently be sent and received. It does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] with the reason if not.
    pub(super) fn health(&self) -> Result<()> {
        let up = self.link.current()?;
        let why = match self.subscriptions.status() {
            Status::Interrupted(why) | Status::Refused(why) => {
                format!("this process is not subscribed: {why}")
            }
            Status::Restored { run_id, .. }
                if are_two_runs(run_id.as_deref(), up.run_id.as_deref()) =>
            {
                "its two connections lead to two Redis servers: the address must lead to one"
                    .to_owned()
            }
            Status::Restored { .. } => return Ok(()),
        };
        Err(Error::new(ErrorKind::Layer, why))
    }

    fn not_sent(&self) -> Error {
        let seconds = self.timeout.as_secs_f32();
        let why = match self.health() {
            Err(error) => error.to_string(),
            Ok(()) => "Redis has only just become available again".to_owned(),
        };
        let message = format!("an event was not sent within {seconds} s: {why}");
        Error::new(ErrorKind::Layer, message)
    }

    fn unconfirmed(&self, source: Option<RedisError>) -> Error {
        let message = match source {
            Some(_) => "it is not known whether an event was sent: the connection to Redis broke before the acknowledgement".to_owned(),
            None => format!(
                "it is not known whether an event was sent: Redis has not acknowledged it within {} s",
                self.timeout.as_secs_f32()
            ),
        };
        let error = Error::new(ErrorKind::Unconfirmed, message);
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// Returns a deadline; one that the clock cannot represent is 30 years away.
pub(super) fn deadline_after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit)
        .unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_event_that_was_received_confirms_nothing() {
        for (evidence, is_subscribed_here, expected) in [
            (Evidence::Received, true, Fate::Unknown),
            (Evidence::Received, false, Fate::Unknown),
            (Evidence::NotReceived, true, Fate::NotPublished),
            (Evidence::NotReceived, false, Fate::Unknown),
            (Evidence::Forgotten, true, Fate::Unknown),
        ] {
            assert_eq!(Fate::after_the_end(evidence, is_subscribed_here), expected);
        }
    }
}
