//! When to ping a silent client and when to give it up: a rule without a clock.

/// What to do at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// It was heard since the last tick: look again after an interval.
    Rest,
    /// It was silent: ping it, look again after the time-out.
    Ping,
    /// It did not even answer a ping.
    GiveUp,
}

/// Whether a client is still there. Anything heard counts: whoever talks needs no ping.
///
/// Two flags instead of a clock: a busy connection pays nothing for its heartbeat but one tick per interval.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    heard: bool,
    pinged: bool,
}

impl Pulse {
    /// Notes that something came from the client.
    pub(crate) fn heard(&mut self) {
        self.heard = true;
    }

    /// Notes that what came proves nothing: the client takes nothing of what it is owed.
    pub(crate) fn disregard(&mut self) {
        self.heard = false;
    }

    /// An interval, or after a ping the time-out, has passed.
    pub(crate) fn tick(&mut self) -> Beat {
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
