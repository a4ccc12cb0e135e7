//! What a failed command says of its connection.

use crate::error::one_line;
use redis::{ErrorKind, RedisError};

/// Why a command failed that the current primary would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandFault {
    /// The connection broke: the command may have run.
    Broken,
    /// The connection leads to a server that is not the primary, and did not run the command.
    Moved,
    /// The server did not run the command, because a fail-over or the move of a slot is under way.
    NotYet,
}

impl CommandFault {
    /// Returns the fault, unless the command itself was refused.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        match error.code() {
            Some("MOVED" | "READONLY" | "UNBLOCKED") => Some(Self::Moved),
            Some("ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN") => Some(Self::NotYet),
            // Redis 6 reports what a script was refused as an error of the script.
            Some(_) if error.to_string().contains("-READONLY") => Some(Self::Moved),
            // A protocol error ends the connection by itself.
            _ if is_malformed_reply(error) => None,
            _ => {
                let is_broken = error.is_io_error()
                    || error.is_connection_dropped()
                    || error.is_unrecoverable_error();
                is_broken.then_some(Self::Broken)
            }
        }
    }
}

/// Returns whether the reply does not fit its command. Either a proxy has lost or added
/// one, and so later replies belong to other commands, too; or another program has changed a key.
pub(crate) fn is_malformed_reply(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType
    )
}

/// Returns the text of an error for a message or a log, in one line: that of the redis crate's
/// decoder has several.
pub(crate) fn error_text(error: &RedisError) -> String {
    one_line(&error.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_decoder_is_one_line() {
        for stream in ["x\r\n", ":x\r\n", "#x\r\n"] {
            let error = redis::parse_redis_value(stream.as_bytes()).expect_err(stream);
            assert!(error.to_string().contains('\n'), "{error}");

            let text = error_text(&error);

            assert!(!text.contains('\n'), "{text}");
            assert!(text.contains("Parse error at "), "{text}");
        }
    }
}
