//! Sending: waits while Redis is unavailable, and sends an event again only if Redis has ended
//! before it delivered the event to this process.

use super::{
    readiness::{Readiness, Status},
    received::{Evidence, ReceivedLog},
    restart,
};
use crate::{
    channels::queues::deadline_after,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    redis_link::{CommandFault, Link, NOT_YET, Server, Up, are_two_runs, error_text, remedy},
};
use redis::{RedisError, RedisResult};
use std::{
    fmt,
    future::{Future, pending},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep_until, timeout_at};

/// The sender of events to Redis.
pub(super) struct Publisher {
    pub(super) link: Arc<Link>,
    /// The link on which this process receives.
    pub(super) receiver: Arc<Link>,
    /// Whether this process receives events.
    pub(super) readiness: Arc<Readiness>,
    /// Whether Redis knows what this process subscribes to; it receives no events before.
    pub(super) subscriptions: Arc<Readiness>,
    pub(super) received: Arc<ReceivedLog>,
    pub(super) timeout: Duration,
}

/// A command that sends an event, or a query before it.
pub(super) trait Command: Sync {
    /// What it is for, as errors name it.
    const PURPOSE: Purpose;
    type Reply: Send;

    /// Sends the command once.
    fn send(&self, up: &mut Up) -> impl Future<Output = RedisResult<Self::Reply>> + Send;

    /// Returns what happened to the event, if its connection broke before Redis replied and Redis
    /// has ended; `since` is the number of events received before it was sent.
    fn fate(&self, received: &ReceivedLog, since: u64) -> Fate;
}

/// What a command is for: "Redis refused to read a topic", "a topic was not read".
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    pub(super) verb: &'static str,
    pub(super) participle: &'static str,
    pub(super) object: &'static str,
}

impl Purpose {
    pub(super) const SEND_EVENT: Self = Self {
        verb: "send",
        participle: "sent",
        object: "an event",
    };

    /// Returns the purpose of a query for this object.
    pub(super) const fn read(object: &'static str) -> Self {
        Self {
            verb: "read",
            participle: "read",
            object,
        }
    }

    fn unknown_outcome(self, why: impl fmt::Display) -> String {
        let Self {
            participle, object, ..
        } = self;
        format!("it is not known whether {object} was {participle}: {why}")
    }
}

/// What happened to an event whose connection broke before Redis acknowledged it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    NotSent,
    Unknown,
}

impl Fate {
    /// Returns what happened to an event that was sent to a Redis that has ended.
    /// `is_subscribed_here`: this process would have received it.
    pub(super) fn after_the_end(evidence: Evidence, is_subscribed_here: bool) -> Self {
        match evidence {
            Evidence::NotReceived if is_subscribed_here => Self::NotSent,
            // An equal event that was received may be that of another sender.
            Evidence::Received | Evidence::NotReceived | Evidence::TooOld => Self::Unknown,
        }
    }
}

