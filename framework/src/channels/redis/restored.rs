//! What another run of Redis has restored into a queue, and whether it was received before.

use super::{
    received::Evidence,
    script::{Script, ScriptCall},
};
use redis::{RedisResult, aio::MultiplexedConnection};
use std::sync::LazyLock;

/// What an entry is that another run of Redis has restored from its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restored {
    /// It waited when the data was saved, and has not been received.
    Waiting,
    /// It was received after the data was saved.
    Received,
    /// It was received long ago, or has been added late by a program whose clock is behind.
    Unknown,
}

impl Restored {
    /// `newest` is the highest score received so far: an entry with a lower one is received before.
    pub(super) fn of(evidence: Evidence, score: f64, newest: f64) -> Self {
        match evidence {
            Evidence::Received => Self::Received,
            Evidence::NotReceived | Evidence::TooOld if score > newest => Self::Waiting,
            Evidence::NotReceived | Evidence::TooOld => Self::Unknown,
        }
    }
}

/// Takes entries of a queue, with their scores, until there are none or they have so many bytes;
/// returns first whether there may be more.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local entries, room = {}, tonumber(ARGV[1])
while room > 0 do
  local entry = redis.call('ZPOPMIN', KEYS[1])
  if #entry == 0 then return {0, entries} end
  room = room - #entry[1] - 256
  entries[#entries + 1] = entry[1]
  entries[#entries + 1] = entry[2]
end
return {1, entries}",
    )
});

/// A script that takes what was restored, batch by batch.
pub(super) struct Take(ScriptCall);

impl Take {
    /// `max_bytes` is the size of a batch.
    pub(super) fn new(queue: &str, max_bytes: usize) -> Self {
        let mut take = TAKE.call(1);
        take.arg(queue).arg(max_bytes);
        Self(take)
    }

    /// Returns whether there may be more, and the next entries with their scores.
    pub(super) async fn next(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<(bool, Vec<(Vec<u8>, f64)>)> {
        self.0.query_async(connection).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_redis_restores_is_delivered_if_it_was_certainly_not_received() {
        for (evidence, score, expected) in [
            (Evidence::Received, 9.0, Restored::Received),
            (Evidence::Received, 11.0, Restored::Received),
            (Evidence::NotReceived, 11.0, Restored::Waiting),
            (Evidence::TooOld, 11.0, Restored::Waiting),
            (Evidence::NotReceived, 9.0, Restored::Unknown),
            (Evidence::TooOld, 9.0, Restored::Unknown),
            (Evidence::TooOld, 10.0, Restored::Unknown),
        ] {
            assert_eq!(
                Restored::of(evidence, score, 10.0),
                expected,
                "{evidence:?}, {score}"
            );
        }
    }
}
