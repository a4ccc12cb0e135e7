//! What a failed command says of its connection.

use crate::error::one_line;
use redis::{ErrorKind, RedisError};
use std::time::Duration;

/// The longest text of a server in a message or a log, in bytes.
const LONGEST_TEXT: usize = 500;

/// The pause before a command is sent again that a server does not run yet.
pub(crate) const NOT_YET: Duration = Duration::from_millis(50);

/// Why a command failed that the current primary would run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandFault {
    /// The connection broke: the command may have run.
    Broken,
    /// The connection leads to a server that is not the primary, and did not run the command.
    Moved,
    /// The server did not run the command, because a failover or the move of a slot is under way,
    /// or because it loads its data or runs a long script.
    NotYet,
}

impl CommandFault {
    /// Returns the fault, unless the command itself was refused.
    pub(super) fn of(error: &RedisError) -> Option<Self> {
        match refusal_code(error).as_deref() {
            Some("MOVED" | "READONLY" | "UNBLOCKED") => Some(Self::Moved),
            Some("ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "LOADING" | "BUSY") => {
                Some(Self::NotYet)
            }
            Some(_) => None,
            // A protocol error ends the connection by itself.
            None if is_malformed_reply(error) => None,
            None => {
                let is_broken = error.is_io_error()
                    || error.is_connection_dropped()
                    || error.is_unrecoverable_error();
                is_broken.then_some(Self::Broken)
            }
        }
    }
}

/// Returns the code with which the server refused a command: of a pipeline the first one, of a
/// script the command in it.
pub(crate) fn refusal_code(error: &RedisError) -> Option<String> {
    // Redis 6 reports what a script was refused as an error of the script.
    const IN_SCRIPTS: [&str; 3] = ["READONLY", "OOM", "MISCONF"];
    let code = match error.code() {
        Some(code) => code.to_owned(),
        // The redis crate returns no code of a pipeline that it does not know itself.
        None => {
            let errors = error.clone().into_server_errors()?;
            errors.first()?.1.code().to_owned()
        }
    };
    let text = error.to_string();
    let inner = IN_SCRIPTS
        .into_iter()
        .find(|inner| text.contains(&format!("-{inner} ")));
    Some(inner.map_or(code, str::to_owned))
}

/// Returns why Redis refused a command and the remedy, as far as the error shows them; this follows
/// "Redis refused …".
pub(crate) fn remedy(error: &RedisError) -> Option<&'static str> {
    remedy_by(refusal_code(error).as_deref(), &error.to_string())
}

/// Returns the same for an error that a script has returned as text.
pub(crate) fn remedy_of(reply: &str) -> Option<&'static str> {
    remedy_by(reply.split_whitespace().next(), reply)
}

