//! The scripts by which processes change a presence in Redis, each in one step.
//!
//! | key | contains |
//! | --- | --- |
//! | `<prefix>:presence:<group>`, a hash | `k<key>`: a person, as the MessagePack array of count, end of the grace time (ms), stamp and meta; `e`: epoch, `s`: number of changes, `c`: number of open connections |
//! | `<prefix>:presence$of:<group>`, a hash | `<process><key>`: the open connections of a person in one process; `#<process>`: how many people that process has |
//! | `<prefix>:presence$process:<process>`, a set | the groups in which a process has people |
//! | `<prefix>:presence$processes`, a sorted set | the processes that have people, by the end of their lease (ms); `~<process>`: who removes the people of this one, until when |
//!
//! The name of a process contains its lease, except for processes of versions before that.
//!
//! All times are those of Redis. Its clock may be set back, and be behind after a failover: then a
//! time that is further ahead than the lease, the claim or the grace time that it was set to the end
//! of is not valid. Each change is published to the channel
//! `<prefix>:presence:<group>`, as the MessagePack array of epoch, number, time, and a list of keys
//! and people in turn, empty for one who has left.

use crate::channels::redis::script::Script;
use std::sync::LazyLock;

/// Common to the scripts that change a list.
///
/// A list that another program, or an eviction, has damaged is deleted, so that all processes
/// declare their people again: values that are not numbers, one of the two hashes without the
/// other, keys of another type, or a person with other connections than those of all processes.
///
/// The writes to other keys, which Redis may refuse, follow the publication: before it, a script
/// that is repeated would find nothing changed, and never publish.
///
/// A person that another program has damaged has the connections that the processes have declared,
/// and no meta (`false`) until one of them declares it again.
macro_rules! change {
    ($script:literal) => {
        concat!(
            "\
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local changes, open, is_new = {}, 0, false
local function integer(text)
  if not text then return 0 end
  return #text <= 16 and text:match('^%-?%d+$') and tonumber(text)
end
local function reset(people, counts)
  redis.call('DEL', people, counts)
  changes, open, is_new = {}, 0, true
end
local function reset_if_damaged(people, counts)
  local kinds = {redis.call('TYPE', people).ok, redis.call('TYPE', counts).ok}
  local has_people, has_counts = kinds[1] == 'hash', kinds[2] == 'hash'
  if has_people then
    local known = redis.call('HMGET', people, 'e', 's', 'c')
    local is_whole = true
    for i = 1, 3 do is_whole = is_whole and known[i] and integer(known[i]) end
    is_new = not is_whole or tonumber(known[3]) > 0 and not has_counts
  else
    is_new = has_counts or kinds[1] ~= 'none'
  end
  is_new = is_new or not has_counts and kinds[2] ~= 'none'
  if is_new then reset(people, counts) end
end
local function person(people, counts, process, key)
  local packed = redis.call('HGET', people, 'k' .. key)
  if not packed then return nil end
  local is_read, record = pcall(cmsgpack.unpack, packed)
  if is_read and type(record) == 'table' and type(record[1]) == 'number' and record[1] >= 0
    and type(record[2]) == 'number' and type(record[3]) == 'number' and type(record[4]) == 'string'
  then
    return record
  end
  local fields, total = redis.call('HGETALL', counts), 0
  for i = 1, #fields, 2 do
    if fields[i]:sub(1, 1) ~= '#' and fields[i]:sub(#process + 1) == key then
      total = total + (tonumber(fields[i + 1]) or 0)
    end
  end
  return {total, 0, 0, false}
end
local function is_counted(counts, processes, key, record)
  local total = 0
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', '+inf')) do
    total = total + (integer(redis.call('HGET', counts, process .. key)) or 0)
  end
  return total == record[1]
end
local function set(people, key, record)
  local packed = cmsgpack.pack(record)
  redis.call('HSET', people, 'k' .. key, packed)
  changes[#changes + 1] = key
  changes[#changes + 1] = packed
end
local function publish(people, counts, how, channel, fresh, grace, kept)
  local epoch = redis.call('HGET', people, 'e')
  if #changes == 0 and not is_new then
    if epoch and open ~= 0 then redis.call('HINCRBY', people, 'c', open) end
    return {epoch or '', tonumber(redis.call('HGET', people, 's') or 0)}
  end
  if not epoch then
    epoch = fresh
    redis.call('HSET', people, 'e', epoch, 's', 0, 'c', 0)
  end
  local number = redis.call('HINCRBY', people, 's', 1)
  local total = redis.call('HINCRBY', people, 'c', open)
  redis.call(how, channel, cmsgpack.pack({epoch, number, now, changes}))
  if redis.call('HLEN', people) <= 3 then
    redis.call('DEL', people, counts)
  elseif total <= 0 then
    redis.call('PEXPIRE', people, grace + 5000)
    redis.call('PEXPIRE', counts, grace + 5000)
  else
    redis.call('PEXPIRE', people, kept)
    redis.call('PEXPIRE', counts, kept)
  end
  return {epoch, number}
end
",
            $script
        )
    };
}

/// Stores what a process says of some people. Returns the epoch and number of the list, or nothing
/// if the process has no lease: then it has to renew it, and to say everything again, because its
/// people may have been removed. It returns nothing for a damaged list, too.
///
/// A meta is stored if its stamp is newer; one that is set now (0) gets the newest. Someone without
/// connections is added only if they had some, which a stamp shows. A process whose last connection
/// has ended gives its lease back.
pub(super) static DECLARE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(change!(
        "\
local people, counts, groups, processes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local process, group, how, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local grace, kept, fresh = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local lease = redis.call('ZSCORE', processes, process)
if not lease or tonumber(lease) < now then return {} end
reset_if_damaged(people, counts)
if not integer(redis.call('HGET', counts, '#' .. process)) then reset(people, counts) end
local mine = 0
for i = 8, #ARGV, 4 do
  local key, count, stamp, meta = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), ARGV[i + 3]
  local field = process .. key
  local before = integer(redis.call('HGET', counts, field))
  local record = person(people, counts, process, key)
  if not before or before > 0 and not record
    or before == 0 and record and record[1] > 0 and not is_counted(counts, processes, key, record)
  then
    reset(people, counts)
    publish(people, counts, how, channel, fresh, grace, kept)
    return {}
  end
  if record or count > 0 or stamp > 0 then
    local is_changed = not record
    record = record or {0, now + grace, 0, meta}
    if stamp == 0 then stamp = math.max(micros, record[3] + 1) end
    if stamp > record[3] then
      is_changed = is_changed or record[4] ~= meta
      record[3], record[4] = stamp, meta
    end
    local total = math.max(record[1] + count - before, 0)
    if total ~= record[1] then
      is_changed = true
      if total == 0 then record[2] = now + grace end
      open = open + total - record[1]
      record[1] = total
    end
    if is_changed then
      -- The clock of Redis may have been set back since.
      record[2] = math.min(record[2], now + grace)
      set(people, key, record)
    end
  end
  if count ~= before then
    if count > 0 then
      redis.call('HSET', counts, field, count)
    else
      redis.call('HDEL', counts, field)
    end
    if before == 0 then mine = mine + 1 elseif count == 0 then mine = mine - 1 end
  end
end
local has_people = redis.call('HINCRBY', counts, '#' .. process, mine) > 0
if not has_people then redis.call('HDEL', counts, '#' .. process) end
local reached = publish(people, counts, how, channel, fresh, grace, kept)
if has_people then
  redis.call('SADD', groups, group)
  -- As for a renewal of the lease: longer than a list lasts.
  redis.call('PEXPIRE', groups, 2 * kept)
else
  redis.call('SREM', groups, group)
  if mine < 0 and redis.call('EXISTS', groups) == 0 then
    redis.call('ZREM', processes, process)
  end
end
return reached"
    ))
});

