//! The time between two connections: what the attempts to connect show of the server that was lost.

use super::{
    connect_error::Cause,
    state::{Down, Loss, Server, are_two_runs},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// If nothing listens at the address within this time after the end of a connection, the server has
/// ended with it. While a server shuts down, its kernel may still accept connections and close
/// them.
const ENDING: Duration = Duration::from_millis(250);

/// How long a run of Redis may last without being noticed by a process that reconnects.
pub(crate) const LONGEST_UNSEEN: Duration = Duration::from_millis(350);

/// The time since a connection was lost.
pub(super) struct Downtime {
    loss: Loss,
    ended_at: Instant,
    /// Whether the server closed the connection, and this process had read all that it sent: then
    /// the server may have ended with it.
    may_have_ended: bool,
    /// Whether the server closed the connection.
    is_closed: bool,
    /// Whether an attempt has shown what happened to the server.
    is_known: bool,
    /// When no run of Redis was there last.
    absent_at: Instant,
}

/// A new connection, as far as it shows something of the previous one.
pub(super) struct Reconnected<'a> {
    pub(super) address: &'a str,
    pub(super) run_id: Option<&'a str>,
    pub(super) opened_at: Instant,
    /// For how long the server was left unused on purpose.
    pub(super) waited: Duration,
}

impl Downtime {
    /// `had_backlog`: when a server ends, data that it had not written yet is lost.
    pub(super) fn new(loss: Loss, is_closed: bool, had_backlog: bool, ended_at: Instant) -> Self {
        Self {
            loss,
            ended_at,
            may_have_ended: is_closed && !had_backlog,
            is_closed,
            is_known: false,
            absent_at: ended_at,
        }
    }

    /// Returns what is known of the lost connection so far.
    pub(super) fn loss(&self) -> &Loss {
        &self.loss
    }

    /// Returns the address of the lost connection.
    pub(super) fn address(&self) -> &str {
        &self.loss.address
    }

    /// Returns the state of the link, which has no connection for this reason.
    pub(super) fn state(&self, why: &Arc<str>) -> Down {
        Down {
            loss: self.loss.clone(),
            is_known: self.is_known,
            why: why.clone(),
        }
    }

    /// Handles an attempt that began at `started_at` and failed; returns whether it shows nothing,
    /// because the server may be shutting down: then the next one follows soon. `is_same`: at the
    /// address of the lost connection.
    pub(super) fn refused(
        &mut self,
        cause: Cause,
        is_same: bool,
        started_at: Instant,
        now: Instant,
    ) -> bool {
        // Another response after the end is that of a run that is not there for this process.
        self.loss.may_hide_a_run |= now.duration_since(self.absent_at) > LONGEST_UNSEEN
            || self.is_known && cause != Cause::NothingListens;
        self.absent_at = started_at;
        if self.is_known {
            return false;
        }
        let is_soon = self.is_soon(now);
        match cause {
            Cause::ClosedEarly if is_soon && self.is_closed => return true,
            Cause::NothingListens if is_soon && self.may_have_ended && is_same => {
                self.loss.server = Server::Ended;
            }
            _ => {}
        }
        self.is_known = true;
        false
    }

    /// Handles the next connection; returns how the previous one was lost.
    pub(super) fn reconnected(mut self, next: &Reconnected<'_>, now: Instant) -> Loss {
        let unseen = next.opened_at.duration_since(self.absent_at);
        self.loss.may_hide_a_run |= unseen > LONGEST_UNSEEN + next.waited;
        if !self.is_known
            && self.may_have_ended
            && self.is_soon(now)
            && *next.address == *self.loss.address
            && are_two_runs(next.run_id, self.loss.run_id.as_deref())
        {
            self.loss.server = Server::Ended;
        }
        self.loss
    }

    fn is_soon(&self, now: Instant) -> bool {
        now.duration_since(self.ended_at) < ENDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "10.0.0.1:6379";

    fn lost(is_closed: bool, had_backlog: bool, at: Instant) -> Downtime {
        let loss = Loss {
            generation: 1,
            address: SERVER.into(),
            run_id: Some("a".into()),
            client: None,
            last_received: at,
            server: Server::MayHaveContinued,
            is_left: false,
            may_hide_a_run: false,
        };
        Downtime::new(loss, is_closed, had_backlog, at)
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_server_has_ended_if_nothing_listens_right_after_it_closed_the_connection() {
        let start = Instant::now();
        for (is_closed, had_backlog, cause, is_same, after, has_ended) in [
            (true, false, Cause::NothingListens, true, 10, true),
            (false, false, Cause::NothingListens, true, 10, false),
            (true, true, Cause::NothingListens, true, 10, false),
            (true, false, Cause::NothingListens, false, 10, false),
            (true, false, Cause::NothingListens, true, 300, false),
            (true, false, Cause::Unreachable, true, 10, false),
        ] {
            let mut downtime = lost(is_closed, had_backlog, start);

            let is_repeated = downtime.refused(cause, is_same, start, start + ms(after));

            assert!(!is_repeated);
            let server = downtime.state(&"".into()).loss.server;
            let why = (is_closed, had_backlog, cause, is_same, after);
            assert_eq!(server == Server::Ended, has_ended, "{why:?}");
        }
    }

    #[test]
    fn a_server_that_shuts_down_is_tried_again_until_it_is_known_to_have_ended() {
        let start = Instant::now();
        let mut downtime = lost(true, false, start);

        for after in [1, 20] {
            assert!(downtime.refused(Cause::ClosedEarly, true, start, start + ms(after)));
        }
        assert!(!downtime.refused(Cause::NothingListens, true, start, start + ms(40)));

        let state = downtime.state(&"".into());
        assert!(state.is_known);
        assert_eq!(state.loss.server, Server::Ended);
        assert!(!state.loss.may_hide_a_run);
    }

    #[test]
    fn another_run_at_the_same_address_shows_that_the_server_has_ended() {
        let start = Instant::now();
        for (address, run_id, after, has_ended) in [
            (SERVER, Some("b"), 100, true),
            (SERVER, Some("a"), 100, false),
            (SERVER, None, 100, false),
            ("10.0.0.2:6379", Some("b"), 100, false),
            (SERVER, Some("b"), 300, false),
        ] {
            let next = Reconnected {
                address,
                run_id,
                opened_at: start + ms(after),
                waited: Duration::ZERO,
            };

            let loss = lost(true, false, start).reconnected(&next, start + ms(after));

            assert_eq!(
                loss.server == Server::Ended,
                has_ended,
                "{address} {run_id:?} {after}"
            );
            assert!(!loss.may_hide_a_run);
        }
    }

    #[test]
    fn a_run_of_redis_may_have_come_and_gone_in_a_time_without_attempts() {
        let start = Instant::now();
        for (after, waited, may_hide) in [(300, 0, false), (400, 0, true), (400, 100, false)] {
            let next = Reconnected {
                address: SERVER,
                run_id: Some("b"),
                opened_at: start + ms(after),
                waited: ms(waited),
            };

            let loss = lost(true, false, start).reconnected(&next, start + ms(after));

            assert_eq!(loss.may_hide_a_run, may_hide, "{after} {waited}");
        }

        let mut downtime = lost(true, false, start);
        downtime.refused(Cause::NothingListens, true, start, start + ms(10));
        downtime.refused(Cause::Unreachable, true, start + ms(20), start + ms(30));
        let state = downtime.state(&"".into());
        assert!(state.loss.may_hide_a_run, "a run responded in between");
    }
}