fn remedy_by(code: Option<&str>, text: &str) -> Option<&'static str> {
    // A script may not run a command: the code is that of the script's error.
    let is_denied = code == Some("NOPERM")
        || ["NOPERM", "ACL", "can't run this command"]
            .iter()
            .any(|part| text.contains(part));
    match code {
        Some("OOM") => Some(" because it has reached its `maxmemory`; raise it, or delete keys"),
        Some("MISCONF") => Some(" because it cannot save its data; its log says why"),
        Some("WRONGTYPE") => Some(" because another program has written its key; delete the key"),
        _ if is_denied => Some("; check the user's ACL"),
        _ => None,
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
/// decoder has several. A long one, which a server may send, is cut.
pub(crate) fn error_text(error: &RedisError) -> String {
    short_line(&error.to_string())
}

/// Returns a text that a server has sent for a message or a log, in one line and cut if it is long.
pub(crate) fn short_line(text: &str) -> String {
    let mut line = one_line(text).into_owned();
    if line.len() > LONGEST_TEXT {
        line.truncate(line.floor_char_boundary(LONGEST_TEXT));
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};
    use std::future::ready;

    #[test]
    fn a_refusal_names_its_cause() {
        const OUT_OF_MEMORY: &str = "ERR Error running script: @user_script:9: -OOM not allowed";
        const DENIED: &str = "ERR The user executing the script can't run this command";
        for (reply, expected) in [
            ("OOM command not allowed", Some("`maxmemory`")),
            (OUT_OF_MEMORY, Some("`maxmemory`")),
            ("MISCONF Redis is configured to save", Some("cannot save")),
            ("NOPERM User shop has no permissions", Some("ACL")),
            (DENIED, Some("ACL")),
            ("WRONGTYPE Operation against a key", Some("delete the key")),
            ("NOREPLICAS Not enough good replicas to write.", None),
            ("ERR unknown command", None),
        ] {
            let reply = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes());
            let error = reply.unwrap().extract_error().unwrap_err();

            let remedy = remedy(&error);

            match (remedy, expected) {
                (Some(remedy), Some(part)) => assert!(remedy.contains(part), "{error}: {remedy}"),
                (remedy, expected) => assert_eq!(remedy, expected, "{error}"),
            }
        }
    }

    #[test]
    fn a_refusal_that_a_script_returns_names_its_cause() {
        for (reply, expected) in [
            ("OOM command not allowed", Some("`maxmemory`")),
            ("NOPERM User shop has no permissions", Some("ACL")),
            ("ERR unknown command", None),
            ("", None),
        ] {
            let remedy = remedy_of(reply);
            let names = |part| remedy.is_some_and(|remedy: &str| remedy.contains(part));
            assert_eq!(expected.is_some(), remedy.is_some(), "{reply}");
            assert!(expected.is_none_or(names), "{reply}: {remedy:?}");
        }
    }

    /// A connection that replies so to each command.
    struct Refusing(Value);

    impl ConnectionLike for Refusing {
        fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
            Box::pin(ready(Ok(self.0.clone())))
        }

        fn req_packed_commands<'a>(
            &'a mut self,
            _: &'a Pipeline,
            _: usize,
            count: usize,
        ) -> RedisFuture<'a, Vec<Value>> {
            Box::pin(ready(Ok(vec![self.0.clone(); count])))
        }

        fn get_db(&self) -> i64 {
            0
        }
    }

    #[tokio::test]
    async fn the_code_of_a_refusal_says_what_is_wrong_with_the_server_also_in_a_pipeline() {
        const BUSY: &str = "BUSY Redis is busy running a script.";
        const LOADING: &str = "LOADING Redis is loading the dataset in memory";
        const IN_SCRIPT: &str =
            "ERR Error running script: @user_script:1: -READONLY You can't write";
        for (reply, fault) in [
            (BUSY, Some(CommandFault::NotYet)),
            (LOADING, Some(CommandFault::NotYet)),
            ("TRYAGAIN Multiple keys", Some(CommandFault::NotYet)),
            (
                "UNBLOCKED the instance state changed",
                Some(CommandFault::Moved),
            ),
            ("READONLY You can't write", Some(CommandFault::Moved)),
            (IN_SCRIPT, Some(CommandFault::Moved)),
            ("OOM command not allowed", None),
            ("BUSYGROUP Consumer Group name already exists", None),
            ("ERR unknown", None),
        ] {
            let reply = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes());
            let mut connection = Refusing(reply.unwrap());
            let (ping, mut pipe) = (redis::cmd("PING"), redis::pipe());
            pipe.add_command(ping.clone()).add_command(ping.clone());

            let refused = [
                ping.exec_async(&mut connection).await,
                pipe.exec_async(&mut connection).await,
            ];

            for error in refused.map(Result::unwrap_err) {
                assert_eq!(CommandFault::of(&error), fault, "{error}");
            }
        }
    }

    #[test]
    fn a_long_error_of_a_server_is_cut() {
        let reply = format!("-ERR {}\r\n", "é".repeat(5_000));
        let error = redis::parse_redis_value(reply.as_bytes()).unwrap();
        let error = error.extract_error().unwrap_err();

        let text = error_text(&error);

        assert!(text.len() <= LONGEST_TEXT + '…'.len_utf8(), "{text}");
        assert!(text.ends_with("é…"), "{text}");
    }

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