/// Removes those of some people whose grace time is over: also if it ends later than one that begins
/// now, because the clock of Redis has been set back. Returns the epoch and number of the list.
pub(super) static EXPIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(change!(
        "\
local people, counts, process, grace = KEYS[1], KEYS[2], ARGV[5], tonumber(ARGV[3])
reset_if_damaged(people, counts)
for i = 7, #ARGV do
  local key = ARGV[i]
  local record = person(people, counts, process, key)
  if record and record[1] == 0 and (record[2] <= now or record[2] > now + grace) then
    redis.call('HDEL', people, 'k' .. key)
    changes[#changes + 1] = key
    changes[#changes + 1] = ''
  end
end
return publish(people, counts, ARGV[1], ARGV[2], ARGV[6], grace, tonumber(ARGV[4]))"
    ))
});

/// Keeps a list for as long as it may last, and resets it if it is damaged. Returns its epoch and
/// number.
pub(super) static REFRESH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(change!(
        "\
local people, counts, kept = KEYS[1], KEYS[2], tonumber(ARGV[4])
reset_if_damaged(people, counts)
redis.call('PEXPIRE', people, kept)
redis.call('PEXPIRE', counts, kept)
return publish(people, counts, ARGV[1], ARGV[2], ARGV[6], tonumber(ARGV[3]), kept)"
    ))
});

