//! The heartbeat of a WebSocket: when to ping a silent client and when to disconnect it, without a
//! clock.

/// The action at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// The client has sent something since the last tick: check again after an interval.
    Rest,
    /// The client was silent: send a ping, and check again after the timeout.
    Ping,
    /// The client did not respond to the ping: disconnect it.
    GiveUp,
}

/// Whether a client is still connected. Any received data counts, so a client that sends needs no
/// ping.
///
/// It has two flags instead of a clock: for a busy connection the heartbeat costs one tick per
/// interval.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    heard: bool,
    pinged: bool,
}

impl Pulse {
    /// Records that data was received from the client.
    pub(super) fn heard(&mut self) {
        self.heard = true;
    }

    /// Discards what was recorded: the client sends data, but does not read what is sent to it.
    pub(super) fn disregard(&mut self) {
        self.heard = false;
    }

    /// Returns the action after an interval, or after the timeout of a ping, has passed.
    pub(super) fn tick(&mut self) -> Beat {
        let heard = std::mem::take(&mut self.heard);
        match (heard, self.pinged) {
            (true, _) => {
                self.pinged = false;
                Beat::Rest
            }
            (false, false) => {
                self.pinged = true;
                Beat::Ping
            }
            (false, true) => Beat::GiveUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_client_is_pinged_and_then_given_up() {
        let mut pulse = Pulse::default();

        assert_eq!(pulse.tick(), Beat::Ping);
        assert_eq!(pulse.tick(), Beat::GiveUp);
    }

    #[test]
    fn a_client_that_answers_stays() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.tick(), Beat::Ping);

        pulse.heard();

        assert_eq!(pulse.tick(), Beat::Rest);
        assert_eq!(pulse.tick(), Beat::Ping);
    }
}
