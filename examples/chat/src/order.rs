//! Nothing twice and nothing left out: what a socket does about a message that it hears.

/// What to do about a message.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// The client has it already.
    Known,
    /// It is the next one: send it.
    Next,
    /// Something before it has not come, or not yet: read from the database what is missing.
    Gap,
}

/// `sent` is the last id that the client was sent, and it has all of the room up to there; `previous` is the id before
/// `id` in the room.
///
/// From two processes a later message may come before an earlier one. The gap is then read at once, and the earlier
/// one is known when it comes.
pub fn step(sent: i64, previous: i64, id: i64) -> Step {
    if id <= sent {
        Step::Known
    } else if previous <= sent {
        Step::Next
    } else {
        Step::Gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_comes_once_and_in_order() {
        for (sent, previous, id, expected) in [
            (0, 0, 1, Step::Next),
            (4, 4, 7, Step::Next),
            (7, 4, 7, Step::Known),
            (7, 2, 4, Step::Known),
            (4, 7, 9, Step::Gap),
            (0, 7, 9, Step::Gap),
        ] {
            assert_eq!(step(sent, previous, id), expected, "{sent} {previous} {id}");
        }
    }
}
