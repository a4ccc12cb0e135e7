//! The heartbeat of a WebSocket: when to ping a silent client and when to disconnect it, without a
//! clock.

/// The action at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeartbeatAction {
    /// The client has sent something since the last tick: check again after an interval.
    Wait,
    /// The client was silent: send a ping, and check again after the timeout.
    Ping,
    /// The client did not respond to the ping: disconnect it.
    Disconnect,
}

/// Whether a client is still connected. Any received data counts, so a client that sends needs no
/// ping.
///
/// It has two flags instead of a clock: for a busy connection the heartbeat costs one tick per
/// interval.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    has_received: bool,
    pinged: bool,
}

impl Liveness {
    /// Records that data was received from the client.
    pub(super) fn received(&mut self) {
        self.has_received = true;
    }

    /// Discards what was recorded: the client sends data, but does not read what is sent to it.
    pub(super) fn disregard(&mut self) {
        self.has_received = false;
    }

    /// Returns the action after an interval in which nothing was read, so that silence proves
    /// nothing: a ping, to which no response is expected.
    pub(super) fn ping_unheard(&mut self) -> HeartbeatAction {
        *self = Self::default();
        HeartbeatAction::Ping
    }

    /// Returns the action after an interval, or after the timeout of a ping, has passed.
    pub(super) fn tick(&mut self) -> HeartbeatAction {
        let has_received = std::mem::take(&mut self.has_received);
        match (has_received, self.pinged) {
            (true, _) => {
                self.pinged = false;
                HeartbeatAction::Wait
            }
            (false, false) => {
                self.pinged = true;
                HeartbeatAction::Ping
            }
            (false, true) => HeartbeatAction::Disconnect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_pinged_and_then_given_up() {
        let mut liveness = Liveness::default();

        assert_eq!(liveness.tick(), HeartbeatAction::Ping);
        assert_eq!(liveness.tick(), HeartbeatAction::Disconnect);
    }

    #[test]
    fn a_client_that_responds_stays_connected() {
        let mut liveness = Liveness::default();
        assert_eq!(liveness.tick(), HeartbeatAction::Ping);

        liveness.received();

        assert_eq!(liveness.tick(), HeartbeatAction::Wait);
        assert_eq!(liveness.tick(), HeartbeatAction::Ping);
    }

    #[test]
    fn a_client_that_is_not_read_from_is_pinged_and_not_given_up() {
        let mut liveness = Liveness::default();

        assert_eq!(liveness.tick(), HeartbeatAction::Ping);
        assert_eq!(liveness.ping_unheard(), HeartbeatAction::Ping);
        assert_eq!(liveness.ping_unheard(), HeartbeatAction::Ping);

        assert_eq!(liveness.tick(), HeartbeatAction::Ping);
        assert_eq!(liveness.tick(), HeartbeatAction::Disconnect);
    }
}
