//! The Redis channel layer, the default for more than one process.
//!
//! It speaks both wire formats of channels_redis 4.x, so a Django process on the same Redis can
//! `group_send` to Seaway consumers, and a Seaway [`Group`](super::Group) reaches Python consumers.
//! All programs on one Redis must use the same format, prefix, serializer and keys.
//!
//! *Pub/sub*, the default, is that of `channels_redis.pubsub.RedisPubSubChannelLayer`:
//!
//! | what | on the wire |
//! | --- | --- |
//! | a group | channel `asgi__group__<group>`, one subscription per process |
//! | a consumer's channel | its own name, `asgispecific.<process>!<number>`; one pattern subscription per process |
//! | an event | one `PUBLISH` of a MessagePack map with its `type` |
//!
//! *Queues* ([`RedisConfig::queue`]) are that of `channels_redis.core.RedisChannelLayer`:
//!
//! | what | on the wire |
//! | --- | --- |
//! | a group | sorted set `asgi:group:<group>` of its members; one member per Seaway process, however many consumers have joined |
//! | a consumer's channel | `specific.<process>!<number>`; one queue per process, the sorted set `asgispecific.<process>!` |
//! | an event | the members are read, then one entry is added to the queue of each process that has some |
//!
//! *Named channels*, whose names have no `!`, are queues of jobs with either format: the sorted set
//! `asgi<name>`, as in the core layer. A job is taken by one worker, in Python or here. Workers of
//! Python need the core layer. With several hosts, jobs are added to each in turn.
//!
//! # Where Redis is
//! One URL names it, in [`Channels::redis`](crate::Channels::redis), [`RedisConfig`], and
//! [`RedisStore`](crate::session::RedisStore):
//!
//! | URL | connects to |
//! | --- | --- |
//! | `redis://[user:password@]host[:port][/database]` | one server |
//! | `rediss://…?ssl_ca_certs=/path/ca.pem` | one server over TLS (feature `redis-tls`); without `ssl_ca_certs`, the system's certificate authorities are trusted; `ssl_certfile` and `ssl_keyfile` name a certificate of this client |
//! | `unix:///path/redis.sock?db=0&password=…` | one server over a Unix socket |
//! | `redis+sentinel://[user:password@]host:port,host:port/service[/database]` | the primary that these Sentinels know; `?sentinel_password=…` is for the Sentinels |
//! | `redis+cluster://[user:password@]host:port,host:port` | a Cluster of Redis 7 or later, of which these nodes are asked for all others |
//!
//! `rediss+sentinel://` and `rediss+cluster://` use TLS, and `valkey` may replace `redis`. Special
//! characters are percent-encoded. [`RedisConfig::host`] adds further, independent servers.
//!
//! A primary is looked up before each connection, checked with `INFO`, and looked up again each
//! second: an old primary that still responds is left within about a second. A command that a
//! server refuses because another one is the primary is sent to that one.
//!
//! In a Cluster, groups are spread over 16 shards, each with its hash tag, and so over up to 16
//! primaries; each process has two connections for each shard. Pub/sub is sharded (`SSUBSCRIBE`,
//! `SPUBLISH`): an event burdens one primary and its replicas. With queues, a process has its queue
//! in one shard. channels_redis does not support Clusters, so the names there are Seaway's own:
//! `{tag}asgi__group__<group>`, and one Redis channel `{tag}asgispecific.<process>!` per process
//! whose events name the channel that they are for, in `__asgi_channel__` as in a queue.
//!
//! # When Redis is unavailable
//! Sockets remain open. A send or a join waits until Redis is available again, up to
//! [`send_timeout`](RedisConfig::send_timeout) (10 s), and then fails: a shorter outage delays
//! events. The layer reconnects for as long as it exists, with pauses of at most 200 ms (500 ms
//! while Redis refuses), and renews all its subscriptions at once.
//!
//! Redis pub/sub stores nothing, so three rules prevent the silent loss of events:
//!
//! 1. **A process publishes only while it is subscribed itself**, and after a restart of Redis
//!    400 ms later, so that the other processes have renewed their subscriptions too.
//! 2. **A command whose connection broke is not repeated**, because the event might arrive twice;
//!    it fails with [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed). But if Redis itself
//!    has ended, and this process was subscribed to the group and has not received the
//!    event, nor one of equal content, then Redis has not delivered it. The event is sent again, to
//!    the next run of Redis.
//! 3. **A process whose subscriptions were interrupted notifies its consumers**
//!    ([`Missed::Interrupted`](super::Missed)), unless nothing can have been published meanwhile;
//!    with several servers those that are in a group on that server, or whose own channel is there.
//!    That is so if four conditions hold. Redis ended with the connection: right afterwards nothing
//!    listened at its address, or another run responded (so the address must lead to one server,
//!    not to a load balancer). The Redis that came back is another run (`run_id`). That run had
//!    published nothing before the subscriptions were renewed, by its own count of PUBLISH
//!    commands. This process had no read backlog, because data that Redis has not written yet is
//!    lost with it. So a plain restart of Redis causes no notice. A connection that broke while
//!    Redis continued to run is always a gap.
//!
//! After a failover the same rules hold, with the new primary as another run. A replica has
//! counted the `PUBLISH` commands that its primary has sent it, so with Sentinels and pub/sub a
//! failover is always a gap; in a Cluster it is one only if something was published meanwhile.
//!
//! What the rules cannot detect: Redis writes an event to one subscriber after the other. If it is
//! killed (SIGKILL, power) between two of these writes, some 20 µs apart, one process has the event
//! and another has not. If the sender's process is the one that has not, it sends the event again
//! and the other process receives it twice. If the sender's process is the one that has, the other
//! process misses the event and is not notified. A Redis that is stopped (SIGTERM, SHUTDOWN)
//! finishes its writes first.
//!
//! A connection counts as dead when nothing at all has arrived on it for 2 s longer than a send may
//! take (12 s at least), pings included; a backlog is a sign of life. A subscription that is
//! confirmed late delays only the joins that wait for it.
//!
//! Events that other programs publish after the return of Redis and before this process is
//! subscribed again (some 100 ms) are a gap too, and cause a notice: a Django process does not wait
//! as rule 1 requires.
//!
//! # Queues and faults
//! With queues, the same rules hold, with these differences:
//!
//! - A process keeps several hundred `BZPOPMIN` under way, so Redis hands it each event at once. An
//!   event waits in the queue only if the process cannot keep up. If events may have waited when
//!   Redis ended, they may have been lost with it: that is a gap.
//! - What Redis counts to show whether something was sent are `ZREMRANGEBYSCORE` commands, which
//!   all senders use, Python as well, even if the group has no members again yet.
//! - Entries are distinct, so a receiver recognizes an event that is sent again. What another run
//!   of Redis has restored into the queue is delivered if it is newer than all that was received;
//!   otherwise it is dropped, and unless it was received before, the process notifies its
//!   consumers.
//! - A queue holds 100 events ([`RedisConfig::capacity`]), and Python drops what does not fit
//!   without telling. Seaway leaves a quarter of the queue of a Seaway process to Python, so that
//!   process knows that Python may have dropped events if it finds its queue full, and notifies its
//!   consumers. A Seaway sender waits up to 3 s for a full queue of a Seaway process that gives
//!   signs of life, then drops the event, counts it, and leaves a note in the queue, by the same
//!   script and also at `maxmemory`, for which the receiver notifies its consumers. Events for a
//!   full queue of a Python process are dropped and counted, and so are those for a process whose
//!   queue is a key of another type. A send to one channel fails with
//!   [`ErrorKind::ChannelFull`](crate::ErrorKind::ChannelFull).
//! - A process renews its heartbeat key each second: `asgispecific.<process>!$alive` (30 s).
//!   When it is gone, senders remove the members of that process. A process that finds its own
//!   gone, because it was suspended or the data of Redis was deleted, joins all groups again and
//!   notifies its consumers. It does the same if a group lacks it although it has joined, because
//!   the key was evicted, deleted, or cleaned by a program whose clock is wrong: it checks 1,000
//!   groups each second, and each group that it sends to. So Redis must not evict keys
//!   (`noeviction`).
//! - Seaway adds and removes events, jobs and memberships by the clock of Redis. Python does so by
//!   its own, and encrypted events and jobs expire by those of the processes: all must agree to a
//!   few seconds.
//!
//! # Lost connections
//! A process that gives up a connection, because it was silent or broke, may have sent commands on
//! it that are still on the network: TCP transmits them again for minutes. So before the next
//! connection to the same run of Redis is used, the process has Redis end the previous one (`CLIENT
//! KILL`). Then nothing that was sent on it runs any more. With queues, a connection that Redis
//! still knows would also take events, so there the user needs the permission for `INFO`, `CLIENT
//! ID` and `CLIENT KILL`.
//!
//! # Files
//! | file | contents |
//! | --- | --- |
//! | `host_part.rs` | the groups and channels whose events arrive through one Redis |
//! | `layer.rs`, `host.rs`, `connecting.rs` | the layer: what both formats have in common; one Redis of it, and what that is made from |
//! | `config.rs` | its configuration |
//! | `names.rs` | names and keys on the wire, and the hosts that they belong to |
//! | `coding.rs`, `python_json.rs`, `fernet.rs` | the bytes of an event; what Python writes that is not standard JSON; encryption |
//! | `publisher.rs` | sending, which waits for Redis and sends an event again only by rule 2 |
//! | `subscriptions.rs`, `subscription_table.rs` | the groups that this process receives from; which commands they need |
//! | `readiness.rs`, `pending_gap.rs` | whether it receives; the gap that its consumers are still to be notified of |
//! | `restart.rs`, `received.rs` | detection of a plain restart of Redis; the last events received, as evidence |
//! | `pubsub.rs`, `deliverer.rs`, `publish.rs` | receiving with the pub/sub format, and delivery of what was received; sending |
//! | `queue.rs`, `memberships.rs`, `membership_check.rs` | the format of queues; memberships; whether Redis still has them |
//! | `heartbeat.rs` | the key that shows that this process lives |
//! | `inbox.rs`, `pops.rs`, `restored.rs` | the reader of this process' queue; its commands under way; what a restart of Redis brings back |
//! | `queue_sender.rs`, `addition.rs`, `queue_owners.rs` | sending to queues; the command that adds entries; the processes that read them |
//! | `group_send.rs`, `capacity.rs` | sending to groups of queues; how many events queues hold |
//! | `named.rs` | receiving from named channels |
//! | `presence/` | who is connected |
//! | `member_counts.rs` | how many members groups have in all processes |
//! | `topics.rs` | topics: storing, sending and reading their events |
//!
//! Redis 6 or later is needed (6.2 for permissions for channels): RESP3 allows commands and
//! messages on one connection.

mod addition;
mod capacity;
mod coding;
mod config;
mod connecting;
mod deliverer;
mod fernet;
mod group_send;
mod heartbeat;
mod host;
mod host_part;
mod inbox;
mod layer;
mod member_counts;
mod membership_check;
mod memberships;
mod named;
mod names;
mod pending_gap;
mod pops;
mod presence;
mod publish;
mod publisher;
mod pubsub;
mod python_json;
mod queue;
mod queue_owners;
mod queue_sender;
mod readiness;
mod received;
mod restart;
mod restored;
mod script;
mod subscription_table;
mod subscriptions;
mod topics;
#[cfg(test)]
mod vectors;

pub use self::{coding::Serializer, config::RedisConfig, layer::RedisChannelLayer};