impl Publisher {
    /// Sends a command, and waits until Redis has replied.
    ///
    /// While Redis is unavailable it waits, until the deadline. A command whose connection broke is
    /// sent again only if it is certain that Redis did not deliver the event: Redis has ended, and
    /// the command says so. One that a server refused because another one is the primary, or
    /// because a failover is under way, is sent again.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if it was not sent, [`ErrorKind::Unconfirmed`] if it may have been.
    pub(super) async fn send<C: Command>(
        &self,
        command: &C,
        deadline: Instant,
    ) -> Result<C::Reply> {
        let mut refused = None;
        loop {
            if refused.is_some() && Instant::now() >= deadline {
                return Err(self.expired(C::PURPOSE, refused));
            }
            let ready = timeout_at(deadline, self.ready()).await;
            let (mut up, receives_on) =
                ready.map_err(|_| self.expired(C::PURPOSE, refused.take()))?;
            let received_before = self.received.count();
            let sending = command.send(&mut up);
            let error = match timeout_at(deadline, sending).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(error)) => error,
                Err(_) => return Err(self.unconfirmed(C::PURPOSE, None)),
            };
            match self.link.fault(up.generation, &error) {
                Some(CommandFault::Broken) => {}
                Some(CommandFault::Moved) => {
                    refused = Some(error);
                    _ = timeout_at(deadline, self.link.left(up.generation)).await;
                    continue;
                }
                Some(CommandFault::NotYet) => {
                    refused = Some(error);
                    sleep_until(deadline.min(Instant::now() + NOT_YET)).await;
                    continue;
                }
                None if self.link.replace_if_shifted(up.generation, &error) => {
                    let why = "the reply of Redis is malformed, or that to another command";
                    let message = C::PURPOSE.unknown_outcome(why);
                    return Err(Error::new(ErrorKind::Unconfirmed, message).with_source(error));
                }
                None => {
                    let Purpose { verb, object, .. } = C::PURPOSE;
                    let remedy = remedy(&error);
                    if remedy.is_some() {
                        log_limited!(
                            warn,
                            purpose = %format_args!("{verb} {object}"),
                            reason = %error_text(&error),
                            "Redis refused a command, and will until its cause is removed"
                        );
                    }
                    let remedy = remedy.unwrap_or_default();
                    let message = format!("Redis refused to {verb} {object}{remedy}");
                    return Err(Error::new(ErrorKind::Layer, message).with_source(error));
                }
            }
            let fate = async {
                match self.has_ended(&up, receives_on).await {
                    true => command.fate(&self.received, received_before),
                    false => Fate::Unknown,
                }
            };
            match timeout_at(deadline, fate).await {
                Ok(Fate::NotSent) => {}
                Ok(Fate::Unknown) | Err(_) => return Err(self.unconfirmed(C::PURPOSE, Some(error))),
            }
        }
    }

    /// Returns whether the server of a broken connection has ended, and with it the connection on
    /// which this process receives: then all that arrived on that one has been recorded.
    ///
    /// It waits for that connection only while the server may have ended. One that this process
    /// reaches again has not, and its connection may last for hours.
    async fn has_ended(&self, broken: &Up, receives_on: u64) -> bool {
        if self.link.lost(broken.generation).await != Server::Ended {
            return false;
        }
        let is_same_run = async {
            let up = self.link.up().await;
            if !up.is_of_the_run_of(broken) {
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            server = self.receiver.lost(receives_on) => server == Server::Ended,
            () = is_same_run => false,
        }
    }

    /// Returns until when a send that starts now may wait.
    pub(super) fn deadline(&self) -> Instant {
        deadline_after(self.timeout)
    }

    /// Waits until events can be sent and reach all subscribers: this process has its own
    /// subscriptions, and after a restart or failover of Redis the others have had time for
    /// theirs. Returns the connection, and the number of the subscriptions' connection.
    async fn ready(&self) -> (Up, u64) {
        loop {
            let up = self.link.up().await;
            let settled = async {
                let receives_on = self.readiness.restored_on(up.run_id.as_deref()).await;
                restart::settled(&up).await;
                receives_on
            };
            tokio::select! {
                biased;
                receives_on = settled => return (up, receives_on),
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
        let status = match self.subscriptions.status() {
            Status::Restored { .. } => self.readiness.status(),
            interrupted => interrupted,
        };
        let why = match status {
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

    /// Returns the error at the deadline. `refused`: with which error a server refused it last.
    fn expired(&self, purpose: Purpose, refused: Option<RedisError>) -> Error {
        let seconds = self.timeout.as_secs_f32();
        let why = match self.health() {
            Err(error) => error.to_string(),
            Ok(()) if refused.is_some() => "no server runs the command".to_owned(),
            Ok(()) => "Redis has only just become available again".to_owned(),
        };
        let Purpose {
            participle, object, ..
        } = purpose;
        let message = format!("{object} was not {participle} within {seconds} s: {why}");
        let error = Error::new(ErrorKind::Layer, message);
        match refused {
            Some(refused) => error.with_source(refused),
            None => error,
        }
    }

    fn unconfirmed(&self, purpose: Purpose, source: Option<RedisError>) -> Error {
        let seconds = self.timeout.as_secs_f32();
        let why = match source {
            Some(_) => "the connection to Redis broke before the acknowledgement".to_owned(),
            None => format!("Redis has not acknowledged it within {seconds} s"),
        };
        let error = Error::new(ErrorKind::Unconfirmed, purpose.unknown_outcome(why));
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_the_command_is_for() {
        let read = Purpose::read("a topic");
        assert_eq!(
            read.unknown_outcome("why"),
            "it is not known whether a topic was read: why"
        );
    }

    #[test]
    fn an_equal_event_that_was_received_confirms_nothing() {
        for (evidence, is_subscribed_here, expected) in [
            (Evidence::Received, true, Fate::Unknown),
            (Evidence::Received, false, Fate::Unknown),
            (Evidence::NotReceived, true, Fate::NotSent),
            (Evidence::NotReceived, false, Fate::Unknown),
            (Evidence::TooOld, true, Fate::Unknown),
        ] {
            assert_eq!(Fate::after_the_end(evidence, is_subscribed_here), expected);
        }
    }
}