/// Removes connections of a process whose lease is over from one group: about as many people as an
/// argument says, and no more once the changes have half of a MiB. The last arguments are where to
/// continue, and whether this is the last pass. Returns where the next call is to continue, which is
/// empty if there is no more, and how many people were removed.
///
/// Each field is read once. But if Redis was restarted between two calls, the second may have begun
/// elsewhere: so as long as the process has people by its own number, the fields are read again. If
/// a last pass finds none, another program has deleted some, and the list is damaged.
pub(super) static REAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(change!(
        "\
local people, counts, groups, processes = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local process, group, how, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local grace, kept, fresh, most = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], tonumber(ARGV[8])
local cursor, is_last = ARGV[9], ARGV[10] == '1'
local lease = redis.call('ZSCORE', processes, process)
if lease and tonumber(lease) >= now then return {'', 0} end
reset_if_damaged(people, counts)
if not integer(redis.call('HGET', counts, '#' .. process)) then reset(people, counts) end
local removed, passed, size = 0, 0, 0
local function remove(field, count)
  if field:sub(1, #process) ~= process or redis.call('HDEL', counts, field) == 0 then return true end
  removed = removed + 1
  local key = field:sub(#process + 1)
  count = integer(count)
  local record = count and person(people, counts, process, key)
  if not record then return false end
  local total = math.max(record[1] - count, 0)
  open = open + total - record[1]
  record[1] = total
  if total == 0 then record[2] = now + grace end
  if record[4] then
    set(people, key, record)
    size = size + #record[4]
  elseif total == 0 then
    redis.call('HDEL', people, 'k' .. key)
    changes[#changes + 1] = key
    changes[#changes + 1] = ''
  end
  return true
end
repeat
  local begun = cursor
  local part = redis.call('HSCAN', counts, begun, 'COUNT', 100)
  cursor = part[1]
  local fields = part[2]
  for i = 1, #fields, 2 do
    if size > 524288 then
      cursor = begun
      break
    end
    if not remove(fields[i], fields[i + 1]) then
      reset(people, counts)
      removed, cursor = 0, '0'
      break
    end
  end
  passed = passed + #fields / 2
until cursor == '0' or removed >= most or passed >= 10 * most or size > 524288
local own = '#' .. process
local left = (tonumber(redis.call('HGET', counts, own)) or 0) - removed
local has_more = cursor ~= '0' or left > 0 and not (is_last and removed == 0)
if not has_more then
  if left > 0 then reset(people, counts) end
  redis.call('HDEL', counts, own)
elseif removed > 0 then
  redis.call('HINCRBY', counts, own, -removed)
end
publish(people, counts, how, channel, fresh, grace, kept)
if not has_more then redis.call('SREM', groups, group) end
return {has_more and cursor or '', removed}"
    ))
});

/// Renews the lease of a process. Returns whether it had one and has groups, how long until the
/// lease of another one ends (ms), and those whose lease has ended and whose people this process is
/// to remove: no other process does so within the next seconds.
///
/// The end of a lease or claim of another process is lowered if it is later than that of one that
/// begins now, because the clock of Redis has been set back: that process may have been killed.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local processes, groups = KEYS[1], KEYS[2]
local process, lease, kept, claim = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = math.floor((time[1] * 1000000 + time[2]) / 1000)
local before = redis.call('ZSCORE', processes, process)
local was_held = before and tonumber(before) >= now and redis.call('EXISTS', groups) == 1
local result = {was_held and 1 or 0, lease, {}}
redis.call('ZADD', processes, now + lease, process)
redis.call('PEXPIRE', processes, kept)
redis.call('PEXPIRE', groups, kept)
local later = redis.call('ZRANGEBYSCORE', processes, '(' .. now + lease, '+inf', 'WITHSCORES')
for i = 1, #later, 2 do
  local other = later[i]
  local longest = other:sub(1, 1) == '~' and claim or tonumber(other:match('^%x+x(%d+)$'))
  if longest and tonumber(later[i + 1]) > now + longest then
    redis.call('ZADD', processes, now + longest, other)
  end
end
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', '(' .. now, 'LIMIT', 0, ARGV[5])) do
  if not ended:match('^%w+$') then
    redis.call('ZREM', processes, ended)
  else
    local claimed = redis.call('ZSCORE', processes, '~' .. ended)
    if not claimed or tonumber(claimed) < now then
      redis.call('ZADD', processes, now + claim, '~' .. ended)
      result[3][#result[3] + 1] = ended
    end
  end
end
local next = redis.call('ZRANGEBYSCORE', processes, now, '+inf', 'WITHSCORES', 'LIMIT', 0, 2)
for i = 1, #next, 2 do
  if next[i] ~= process then
    result[2] = math.min(result[2], tonumber(next[i + 1]) - now)
    break
  end
end
return result",
    )
});

/// Gives back the lease of a process, or removes one that has ended, unless the process has people.
/// Returns whether it is gone.
pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local processes, groups = KEYS[1], KEYS[2]
if redis.call('EXISTS', groups) == 1 then return 0 end
if ARGV[2] == '1' then
  local time = redis.call('TIME')
  local lease = redis.call('ZSCORE', processes, ARGV[1])
  if lease and tonumber(lease) >= math.floor((time[1] * 1000000 + time[2]) / 1000) then return 0 end
end
redis.call('ZREM', processes, ARGV[1], '~' .. ARGV[1])
return 1",
    )
});
