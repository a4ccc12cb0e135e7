//! Scripts that Redis runs in one step: named by their hash, and sent only if Redis does not know
//! them.

use redis::{Cmd, FromRedisValue, RedisResult, ToRedisArgs, aio::MultiplexedConnection};
use sha1::{Digest, Sha1};

/// A script, and the hash by which Redis knows it.
pub(super) struct Script {
    text: String,
    hash: String,
}

impl Script {
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let digest = Sha1::digest(&text);
        let hash = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, hash }
    }

    /// Returns a call, to which this many keys are to be added, and then the arguments.
    pub(super) fn call(&'static self, keys: usize) -> ScriptCall {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hash).arg(keys);
        ScriptCall {
            script: self,
            command,
        }
    }
}

/// A call of a script.
pub(super) struct ScriptCall {
    script: &'static Script,
    command: Cmd,
}

impl ScriptCall {
    /// Adds one key or argument, or those of a slice.
    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.command.arg(argument);
        self
    }

    pub(super) async fn query_async<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        match self.command.query_async(connection).await {
            Err(error) if error.code() == Some("NOSCRIPT") => {
                self.with_text().query_async(connection).await
            }
            outcome => outcome,
        }
    }

    /// Returns the same call with the text of the script.
    fn with_text(&self) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(&self.script.text);
        for argument in self.command.args_iter().skip(2) {
            if let redis::Arg::Simple(argument) = argument {
                command.arg(argument);
            }
        }
        command
    }
}
