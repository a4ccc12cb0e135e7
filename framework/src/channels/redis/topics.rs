//! Topics: a stream of the last events, and a hash with the position of the topic, changed by
//! scripts.
//!
//! | key | contains |
//! | --- | --- |
//! | `asgi:topic:<name>` | the stream of the last events |
//! | `asgi:topic:<name>:position` | the offset `o`, the epoch `e`, the run of Redis `r` that it was last used in, whether that had an append-only file `a`, the time `t` when expiries are next set |
//! | `asgi:topic:<name>:once:<key>` | the position of the event with this idempotency key |
//!
//! With pub/sub and without encryption, one script numbers an event, stores it and publishes it.
//! Otherwise the event is sent after it was stored, with its number; receivers read what an event
//! that overtook others has left out.

use super::{
    coding::{Coding, PositionedParts},
    config::Wire,
    group_send,
    host::Host,
    names::{HostNames, LayerNames},
    publish,
    publisher::{Command, Fate, Purpose},
    received::ReceivedLog,
    script::Script,
};
use crate::{
    channels::{
        Envelope, Position, TopicHistory, TopicPost, TopicQuery,
        local_topics::{KEY_AGE, POSITION_AGE},
        position::fresh_epoch,
    },
    error::{Error, ErrorKind, Result},
    name::GroupName,
    redis_link::{Up, is_malformed_reply, remedy_of, short_line},
};
use redis::{RedisError, RedisResult};
use std::{
    collections::VecDeque,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Finds the epoch of a topic. It begins a new one if there is none, and if Redis was restarted or
/// replaced since the topic was last used, because then the last events may be lost: unless this is
/// the same server, and both runs have the append-only file, from which the last events are then
/// restored. A server that has restored a snapshot may have turned it on since. It also begins a
/// new one if another program has damaged the offset or the epoch.
///
/// If this process does not know the run of Redis, a restart is not noticed. `record` notes that
/// the epoch continues in this run.
const POSITION: &str = "\
local call, stream, position = redis.call, KEYS[1], KEYS[2]
local known = call('HMGET', position, 'e', 'r', 't', 'a', 'o')
local epoch, due, offset = known[1], known[3] or '', known[5]
if epoch and not (epoch:match('^%w+$') and #epoch <= 32
    and offset and #offset <= 15 and offset:match('^%d+$')) then
  epoch = nil
end
local function has(section, line)
  local info = ARGV[1] ~= '' and redis.pcall('INFO', section)
  return type(info) == 'string' and info:find(line, 1, true)
end
if not epoch or known[2] ~= ARGV[1] and ARGV[1] ~= '' then
  local has_file = has('persistence', 'aof_enabled:1')
  local is_kept = epoch and has_file and known[4] == '1' and has('replication', 'role:master')
    and has('replication', 'second_repl_offset:-1')
  if is_kept then
    record('HSET', position, 'r', ARGV[1])
  else
    BEGIN
    call('HSET', position, 'a', has_file and 1 or 0)
  end
end
";

/// Begins a new epoch.
const BEGIN: &str = "\
epoch, due = ARGV[2], ''
call('DEL', stream)
call('HSET', position, 'o', 0, 'e', epoch, 'r', ARGV[1], 't', due)
call('PEXPIRE', position, ARGV[3])";

/// Numbers an event, stores it, and publishes it if there is a command for it. Returns the topic's
/// stream; the position of the event, or of the one with the same key; the error of the first
/// command that Redis has refused although the event is stored, or nothing; and whether one with
/// the same key was stored. The key is stored before the event, so that an event with a key is never
/// stored twice.
///
/// If another program has used the last id of the stream, the stored events are deleted, so that
/// further ones can be stored.
///
/// Expiries are renewed when an eighth of the age has passed, and the stream is trimmed by whole
/// nodes only, so that most events need four commands; the exact limits apply when it is read. The
/// times are texts of 13 digits, which compare as numbers do. That of an id may be far ahead, if
/// another program has added an entry.
const SEND: &str = "\
if KEYS[3] then
  local before = call('GET', KEYS[3])
  if before and before:match(':(%w+)$') == epoch then return {stream, before, '', 1} end
end
local at = call('HINCRBY', position, 'o', 1) .. ':' .. epoch
local event = ARGV[10]
if ARGV[9] == '1' then
  event = ARGV[8] .. string.char(217, #at) .. at .. event
elseif ARGV[8] ~= '' then
  event = ARGV[8] .. at .. event
end
local id = KEYS[3] and redis.pcall('SET', KEYS[3], at, 'PX', ARGV[11]) or {}
local function add() return redis.pcall('XADD', stream, 'MAXLEN', '~', ARGV[4], '*', 'e', event) end
if not id.err then
  id = add()
  if id.err and id.err:find('last possible ID', 1, true) then
    call('DEL', stream)
    due = ''
    id = add()
  end
end
if id.err then
  call('HINCRBY', position, 'o', -1)
  if KEYS[3] then call('DEL', KEYS[3]) end
  return id
end
local refused = ''
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err and refused == '' then refused = reply.err end
end
if id > due then
  local time, age = call('TIME'), tonumber(ARGV[5])
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  try('PEXPIRE', stream, math.ceil(age * 1.25))
  try('PEXPIRE', position, ARGV[3])
  try('HSET', position, 't', string.format('%.0f', now + age / 8))
  redis.pcall('XTRIM', stream, 'MINID', string.format('%.0f', now - age))
end
if ARGV[6] ~= '' then try(ARGV[6], ARGV[7], event) end
return {stream, at, refused, 0}";

/// Returns the stream, the offset and epoch of a topic, and its last events with their ages in ms,
/// the last one first: one, and more of them as long as they have no more than so many bytes
/// together. If a process has received an event that Redis does not know, Redis has lost some.
const READ: &str = "\
local offset = tonumber(call('HGET', position, 'o')) or 0
local since, limit = tonumber(ARGV[4]), tonumber(ARGV[6])
local missed = since and ARGV[5] == epoch and offset - since
if missed and missed < 0 and ARGV[8] == '1' then
  offset, missed = 0, false
  BEGIN
end
local wanted = 0
if ARGV[7] == '1' then wanted = limit elseif missed and missed >= 0 and missed <= limit then wanted = missed end
local reply = {stream, string.format('%.0f', offset), epoch}
if wanted == 0 then return reply end
local time = call('TIME')
local now, room = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[9])
for _, entry in ipairs(call('XREVRANGE', stream, '+', '-', 'COUNT', wanted)) do
  local size = #entry[2][2] + 256
  room = room - size
  if room < 0 and (#reply > 3 or size > 2 * ARGV[9] + 256) then break end
  local age = now - tonumber(entry[1]:match('^%d+'))
  reply[#reply + 1] = string.format('%.0f', math.max(age, 0))
  reply[#reply + 1] = entry[2][2]
end
return reply";

static SEND_SCRIPT: LazyLock<Script> = LazyLock::new(|| at_position("redis.call", SEND));
/// Reading continues if Redis refuses to store the run, as at `maxmemory`: the next script finds
/// again that the epoch continues. `send` stores an event only in a run that is stored.
static READ_SCRIPT: LazyLock<Script> = LazyLock::new(|| at_position("redis.pcall", READ));

/// Returns the script that finds the epoch of a topic, and then acts. `record`: the function that
/// notes the run.
fn at_position(record: &str, action: &str) -> Script {
    let script = format!("local record = {record}\n{POSITION}{action}");
    Script::new(script.replace("BEGIN", BEGIN))
}

/// The names of a topic's keys.
struct TopicKeys {
    stream: String,
    position: String,
}

impl TopicKeys {
    fn of(topic: &GroupName, names: &HostNames) -> Self {
        let stream = names.of_topic(topic);
        Self {
            position: format!("{stream}:position"),
            stream,
        }
    }
}

/// Stores an event of a topic and sends it to the members; returns its position.
///
/// # Errors
/// Those of [`Publisher::send`](super::publisher::Publisher::send), and [`ErrorKind::Codec`].
pub(super) async fn send(
    wire: Wire,
    hosts: &[Host],
    names: &LayerNames,
    coding: &Coding,
    topic: &GroupName,
    post: &TopicPost,
) -> Result<Position> {
    let host = &hosts[names.host_of_group(topic)];
    let keys = TopicKeys::of(topic, &host.names);
    let parts = match wire {
        Wire::PubSub => coding.encode_positioned(post.envelope())?,
        Wire::Queue => None,
    };
    let is_published = parts.is_some();
    let append = Append {
        once: post.key().map(|key| format!("{}:once:{key}", keys.stream)),
        keys,
        channel: host.names.of_group(topic),
        command: match (is_published, host.names.are_sharded()) {
            (false, _) => "",
            (true, false) => "PUBLISH",
            (true, true) => "SPUBLISH",
        },
        parts: match parts {
            Some(parts) => parts,
            None => PositionedParts::without_position(coding.encode_published(post.envelope())?),
        },
        events: post.events(),
        age: post.age(),
        may_be_stored: AtomicBool::new(false),
    };
    let deadline = host.publisher.deadline();
    let Appended {
        position,
        refused,
        is_known,
    } = loop {
        match host.publisher.send(&append, deadline).await {
            Ok(stored) => break stored,
            // The key makes it safe to send it again.
            Err(error)
                if append.once.is_some() && is_repeatable(&error) && Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
    };
    let position: Position = position.parse().map_err(|source: Error| {
        let message = format!(
            "the event may be stored, but Redis has returned a malformed position of {topic}; if another program has changed its keys, delete them"
        );
        Error::new(ErrorKind::Unconfirmed, message).with_source(source)
    })?;
    // An earlier call has sent the event that it stored, which may have other contents.
    if !is_published && !is_known {
        let envelope = post.envelope().clone().at(&position);
        let published = match wire {
            Wire::PubSub => publish::group_send(host, coding, topic, &envelope, deadline).await,
            Wire::Queue => group_send::group_send(hosts, names, topic, &envelope, deadline).await,
        };
        published.map_err(|error| {
            let message =
                "the event is stored, but may not have been sent to all members of the topic";
            Error::new(ErrorKind::Unconfirmed, message).with_source(error)
        })?;
    }
    if !refused.is_empty() {
        let remedy = remedy_of(&refused).unwrap_or_default();
        let message = format!(
            "the event is stored, but Redis refused to set when it expires, or to publish it{remedy}: {}",
            short_line(&refused)
        );
        return Err(Error::new(ErrorKind::Unconfirmed, message));
    }
    Ok(position)
}

/// Returns the position of a topic, and its last events.
///
/// # Errors
/// [`ErrorKind::Layer`] if Redis does not return it in time or refuses.
pub(super) async fn read(
    host: &Host,
    coding: &Coding,
    topic: &GroupName,
    query: &TopicQuery,
) -> Result<TopicHistory> {
    let read = Read {
        keys: TopicKeys::of(topic, &host.names),
        query,
        max_bytes: coding.max_batch(),
    };
    let deadline = host.publisher.deadline();
    let reply = loop {
        match host.publisher.send(&read, deadline).await {
            Ok(reply) => break reply,
            // Reading it again changes nothing.
            Err(error) if is_repeatable(&error) && Instant::now() < deadline => {}
            Err(error) => {
                let message = format!("cannot read what was missed of {topic}");
                return Err(Error::new(ErrorKind::Layer, message).with_source(error));
            }
        }
    };
    history(reply, coding, query.age()).ok_or_else(|| {
        let message = format!("Redis returned a history of {topic} that is malformed");
        Error::new(ErrorKind::Layer, message)
    })
}

/// Returns whether a command that may run twice is to be sent again: not if Redis has replied, with
/// what is no reply to it.
fn is_repeatable(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    let reply = source.and_then(|source| source.downcast_ref::<RedisError>());
    error.kind() == ErrorKind::Unconfirmed && !reply.is_some_and(is_malformed_reply)
}

/// Decodes the reply to a query. Events before one that has expired or cannot be decoded are lost.
fn history(reply: VecDeque<Vec<u8>>, coding: &Coding, age: Duration) -> Option<TopicHistory> {
    let mut reply = reply.into_iter();
    let mut text = || String::from_utf8(reply.next()?).ok();
    let offset = text()?.parse().ok()?;
    let position = Position::new(offset, &text()?).ok()?;
    let mut events = Vec::new();
    while let Some(passed) = reply.next() {
        let passed = String::from_utf8(passed).ok()?.parse().ok()?;
        let passed = Duration::from_millis(passed);
        let Some(event) = coding.decode_published(reply.next()?) else {
            break;
        };
        if passed > age {
            break;
        }
        events.push((passed, Envelope::from_bytes(event)));
    }
    events.reverse();
    Some(TopicHistory::new(position, events))
}

/// The script that stores an event.
struct Append {
    keys: TopicKeys,
    once: Option<String>,
    command: &'static str,
    channel: String,
    parts: PositionedParts,
    events: usize,
    age: Duration,
    /// Whether an attempt may have stored the event, although its reply was lost.
    may_be_stored: AtomicBool,
}

/// The outcome of storing an event.
struct Appended {
    position: String,
    /// The error of a command that was refused after the event was stored.
    refused: String,
    /// Whether an earlier call has stored an event with the same key. If an earlier attempt of this
    /// call may have stored it, it counts as the event of this call.
    is_known: bool,
}

impl Command for Append {
    const PURPOSE: Purpose = Purpose::SEND_EVENT;
    type Reply = Appended;

    async fn send(&self, up: &mut Up) -> RedisResult<Self::Reply> {
        let Self {
            keys, once, parts, ..
        } = self;
        let common = TopicArguments::new(up, self.age);
        let [events, age, window] = [
            self.events.to_string(),
            self.age.as_millis().to_string(),
            KEY_AGE.as_millis().to_string(),
        ];
        let arguments: [&[u8]; 11] = [
            common.run.as_bytes(),
            common.epoch.as_bytes(),
            common.kept.as_bytes(),
            events.as_bytes(),
            age.as_bytes(),
            self.command.as_bytes(),
            self.channel.as_bytes(),
            &parts.before,
            if parts.has_length { b"1" } else { b"0" },
            &parts.after,
            window.as_bytes(),
        ];
        let mut call = SEND_SCRIPT.call(if once.is_some() { 3 } else { 2 });
        call.arg(&keys.stream).arg(&keys.position).arg(once);
        call.arg(&arguments[..]);
        let may_be_own = self.may_be_stored.load(Ordering::Relaxed);
        let reply = call.query_async(&mut up.connection).await;
        let reply = reply.inspect_err(|error| {
            // A script that Redis refuses has stored nothing.
            if error.code().is_none() {
                self.may_be_stored.store(true, Ordering::Relaxed);
            }
        })?;
        let (stream, position, refused, is_known): (String, _, _, bool) = reply;
        check_stream(stream.as_bytes(), keys)?;
        Ok(Appended {
            position,
            refused,
            is_known: is_known && !may_be_own,
        })
    }

    /// What was stored is not lost with Redis for certain, and would be there twice.
    fn fate(&self, _: &ReceivedLog, _: u64) -> Fate {
        match self.once {
            Some(_) => Fate::NotSent,
            None => Fate::Unknown,
        }
    }
}

/// The script that reads the history.
struct Read<'a> {
    keys: TopicKeys,
    query: &'a TopicQuery,
    max_bytes: usize,
}

impl Command for Read<'_> {
    const PURPOSE: Purpose = Purpose::read("a topic");
    type Reply = VecDeque<Vec<u8>>;

    async fn send(&self, up: &mut Up) -> RedisResult<Self::Reply> {
        let Self {
            keys,
            query,
            max_bytes,
        } = self;
        let common = TopicArguments::new(up, query.limits.age);
        let since = query.since.as_ref();
        let offset = since.map_or_else(String::new, |since| since.offset().to_string());
        let limit = query.limits.events.to_string();
        let room = max_bytes.to_string();
        let flag = |is_set: bool| if is_set { &b"1"[..] } else { b"0" };
        let arguments: [&[u8]; 9] = [
            common.run.as_bytes(),
            common.epoch.as_bytes(),
            common.kept.as_bytes(),
            offset.as_bytes(),
            since.map_or("", Position::epoch).as_bytes(),
            limit.as_bytes(),
            flag(query.is_whole),
            flag(query.is_received),
            room.as_bytes(),
        ];
        let mut call = READ_SCRIPT.call(2);
        call.arg(&keys.stream).arg(&keys.position);
        call.arg(&arguments[..]);
        let reply = call.query_async::<Vec<_>>(&mut up.connection).await?;
        let mut reply = Self::Reply::from(reply);
        check_stream(&reply.pop_front().unwrap_or_default(), keys)?;
        Ok(reply)
    }

    fn fate(&self, _: &ReceivedLog, _: u64) -> Fate {
        Fate::NotSent
    }
}

/// Checks that the reply to a script is about this topic.
///
/// # Errors
/// That of a malformed reply, if it belongs to another command: all topics share the connection, so
/// it may hold the events of another one.
fn check_stream(stream: &[u8], keys: &TopicKeys) -> RedisResult<()> {
    if stream == keys.stream.as_bytes() {
        return Ok(());
    }
    let message = "the reply is that to another topic";
    Err(RedisError::from((
        redis::ErrorKind::UnexpectedReturnType,
        message,
    )))
}

/// The first arguments of both scripts.
struct TopicArguments {
    /// The run of Redis, or nothing if the user may not ask for it: then a restart is not noticed.
    run: String,
    /// The epoch, if a new one begins.
    epoch: String,
    /// How long the position is kept, in ms.
    kept: String,
}

impl TopicArguments {
    fn new(up: &Up, age: Duration) -> Self {
        // As much longer as the events are, since not every event renews it.
        let kept = age.saturating_add(age / 4).saturating_add(POSITION_AGE);
        Self {
            run: up.run_id.as_deref().unwrap_or_default().to_owned(),
            epoch: fresh_epoch(),
            kept: kept.as_millis().to_string(),
        }
    }
}
